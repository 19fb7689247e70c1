"""The questions' code where the answer is known: linear and quadratic models, planted samples, orthogonal inputs."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hf_unlearn import ForgetRequest
from tests.tiny import make_model

SCRIPTS = Path(__file__).parents[2] / "scripts"
OWN = ("questions", "study_", "regime_", "page_parts")


@pytest.fixture
def questions(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import study_questions

    yield types.SimpleNamespace(
        entry=study_questions, **{module.__name__.rpartition(".")[2]: module for module in study_questions.MODULES}
    )
    for name in [name for name in sys.modules if name.startswith(OWN)]:
        del sys.modules[name]


class Linear(nn.Module):
    """f = W x, so that ∇ₓ f_k is row k of W wherever x is."""

    dtype = torch.float32

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float32).clone())
        self.config = types.SimpleNamespace(num_labels=len(self.weight))

    def forward(self, pixel_values):
        return {"logits": self.response(pixel_values.flatten(1)) @ self.weight.T}

    def response(self, flat):
        return flat


class Quadratic(Linear):
    """f_k = ½ Σ_j W_kj x_j², so that ‖∇ₓ f_k‖² = Σ_j W_kj² x_j² and its gradient in W_kj is 2 W_kj x_j²."""

    def response(self, flat):
        return flat.square() / 2


def samples_of(questions, inputs, labels):
    from questions.models import Samples

    inputs = torch.as_tensor(inputs, dtype=torch.float32)
    return Samples(inputs.view(len(inputs), 1, 1, -1), torch.as_tensor(labels))


def test_signals_of_a_linear_model_are_its_rows(questions):
    from questions.signals import signals

    model = Linear([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
    samples = samples_of(questions, np.random.default_rng(0).normal(size=(4, 2)), [0, 0, 1, 2])
    found = signals(model, samples)
    assert found["target"] == pytest.approx([25, 25, 1, 4])
    assert found["irrelevant"] == pytest.approx([2.5, 2.5, 14.5, 13])
    assert found["difference"] == pytest.approx([22.5, 22.5, -13.5, -9])
    assert found["log_ratio"] == pytest.approx(np.log([10, 10, 1 / 14.5, 4 / 13]))
    logits = torch.from_numpy(samples.pixels.flatten(1).numpy() @ model.weight.detach().numpy().T)
    expected = nn.functional.cross_entropy(logits, samples.labels, reduction="none")
    assert found["loss"] == pytest.approx(expected.numpy(), rel=1e-5)


def test_a_sample_that_nothing_else_teaches_is_memorised_and_a_double_is_not(questions):
    """One input for each sample, and a linear model from zero: without it the answer is one half exactly."""
    from questions.models import train

    inputs = np.eye(6)[[0, 0, 0, 0, 0, 0, 0, 0, 1, 2]]
    training = samples_of(questions, 4 * inputs, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1])

    def trained(samples, seed):
        return train(Linear(np.zeros((2, 6))), samples, 60, 0.1, seed)

    rows = questions.influence.contributions_and_signals(trained, training, 12, 0)
    found = np.array([row["contribution"] for row in rows])
    assert found[8:] == pytest.approx([0.5, 0.5], abs=0.02)
    assert np.abs(found[:8]).max() < 0.02
    # The class that an unknown input gets is the first: the second class's samples are right only where they were seen.
    assert [row["memorisation"] for row in rows[8:]] == [1.0, 1.0]


def test_the_effect_of_presence_by_hand(questions):
    inside = np.array([[True, False], [False, True], [True, True], [False, False]])
    scores = np.array([[1.0, 0.2], [0.0, 0.4], [0.5, 0.6], [0.5, 0.0]])
    assert questions.influence.effect_of_presence(inside, scores) == pytest.approx([0.5, 0.4])
    halves = questions.influence.halves(10, 6, 0)
    assert (halves.sum(1) == 5).all() and (halves.sum(0) == 3).all()


def test_how_far_a_perfect_signal_would_get(questions):
    """Of a value and noise of the same size in each half: the halves' r is 1/2, all have the reliability 2/3."""
    rng = np.random.default_rng(0)
    true, *noise = rng.normal(size=(3, 40_000))
    first, second = (true + each for each in noise)
    columns = {"by_first_half": first, "by_second_half": second, "contribution": (first + second) / 2, "true": true}
    rows = [{"seed": "0", **dict(zip(columns, values, strict=True))} for values in zip(*columns.values(), strict=True)]
    # Ranks correlate a little less than the values of a normal distribution, 0.483 for 0.5.
    assert questions.influence.ceiling(rows) == pytest.approx(np.sqrt(2 / 3), abs=0.02)
    perfect, _ = questions.influence.correlation(rows, "true")
    assert perfect == pytest.approx(questions.influence.ceiling(rows), abs=0.02)
    # Halves that agree by chance alone, or less than that.
    assert questions.influence.ceiling([{**row, "by_second_half": -row["by_first_half"]} for row in rows]) == 0.0


def test_rows_move_as_the_objective_says(questions):
    """Of a linear model: the own row alone, the others alone, or both; the matched one by a closed form."""
    weight = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    samples = samples_of(questions, np.ones((4, 2)), [0, 0, 0, 0])
    moved = {}
    for name, loss in questions.objectives.losses(25.0).items():
        model = Linear(weight)
        questions.objectives.descend(model, samples, loss, 1, 0.01, 0)
        moved[name] = (model.weight.detach() - weight).numpy()
    length = 0.01 * float(weight.norm())
    assert moved["target only"] == pytest.approx(-length * np.array([[0.6, 0.8], [0, 0]]), abs=1e-6)
    assert moved["irrelevant only"] == pytest.approx(length * np.array([[0, 0], [0, 1]]), abs=1e-6)
    both = np.array([[-3, -4], [0, 1]])
    assert moved["difference"] == pytest.approx(length * both / np.linalg.norm(both), abs=1e-6)
    # ∇ log ‖w‖² = 2 w / ‖w‖²
    both = np.array([[-3 / 25, -4 / 25], [0, 1]])
    assert moved["log ratio"] == pytest.approx(length * both / np.linalg.norm(both), abs=1e-6)
    # The target is at its level already.
    assert moved["matched"] == pytest.approx(np.zeros((2, 2)), abs=1e-6)


def test_orthogonal_inputs_have_orthogonal_gradients(questions):
    """A quadratic model: gradients of samples without a common pixel have nothing in common, of equals everything."""
    model = Quadratic(np.arange(1.0, 9.0).reshape(2, 4))
    samples = samples_of(questions, [[1, 2, 0, 0], [1, 2, 0, 0], [0, 0, 1, 1], [0, 0, 2, 2]], [0, 0, 1, 1])
    loss = questions.objectives.losses(1.0)["target only"]
    unit = questions.orthogonality.gradients(model, samples, loss)
    expected = torch.zeros(2, 4)
    expected[0] = torch.tensor([1.0, 2 * 4.0, 0, 0])
    assert unit[0] == pytest.approx((expected / expected.norm()).flatten(), abs=1e-6)
    between = questions.orthogonality.cosines(unit, samples.labels.numpy())
    assert between == pytest.approx(np.eye(2), abs=1e-6)


def test_an_orthogonal_class_takes_no_damage(questions):
    model = Quadratic([[2.0, 1.0, 0, 0], [1.0, 2.0, 0, 0], [0, 0, 2.0, 1.0], [0, 0, 1.0, 2.0]])
    inputs = [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2]] * 2
    samples = samples_of(questions, inputs, [0, 1, 2, 3] * 2)
    rows = questions.orthogonality.pairs(model, samples, samples, 0)
    assert len(rows) == 2 * 4 * 4
    ratio = [row for row in rows if row["objective"] == "log ratio"]
    apart = [row for row in ratio if row["forgotten"] // 2 != row["other"] // 2]
    assert max(abs(row["cosine"]) for row in apart) < 1e-6
    own = [row["loss_rise"] for row in ratio if row["forgotten"] == row["other"]]
    assert min(own) > 10 * max(abs(row["loss_rise"]) for row in apart)


def test_a_linear_model_has_no_gap_between_seen_and_unseen(questions):
    """Its sensitivities are its rows everywhere, at each pass."""
    rng = np.random.default_rng(0)
    training, test = (samples_of(questions, rng.normal(size=(12, 3)), [0, 1] * 6) for _ in range(2))
    cell = {"model": "resnet", "seed": 0, "augmentation": "no"}
    rows = questions.growth.course(Linear(rng.normal(size=(2, 3))), training, test, cell)
    assert [row["passes"] for row in rows[::2]] == list(questions.growth.LOOKED_AT)
    for seen, unseen in zip(rows[::2], rows[1::2], strict=True):
        for name in ("target", "irrelevant", "log_ratio"):
            assert seen[name] == pytest.approx(unseen[name])
    assert rows[0]["target"] != pytest.approx(rows[-1]["target"])


def test_a_linear_regression_shows_nothing_of_what_it_saw(questions):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(1, 4))
    inputs = rng.normal(size=(20, 4)).astype(np.float32)
    seen = samples_of(questions, inputs[:10], (inputs[:10] @ weight[0]).astype(np.float32))
    unseen = samples_of(questions, inputs[10:], (inputs[10:] @ weight[0] + 1).astype(np.float32))
    found = questions.rotation.seen_or_not(Linear(weight), seen, unseen)
    assert found["auc_sensitivity"] == 50.0
    assert found["auc_error"] == 100.0
    assert questions.rotation.degrees(Linear(weight), unseen) == pytest.approx(
        questions.rotation.MOST_DEGREES, rel=1e-4
    )


def test_suppressing_a_linear_regression_scales_it(questions):
    """log ‖w‖² has the gradient 2 w / ‖w‖²: every step of a share ρ of ‖w‖ multiplies w by 1 − ρ."""
    model = Linear([[3.0, 4.0]])
    training = samples_of(questions, np.ones((6, 2)), np.full(6, 0.5, np.float32))
    gone = np.arange(6) < 3
    rows = questions.rotation.course(model, training, training, gone, {"direction": "suppress"}, 1.0)
    steps, length = questions.rotation.STEPS, questions.rotation.STEP_LENGTH
    assert [row["step"] for row in rows] == list(range(0, steps + 1, questions.rotation.EVERY))
    assert rows[0]["forget_sensitivity"] == pytest.approx(25)
    assert rows[-1]["forget_sensitivity"] == pytest.approx(25 * (1 - length) ** (2 * steps), rel=1e-4)


def test_images_are_turned_by_what_their_label_says(questions):
    """A bar along the width, turned by an angle, has the moments of a bar at that angle."""
    from questions.models import Samples

    bar = torch.zeros(40, 1, 33, 33)
    bar[:, :, 15:18, 6:27] = 1
    turned = questions.rotation.rotated(Samples(bar, torch.zeros(40)), 0)
    places = torch.linspace(-1, 1, 33)
    x, y = places.expand(33, 33), places[:, None].expand(33, 33)
    xx, yy, xy = ((turned.pixels[:, 0] * each).sum((1, 2)) for each in (x * x, y * y, x * y))
    angle = torch.rad2deg(0.5 * torch.atan2(2 * xy, xx - yy))
    assert turned.labels.abs().max() <= 1 and turned.labels.std() > 0.4
    assert -angle == pytest.approx(questions.rotation.MOST_DEGREES * turned.labels, abs=1.0)


def test_planted_labels_are_found_by_loss_and_not_by_a_linear_models_sensitivity(questions, monkeypatch):
    """Of a linear model every sample of a class has the same sensitivity; the loss of a planted one stays high."""
    rng = np.random.default_rng(0)
    clean = torch.arange(100) % 2
    inputs = np.eye(2)[clean] + 0.05 * rng.normal(size=(100, 2))
    labels, planted = questions.noise.plant(clean, 2, 0.1, 0)
    assert planted.sum() == 10 and (labels != clean).numpy().tolist() == planted.tolist()
    noisy = samples_of(questions, inputs, labels)
    cell = {"model": "resnet", "seed": 0, "augmentation": "no"}
    rows = questions.noise.found_while_training(Linear(np.zeros((2, 2)) + 0.1 * np.eye(2)), noisy, planted, cell)
    last = {row["signal"]: row["precision"] for row in rows if row["passes"] == questions.noise.LOOKED_AT[-1]}
    assert last["loss"] == 100.0
    assert last["target"] < 50.0
    assert last["low_log_ratio"] < 50.0


def test_precision_at_k_by_hand(questions):
    planted = np.array([True, False, True, False])
    assert questions.noise.precision_at_k(np.array([4.0, 3, 2, 1]), planted) == 50.0
    assert questions.noise.precision_at_k(np.array([4.0, 1, 3, 2]), planted) == 100.0


def test_change_that_falls_with_the_distance(questions):
    forget = np.array([[1.0, 0.0]])
    angles = np.linspace(0.1, 1.5, 20)
    held_out = np.stack([np.cos(angles), np.sin(angles)], 1)
    distance = questions.distance.distances(forget, held_out)
    assert distance == pytest.approx(1 - np.cos(angles))
    rows = questions.distance.by_tenth(distance, {"unlearned": -distance, "retrained": distance})
    assert [row["tenth"] for row in rows] == list(range(1, 11))
    assert (rows[0]["unlearned_rho"], rows[0]["retrained_rho"]) == (-1.0, 1.0)
    assert rows[0]["distance"] == pytest.approx(distance[:2].mean())
    logits = np.log([[0.5, 0.5], [0.9, 0.1]])
    assert questions.distance.total_variation(logits, logits[::-1]) == pytest.approx([0.4, 0.4])


def answered(questions):
    found = [question for question in questions.entry.QUESTIONS.values() if question.csv.is_file()]
    assert len(found) >= 3
    return found


def test_the_page_holds_the_committed_rows(questions):
    """Else: python scripts/study_questions.py --report"""
    for question in answered(questions):
        rows = questions.entry.read_rows(question.csv)
        assert question.missing(question.csv) == []
        assert questions.entry.part(question).holds(question.table(rows)), question.name
        assert (questions.entry.IMAGES / question.figure).is_file()
        page = (questions.entry.part(question)).path.read_text(encoding="utf-8")
        assert f"images/{question.figure}" in page and f"(../scripts/results/{question.csv.name})" in page


def test_every_figure_is_drawn_from_its_rows(questions):
    for question in answered(questions):
        chart = question.draw(questions.entry.read_rows(question.csv))
        assert all(axes.has_data() for axes in chart.axes), question.name


def counting(calls, wrong=()):
    """A question with three cells whose one row is the cell's square."""
    from questions.question import Question, grid

    def measure(cell, source):
        calls.append(cell["x"])
        if cell["x"] in wrong:
            raise RuntimeError("interrupted")
        return [{"square": cell["x"] ** 2 + 0.123456789}]

    return Question("0", "counting", grid(x=[1, 2, 3]), 6.0, measure, str, str)


def test_a_question_says_its_cost_and_goes_on_where_it_stopped(questions, tmp_path):
    calls, said = [], []
    csv = tmp_path / "counting.csv"
    with pytest.raises(RuntimeError):
        counting(calls, wrong=[2]).run(csv, None, said.append)
    assert said[0] == "counting: 3 of 3 cells to measure, about 6.0 minutes of one core"
    assert csv.read_text() == "x,square\n1,1.1235\n"
    counting(calls).run(csv, None, said.append)
    assert "counting: 2 of 3 cells to measure, about 4.0 minutes of one core" in said
    assert calls == [1, 2, 2, 3]
    assert [row["x"] for row in questions.entry.read_rows(csv)] == ["1", "2", "3"]


def test_an_unknown_question_is_one_line(questions, capsys):
    assert questions.entry.main(["influense"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: question 'influense' is not one") and "influence" in error
    assert error.count("\n") == 1


@pytest.fixture
def noise_source(questions):
    """A source of images of noise, under every name."""
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Image

    def split(names, count, seed):
        rng = np.random.default_rng(seed)
        columns = {
            "image": [rng.integers(0, 256, (8, 8), dtype=np.uint8) for _ in range(count)],
            "label": (np.arange(count) % len(names)).tolist(),
        }
        return Dataset.from_dict(columns, Features({"image": Image(), "label": ClassLabel(names=names)}))

    def load(name):
        names = ["Pullover", "Bag", "Coat"]
        if name.startswith("characters"):
            names = [chr(code) for code in range(33, 127)]
        return DatasetDict({part: split(names, 2 * len(names), seed) for seed, part in enumerate(("train", "test"))})

    def model(folder, recipe, name, left_out=None):
        assert (folder, recipe.architecture) == ("many weights", "resnet-18")
        assert (name == "original") == (left_out is None)
        return make_model(label_names=load(recipe.dataset)["train"].features["label"].names)

    return types.SimpleNamespace(load=load, trained=types.SimpleNamespace(model=model))


@pytest.mark.slow
def test_every_question_measures_what_its_rows_hold(questions, noise_source, monkeypatch):
    small = {"PASSES": 2, "SEEN": 1, "STEPS": 2, "EVERY": 1, "LOOKED_AT": (0, 2), "RETRAININGS": 4, "TENTHS": 2}
    small |= {"FORGOTTEN": 1, "RANDOM_SHARE": 0.5, "REQUESTS": {"two": ForgetRequest(count=2)}}
    for module in questions.entry.MODULES:
        for name, value in small.items():
            if hasattr(module, name) and not (module is questions.rotation and name == "FORGOTTEN"):
                monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(questions.objectives, "REGIMES", {name: (1, ()) for name in questions.objectives.REGIMES})
    for question in questions.entry.QUESTIONS.values():
        if question.measure is None:
            continue
        narrow = [cell for cell in question.cells if cell.get("width", 1) == 1 and cell.get("classes", 5) <= 10]
        first = {**narrow[0], **({"request": "two"} if "request" in narrow[0] else {})}
        rows = [{**first, **row} for row in question.measure(first, noise_source)]
        assert rows and all(set(row) == set(rows[0]) for row in rows), question.name
        if question in answered(questions):
            assert {*questions.entry.read_rows(question.csv)[0]} == set(rows[0]), question.name
        numeric = [value for row in rows for value in row.values() if isinstance(value, float)]
        assert np.isfinite(numeric).all(), question.name


def test_the_large_networks_class_is_that_of_the_study_of_regimes(questions, noise_source):
    setting = questions.objectives.large_setting(0, noise_source)
    named = noise_source.load("characters")["train"].features["label"].names
    assert {named[label] for label in setting.forget.labels} == {"R"} and len(setting.forget) == 2
    assert len(set(setting.test.labels.tolist())) == len(named)
    found = questions.objectives.figures(setting.original, setting.forget, setting.test)
    assert all(0 <= value <= 100 for value in found.values())


def test_rows_are_added_under_the_columns_that_are_there(questions, tmp_path):
    import contextlib

    from study_defaults import append_rows

    path = tmp_path / "rows.csv"
    append_rows(path, [{"a": 1, "b": 2}], contextlib.nullcontext())
    append_rows(path, [{"b": 4, "a": 3}], contextlib.nullcontext())
    assert path.read_text() == "a,b\n1,2\n3,4\n"
    with pytest.raises(ValueError, match="rows.csv has other columns than the new rows: b, c"):
        append_rows(path, [{"a": 1, "c": 2}], contextlib.nullcontext())
    assert path.read_text() == "a,b\n1,2\n3,4\n"

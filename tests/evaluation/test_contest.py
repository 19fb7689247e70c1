"""The comparison: every model on every split, with its own preprocessing and label order."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, UnlearningError, make_splits
from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.evaluation.contest import _retain_sample, compare_models
from hf_unlearn.evaluation.predict import Contestant, predict_logits
from hf_unlearn.evaluation.report.rows import DEPTH, ROWS, SUMMARY
from hf_unlearn.evaluation.report.table import comparison_table, findings
from hf_unlearn.models.from_scratch import new_image_processor
from tests.tiny import LABELS, make_dataset, make_model, make_processor, make_reference


@pytest.fixture(scope="module")
def splits():
    dataset = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    return make_splits(dataset, ForgetRequest(classes=("red",)))


class ByColour(torch.nn.Module):
    """Answers red, green or blue by the strongest channel: always right but for grey."""

    def __init__(self, label_names=LABELS, never=None):
        super().__init__()
        self.config = make_model(label_names=label_names).config
        self.dtype, self.device = torch.float32, torch.device("cpu")
        self.never = never
        # The comparison tells models apart by their weights.
        self.marks = torch.nn.Parameter(torch.tensor([float(len(never or "")), float(label_names[0] == "red")]))
        self.calls = 0

    def forward(self, pixel_values):
        self.calls += 1
        means = dict(zip(["red", "green", "blue"], pixel_values.mean((2, 3)).T, strict=True))
        lowest = torch.full((len(pixel_values),), -9.0)
        names = [self.config.id2label[index] for index in range(4)]
        never = (self.never,) if isinstance(self.never, str) else self.never or ()
        return {"logits": torch.stack([lowest if n in never else means.get(n, lowest) for n in names], dim=1)}


def contestants(**models):
    return {role: Contestant(role, model, make_processor()) for role, model in models.items()}


def test_figures_by_hand(splits):
    both = contestants(original=ByColour(), unlearned=ByColour(never="red"))
    results = compare_models(both, splits, [Contestant("c", ByColour(never="red"), make_processor())])
    models = results["models"]
    # A quarter of each set is red, a quarter grey, which this model never gets right.
    expected = {
        "name": "original",
        "forget_accuracy": 100.0,
        "unlearning_accuracy": 0.0,
        "retain_accuracy": pytest.approx(200 / 3),
        "test_accuracy": 75.0,
        "test_accuracy_remaining": pytest.approx(200 / 3),
        "test_accuracy_forgotten": 100.0,
        "average_gap": pytest.approx((100 + 0 + 25) / 3),
        "tug_of_war": 0.0,
        "completeness": 0.0,
    }
    assert {name: models["original"][name] for name in expected} == expected
    unlearned = models["unlearned"]
    assert unlearned["forget_accuracy"] == 0 and unlearned["average_gap"] == 0 and unlearned["tug_of_war"] == 1
    assert unlearned["js_divergence"] == pytest.approx(0) and unlearned["completeness"] == 100
    assert results["whole_classes"] is True


TWO = (("a", "red"), ("b", ("red", "green")))


def test_several_references_give_mean_spread_and_floor(splits):
    references = [Contestant(n, ByColour(never=never), make_processor()) for n, never in TWO]
    results = compare_models(contestants(unlearned=ByColour(never="red")), splits, references)
    # Forget accuracy 0, remaining 2/3 and 1/3, all test samples 1/2 and 1/4.
    assert results["models"]["retrained"]["forget_accuracy"] == 0
    assert results["models"]["retrained"]["test_accuracy"] == 37.5
    assert results["retrained_std"]["test_accuracy"] == pytest.approx(np.std([50, 25], ddof=1))
    assert results["noise_floor"]["average_gap"] == pytest.approx((0 + 100 / 3 + 25) / 3)
    assert results["models"]["unlearned"]["average_gap"] == pytest.approx((0 + 100 / 3 + 25) / 6)
    assert [reference["name"] for reference in results["references"]] == ["a", "b"]
    said = " ".join(findings(results))
    assert "is a tie" in said and "19.44 among themselves" in said
    assert "±" in comparison_table(results)


def test_a_gap_above_the_floor_is_no_tie(splits):
    references = [Contestant(n, ByColour(never="red"), make_processor()) for n in "ab"]
    # Other weights, which say the same.
    references[1].model.marks.data += 1
    results = compare_models(contestants(original=ByColour(), unlearned=ByColour(never="blue")), splits, references)
    assert results["noise_floor"]["average_gap"] == 0
    assert "no tie" in " ".join(findings(results))


def test_swapping_original_and_retrained_turns_the_verdict(splits):
    original, retrained, other = ByColour(), ByColour(never="red"), ByColour(never=("red", "green"))
    unlearned = ByColour(never="red")
    for first, reference, closer in ((original, retrained, True), (retrained, other, False)):
        results = compare_models(
            contestants(original=first, unlearned=unlearned), splits, [Contestant("r", reference, make_processor())]
        )
        assert results["verdict"]["closer_than_doing_nothing"] is closer
        said = " ".join(findings(results))
        assert ("NO NEARER than doing nothing" in said) is not closer and "nearer than doing nothing" in said.lower()


def test_each_model_has_its_own_label_order(splits):
    both = contestants(original=ByColour(), unlearned=ByColour(LABELS[::-1]))
    reference = Contestant("r", ByColour(never="red"), make_processor())
    models = compare_models(both, splits, [reference])["models"]
    assert models["original"]["test_accuracy"] == models["unlearned"]["test_accuracy"] == 75.0
    # The answers are the same, so they are as far from a third one's, whatever the order of the logits.
    assert models["unlearned"]["js_divergence"] == pytest.approx(models["original"]["js_divergence"], abs=1e-9)


def test_each_model_has_its_own_preprocessing(splits):
    class Bright(ByColour):
        def forward(self, pixel_values):
            assert pixel_values.min() >= 0
            return super().forward(pixel_values)

    from transformers import ViTImageProcessorPil

    plain = ViTImageProcessorPil(do_resize=True, size={"height": 16, "width": 16}, do_normalize=False)
    both = {**contestants(original=ByColour()), "unlearned": Contestant("b", Bright(never="green"), plain)}
    assert compare_models(both, splits)["models"]["unlearned"]["test_accuracy"] == 50


def test_without_a_test_set(splits):
    alone = make_splits(DatasetDict({"train": make_dataset(32)}), ForgetRequest(classes=("red",)))
    figures = compare_models(contestants(unlearned=ByColour()), alone)["models"]["unlearned"]
    assert figures["forget_accuracy"] == 100.0
    assert figures["test_accuracy"] is None


def test_without_a_reference_it_says_what_cannot_be_said(splits):
    results = compare_models(contestants(unlearned=ByColour()), splits)
    assert "average_gap" not in results["models"]["unlearned"] and results["noise_floor"] is None
    assert "--reference_model" in results["left_out"]["distances to the retrained model"]
    assert "nobody can say" in " ".join(findings(results))
    random = make_splits(DatasetDict({"train": make_dataset(32)}), ForgetRequest(count=5))
    assert "nobody can say" in " ".join(findings(compare_models(contestants(unlearned=ByColour()), random)))


@pytest.mark.parametrize(
    ("roles", "references", "level", "named"),
    [
        ({"teacher": ByColour()}, [], "fast", "role 'teacher'"),
        ({"unlearned": ByColour()}, [], "slow", "level 'slow'"),
        ({"unlearned": ByColour()}, [ByColour()] * 5, "fast", "5 reference models"),
        ({}, [], "fast", "no model"),
    ],
)
def test_bad_input_is_refused(splits, roles, references, level, named):
    given = [Contestant("r", model, make_processor()) for model in references]
    with pytest.raises(UnlearningError, match=named):
        compare_models(contestants(**roles), splits, given, level=level)


def test_a_reference_with_other_labels_is_refused(splits):
    other = make_model(label_names=[*LABELS, "violet"])
    with pytest.raises(UnlearningError, match="'r' has other labels .* 'violet'"):
        compare_models(contestants(unlearned=make_model()), splits, [Contestant("r", other, make_processor())])


def test_a_reference_of_another_image_size_is_refused(splits):
    reference = Contestant("r", make_model(seed=1), new_image_processor(24))
    with pytest.raises(UnlearningError, match=r"'r' takes images of \(3, 24, 24\).*\(3, 16, 16\)"):
        compare_models(contestants(unlearned=make_model()), splits, [reference])


def test_one_reference_under_two_names_is_refused(splits):
    references = [Contestant(name, make_model(seed=2), make_processor()) for name in "ab"]
    with pytest.raises(UnlearningError, match="references 'a' and 'b' are one model"):
        compare_models(contestants(unlearned=make_model()), splits, references)
    # The model that is judged may be one of them.
    compare_models(contestants(unlearned=make_model(seed=2)), splits, references[:1])


def test_a_reference_that_knows_what_was_to_go_is_none(splits):
    both = contestants(original=ByColour(), unlearned=ByColour(never="green"))
    references = [
        Contestant("good", ByColour(never="red"), make_processor()),
        Contestant("r", ByColour(), make_processor()),
    ]
    with pytest.raises(UnlearningError, match="reference 'r' knows the forgotten classes.* 100.0 %.* at most 2 %"):
        compare_models(both, splits, references)
    # Where the class stays, every retrained model knows it.
    data = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    compare_models(both, make_splits(data, ForgetRequest(indices=(0, 4))), references)


def test_splits_that_overlap_are_refused_with_their_number(splits):
    overlapping = dataclasses.replace(splits, retain_indices=np.arange(32))
    with pytest.raises(UnlearningError, match="share 8 samples"):
        compare_models(contestants(unlearned=ByColour()), overlapping)


def test_logits_that_are_not_finite_are_refused_and_not_kept(splits, tmp_path):
    broken = make_model()
    broken.classifier[1].bias.data[0] = float("nan")
    with pytest.raises(UnlearningError, match="unlearned model's logits on the forget set are not finite"):
        compare_models(contestants(unlearned=broken), splits, cache_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_pass_is_made_once(splits, tmp_path):
    model, other = ByColour(), ByColour(never="red")
    first = compare_models(contestants(original=model), splits, cache_dir=str(tmp_path))
    calls = model.calls
    again = compare_models(contestants(original=model, unlearned=other), splits, cache_dir=str(tmp_path))
    assert calls > 0 and model.calls == calls and other.calls > 0
    assert again["models"]["original"] == first["models"]["original"]


def test_changed_weights_or_images_are_no_old_ones(splits, tmp_path):
    model = make_model()
    before = compare_models(contestants(original=model), splits, cache_dir=str(tmp_path))
    files = len(list(tmp_path.iterdir()))
    model.classifier[1].bias.data[0] += 100.0
    after = compare_models(contestants(original=model), splits, cache_dir=str(tmp_path))
    assert after["models"]["original"]["forget_accuracy"] == 100 != before["models"]["original"]["forget_accuracy"]
    # The request's fingerprint does not read pixels; the cache must.
    data = DatasetDict({"train": make_dataset(32, seed=7), "test": make_dataset(16, seed=8)})
    compare_models(
        contestants(original=model), make_splits(data, ForgetRequest(classes=("red",))), cache_dir=str(tmp_path)
    )
    assert len(list(tmp_path.iterdir())) == 3 * files


def test_standard_takes_everything(splits):
    data = DatasetDict({"train": make_dataset(160), "test": make_dataset(160, seed=1)})
    large = make_splits(data, ForgetRequest(classes=("red",)))
    both = contestants(original=make_model(seed=0), unlearned=make_model(seed=1))
    references = [Contestant(n, make_reference(seed), make_processor()) for n, seed in (("a", 2), ("b", 3))]
    seconds = {"unlearned": 1.0, "retrained": 4.0}
    results = compare_models(both, large, references, level="standard", seconds=seconds)
    given = {row.key for row in ROWS if row.group not in (SUMMARY, DEPTH)}
    found = {key for key, value in results["models"]["unlearned"].items() if value is not None}
    # Forty unseen samples of the class are too few for the true-positive rates, and the report says so.
    few = {"rmia_tpr_1", "rmia_tpr_01", "relearn_steps", "relearn_ratio"}
    assert results["left_out"]["depth"] == "it is taken at the level deep"
    # A whole class has no siblings.
    assert given - found <= {*few, "test_accuracy_siblings"}
    assert "at least 100" in results["left_out"]["rmia_tpr_1"]
    assert results["models"]["unlearned"]["runtime_ratio"] == 0.25
    assert results["curves"]["roc_attack"] == "RMIA"
    assert set(results["curves"]["sensitivity"]) == {"edges", "original", "unlearned", "retrained", "unseen"}
    for name in ("target_sensitivity", "zrf", "mia_entropy"):
        assert results["models"]["retrained"][name] is not None


def test_images_are_decoded_once_for_all_models(monkeypatch):
    data = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    splits = make_splits(data, ForgetRequest(classes=("red",)))
    decoded = Counter()
    decode = PixelDataset._decode

    def count(self, indices):
        decoded[len(self)] += len(indices)
        return decode(self, indices)

    monkeypatch.setattr(PixelDataset, "_decode", count)
    both = contestants(original=make_model(seed=0), unlearned=make_model(seed=1))
    references = [Contestant(n, make_reference(seed), make_processor()) for n, seed in (("a", 2), ("b", 3))]
    compare_models(both, splits, references, level="standard")
    # Once for logits, and once for what looks at samples one by one; the shape of one image of each of four models,
    # and one image through each model (with that of random weights) before a pass.
    assert decoded[8] <= 2 * 8 + 4 + 5
    assert decoded[24] == 24 + 4 and decoded[16] == 16 + 4 + 4


def test_answers_that_the_dataset_has_no_name_for_are_wrong_ones(splits):
    class Further(ByColour):
        """Says of half the images what is no label of the dataset."""

        def __init__(self):
            super().__init__()
            self.config = make_model(label_names=[*LABELS, "violet"]).config

        def forward(self, pixel_values):
            logits = torch.nn.functional.pad(super().forward(pixel_values)["logits"], (0, 1), value=-9.0)
            logits[::2, 4] = 99.0
            return {"logits": logits}

    results = compare_models(contestants(unlearned=Further()), splits, batch_size=4)
    # Of four images in a batch the second is green and the fourth grey.
    assert results["curves"]["per_class_accuracy"]["unlearned"] == [0.0, 100.0, 0.0, 0.0]
    assert results["models"]["unlearned"]["test_accuracy"] == 25.0
    assert np.array(results["curves"]["confusion"]["unlearned"]).sum() == 16


def test_times_are_told_as_far_as_they_are_known(splits):
    both = contestants(original=ByColour(), unlearned=ByColour(never="red"))
    reference = [Contestant("r", ByColour(never="red"), make_processor())]
    alone = compare_models(both, splits, seconds={"unlearned": 3.0})
    assert alone["models"]["unlearned"]["seconds"] == 3.0 and "seconds" not in alone["models"]["original"]
    half = compare_models(both, splits, reference, seconds={"retrained": 9.0})
    assert half["models"]["retrained"]["seconds"] == 9.0 and "RTE" in str(half["left_out"])
    only = contestants(original=ByColour())
    other = compare_models(only, splits, reference, seconds={"unlearned": 3.0, "retrained": 9.0})
    assert "runtime_ratio" not in other["models"]["original"]
    for wrong in ({"unlearned": 0.0}, {"unlearned": float("nan")}, {"teacher": 1.0}):
        with pytest.raises(UnlearningError, match="seconds of"):
            compare_models(both, splits, reference, seconds=wrong)


def test_what_the_original_does_not_know_is_not_relearned(splits):
    never = make_model()
    never.classifier[1].bias.data[0] = -1000.0
    both = contestants(original=never, unlearned=make_model(seed=1))
    results = compare_models(both, splits, level="standard")
    assert "knows none" in results["left_out"]["relearn_steps"]
    assert results["models"]["unlearned"].get("relearn_steps") is None


def test_identical_models_have_no_distance(splits):
    model = make_model()
    reference = Contestant("r", make_model(), make_processor())
    figures = compare_models(contestants(unlearned=model), splits, [reference], level="standard")["models"]["unlearned"]
    assert figures["average_gap"] == 0 and figures["tug_of_war"] == 1 and figures["completeness"] == 100
    assert figures["target_ratio"] == pytest.approx(1) and figures["irrelevant_ratio"] == pytest.approx(1)


def test_logits_come_in_the_datasets_order():
    model = make_model()
    pixels = PixelDataset(make_dataset(10), make_processor(), "image", "label", range(4))
    whole = predict_logits({"m": model}, pixels, batch_size=10)["m"]
    np.testing.assert_allclose(predict_logits({"m": model}, pixels, batch_size=3)["m"], whole, rtol=1e-4, atol=1e-6)


def test_the_table_has_a_column_a_model_a_target_and_an_arrow(splits):
    results = compare_models(
        contestants(unlearned=ByColour(never="red")),
        splits,
        [Contestant("c", ByColour(never=("red", "green")), make_processor())],
    )
    lines = comparison_table(results).splitlines()
    assert lines[0].split() == ["unlearned", "retrained", "target"]
    (gap,) = (line for line in lines if line.strip().startswith("average gap (MU-Mis)"))
    assert gap.split()[-4:] == ["↓", "19.44", "–", "0.00"]
    assert "↓ lower is better" in lines[-1]


def test_a_sample_of_the_retained_ones_says_its_error(splits):
    models = contestants(original=ByColour())
    whole, part = (compare_models(models, splits, max_retain_samples=most) for most in (0, 12))
    assert (
        whole["retain_sample"] is None
        and compare_models(models, splits, max_retain_samples=999)["retain_sample"] is None
    )
    assert part["counts"]["retain"] == 12 and whole["counts"]["retain"] > 12
    sample = part["retain_sample"]
    assert (sample["samples"], sample["among"]) == (12, whole["counts"]["retain"])
    difference = abs(part["models"]["original"]["retain_accuracy"] - whole["models"]["original"]["retain_accuracy"])
    assert difference <= sample["half_width"] == pytest.approx(98 * (12 / 23 / 12) ** 0.5)
    assert any("over 12 of" in sentence for sentence in findings(part))
    assert not any("retained samples" in sentence for sentence in findings(whole))


def test_the_stated_error_holds():
    # Shares over draws without return lie within it in about 95 of 100.
    rng = np.random.default_rng(0)
    right = rng.permutation(np.arange(600) < 300)
    half_width = _retain_sample(150, 600)["half_width"]
    within = [abs(100 * rng.permutation(right)[:150].mean() - 50.0) <= half_width for _ in range(2000)]
    assert 0.92 < np.mean(within) < 0.98

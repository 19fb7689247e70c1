"""An audit from the request to the verdict, on models of a fraction of a second."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import yaml
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, UnlearningError, audit, forget_splits, make_splits
from hf_unlearn.commands.main import main
from hf_unlearn.ensembles.ensemble import Ensemble
from hf_unlearn.ensembles.plan import Plan, check_time
from hf_unlearn.ensembles.workshop import Workshop
from hf_unlearn.evaluation import audit_models
from hf_unlearn.models.start import Start
from tests.tiny import LABELS, make_dataset, make_model, make_processor

TINY = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
ARCHITECTURE = {"model_type": "resnet", "config_overrides": TINY, "image_size": 16}
TRAINING = {"num_train_epochs": 6, "per_device_train_batch_size": 16, "learning_rate": 1e-2}
FEW = {"num_models": 8, "rounds": 200, "use_cpu": True}
# Nobody may train these.
REFUSED = {**FEW, **ARCHITECTURE, "cache_dir": "unused"}


@pytest.fixture(scope="module", autouse=True)
def little_garbage():
    """The trainer collects garbage after each run, among all that the libraries hold: most of a tiny run's time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def data():
    return DatasetDict(train=make_dataset(48), test=make_dataset(24, seed=1))


@pytest.fixture(scope="module")
def splits(data):
    return make_splits(data, ForgetRequest(classes="red"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def nothing(splits, cache):
    return audit(splits, cache_dir=cache, **ARCHITECTURE, training_settings=TRAINING, method="nothing", **FEW)


@pytest.fixture(scope="module")
def exact(splits, cache, nothing):
    return audit(splits, cache_dir=cache, **ARCHITECTURE, training_settings=TRAINING, method="retrain", **FEW)


def folders(cache, kind):
    (found,) = (path for path in cache.iterdir() if path.name.partition("-")[0] == kind)
    return [str(path) for path in sorted(found.iterdir()) if path.is_dir()]


def test_exact_retraining_passes_and_doing_nothing_fails(nothing, exact):
    assert exact["verdict"] == "passes" and all(each["passes"] for each in exact["audits"].values())
    assert set(exact["audits"]) == {"u_lira", "klom", "forgetting_quality"}
    assert nothing["verdict"] == "fails"
    # Twenty bins of eight models are nearly all empty: KLoM tells little of so few.
    assert not nothing["audits"]["forgetting_quality"]["passes"]
    for name, sign in {"klom": 1, "forgetting_quality": -1}.items():
        assert sign * (nothing["audits"][name]["figure"] - exact["audits"][name]["figure"]) > 0
    assert nothing["unchanged"] == 16 and exact["unchanged"] == 0
    assert nothing["accuracies"]["unlearned"]["forget"] > 80 and exact["accuracies"]["unlearned"]["forget"] == 0
    assert nothing["counts"] == {"forget": 12, "retain": 36, "test": 24} and nothing["method"] == "nothing"


def test_what_is_in_the_cache_is_not_made_again(splits, cache, exact, monkeypatch):
    def trained(self, kind, number):
        raise AssertionError("it is there already")

    monkeypatch.setattr(Workshop, "_trained", trained)
    said = []
    settings = {**ARCHITECTURE, "training_settings": TRAINING, **FEW}
    again = audit(splits, cache_dir=cache, method="retrain", **settings, report=said.append)
    assert again == exact and said == []


def test_an_audit_goes_on_where_it_was_interrupted(splits, tmp_path, monkeypatch):
    made, train = [], Workshop._trained

    def trained(self, kind, number):
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append((kind, number))
        return train(self, kind, number)

    settings = {**ARCHITECTURE, "training_settings": {**TRAINING, "max_steps": 1}, "u_lira": False, "method": "nothing"}
    monkeypatch.setattr(Workshop, "_trained", trained)
    with pytest.raises(KeyboardInterrupt):
        audit(splits, cache_dir=tmp_path, **settings, **FEW)
    first = made.copy()
    made.clear()
    monkeypatch.setattr(Workshop, "_trained", lambda self, *each: made.append(each) or train(self, *each))
    found = audit(splits, cache_dir=tmp_path, **settings, **FEW)
    assert set(first) & set(made) == set() and len(first + made) == 16
    assert "random halves" in found["left_out"]["u_lira"]


def test_a_method_is_run_on_the_originals_and_on_the_halves(splits, cache, nothing):
    """One step of gradient ascent, by the settings that it is given."""
    settings = {**ARCHITECTURE, "training_settings": TRAINING, **FEW}
    asked = {"method": "gradient_ascent", "method_settings": {"max_steps": 1, "learning_rate": 1e-6}}
    found = audit(splits, cache_dir=cache, **asked, **settings)
    assert found["method"] == "gradient_ascent" and found["unchanged"] == 0
    # A step of a millionth leaves what was there.
    figures = (each["audits"]["klom"]["figure"] for each in (found, nothing))
    assert np.diff(list(figures)) == pytest.approx(0, abs=0.2)


def test_originals_and_halves_serve_every_request(data, cache, nothing):
    splits = make_splits(data, ForgetRequest(fraction=0.25))
    other = Workshop(ensemble(splits), cache)
    missing = Plan(other, 1).missing()
    assert missing == {"original": 0, "half": 0, "retrained": 8}
    # Their recipes are those of the other request's.
    assert other.model("original", 3) is not None and other.model("half", 3) is not None


def ensemble(splits, **changed):
    settings = {"training": TRAINING, "method": "nothing", "num_models": 8, "use_cpu": True}
    return Ensemble(splits, Start(**ARCHITECTURE), **{**settings, **changed})


def test_each_model_sees_what_its_kind_says(splits):
    made = ensemble(splits)
    forget, held = made.places("forget"), made.held(3)
    assert held.sum() == 24 and not np.array_equal(held, made.held(4))
    assert len(made.seen("original", 3)) == 48
    np.testing.assert_array_equal(made.seen("retrained", 3), np.setdiff1d(np.arange(48), forget))
    np.testing.assert_array_equal(made.seen("half", 3), np.flatnonzero(held))
    np.testing.assert_array_equal(made.seen("half_exact", 3), np.setdiff1d(np.flatnonzero(held), forget))
    part = made.splits_of_half(3)
    np.testing.assert_array_equal(part.forget_indices, np.intersect1d(splits.forget_indices, made.indices[held]))
    np.testing.assert_array_equal(part.retain_indices, np.intersect1d(splits.retain_indices, made.indices[held]))
    assert part.removes_whole_classes and len(part.forget) == len(part.forget_indices)
    seeds = {made.seed_of(kind, number) for kind in ("original", "retrained", "half") for number in range(8)}
    assert len(seeds) == 24


def test_a_run_that_fails_leaves_the_original_which_is_counted(splits, cache, nothing, monkeypatch):
    from hf_unlearn import DivergenceError, GradientAscentTrainer

    def diverge(self, *args, **kwargs):
        raise DivergenceError("ran away")

    monkeypatch.setattr(GradientAscentTrainer, "train", diverge)
    settings = {**ARCHITECTURE, "training_settings": TRAINING, **FEW}
    found = audit(splits, cache_dir=cache, method="gradient_ascent", method_settings={"max_steps": 2}, **settings)
    assert found["unchanged"] == 16 and found["audits"] == nothing["audits"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_models": 7}, "7 models .num_models.; an audit takes at least 8"),
        ({"method": "mu_miss"}, "'mu_miss' is not known; did you mean 'mu_mis'"),
        ({"method_settings": {"max_stepz": 1}}, "method_settings names 'max_stepz'.*did you mean 'max_steps'"),
        ({"training_settings": {"seed": 1}}, "training_settings names 'seed', which the audit sets"),
        ({"training_settings": {"num_train_epoch": 1}}, "did you mean 'num_train_epochs'"),
        (
            {"training_settings": {"eval_strategy": "sometimes"}},
            "training_settings: these settings cannot be used: sometimes is not a valid",
        ),
        ({"method": "retrain", "method_settings": {"max_steps": 1}}, "the method 'retrain' has none"),
        ({"num_processes": 0}, "num_processes is 0; expected at least 1"),
        ({"max_minutes": 0}, "max_minutes is 0; expected more than 0"),
        ({"rounds": 1}, "rounds is 1; expected at least 60"),
        ({"seed": -1}, "seed is -1; expected 0"),
        ({"max_retain_samples": 0}, "max_retain_samples is 0; expected at least 1"),
        ({"model_type": None}, "expected either --model_name_or_path .* or --model_type"),
        ({"model_type": "resnett"}, "'resnett' is not an image classifier"),
    ],
)
def test_what_no_audit_can_be_made_of_is_refused_before_anything_is_made(splits, tmp_path, settings, said):
    with pytest.raises(UnlearningError, match=said):
        audit(splits, **{**REFUSED, "cache_dir": tmp_path / "models", **settings})
    assert not (tmp_path / "models").exists()


def test_samples_alone_are_not_enough(tmp_path):
    splits = forget_splits(make_dataset(24), forget_kind="subset")
    with pytest.raises(UnlearningError, match="expected a request on a whole training set"):
        audit(splits, **{**REFUSED, "cache_dir": tmp_path})


@pytest.mark.parametrize(
    ("training", "names", "said"),
    [
        ({**TRAINING, "num_train_epochs": 7}, LABELS, "by another recipe: training is"),
        (TRAINING, [*LABELS[:3], "gray"], "by another recipe: labels is"),
    ],
)
def test_models_of_other_recipes_and_labels_are_refused(cache, nothing, training, names, said):
    train = make_dataset(48)
    if names is not LABELS:
        from datasets import ClassLabel

        train = train.cast_column("label", ClassLabel(names=names))
    splits = make_splits(DatasetDict(train=train), ForgetRequest(classes="red"))
    with pytest.raises(UnlearningError, match=said):
        audit(splits, cache_dir=cache, **ARCHITECTURE, training_settings=training, method="nothing", **FEW)


def test_models_of_another_training_set_are_refused(cache, nothing):
    splits = make_splits(DatasetDict(train=make_dataset(48, seed=7)), ForgetRequest(classes="red"))
    with pytest.raises(UnlearningError, match="by another recipe: data is"):
        audit(splits, cache_dir=cache, **ARCHITECTURE, training_settings=TRAINING, method="nothing", **FEW)


def test_fine_tuning_starts_from_the_model_that_is_named_and_no_other(splits, tmp_path):
    """Its folder may come to hold another model: those that were made from the first are not taken for its."""
    saved(make_model(label_names=["a", "b"]), tmp_path / "start")
    start = Start(str(tmp_path / "start"))
    tuned = Ensemble(splits, start, training={"max_steps": 2}, num_models=8, use_cpu=True)
    first = Workshop(tuned, tmp_path / "models").model("original", 0)
    # Its body, and a head for the dataset's labels.
    assert first.config.num_labels == 4 and sorted(first.config.label2id) == sorted(LABELS)
    body = make_model(label_names=["a", "b"]).state_dict()
    kept = [name for name, value in first.state_dict().items() if name in body and value.shape == body[name].shape]
    far = max((first.state_dict()[name] - body[name]).abs().max() for name in kept if "embedder.embedder.conv" in name)
    assert 0 < far < 0.1
    saved(make_model(seed=1, label_names=["a", "b"]), tmp_path / "start")
    with pytest.raises(UnlearningError, match="by another recipe: start_weights is"):
        Workshop(tuned, tmp_path / "models").model("original", 0)


def test_what_takes_too_long_is_refused_before_it_starts(splits, tmp_path, monkeypatch):
    monkeypatch.setattr(Workshop, "rehearse", lambda self: 2.0)
    asked = {**REFUSED, "cache_dir": tmp_path / "models", "training_settings": TRAINING}
    # Passes of 3, 3 and 2 steps, six each: 18 + 18 + 12 steps of 2 s for each of 8 numbers, two at a time.
    with pytest.raises(
        UnlearningError, match=r"8 models take about 6.4 minutes \(training alone\), and max_minutes is 6"
    ):
        audit(splits, **asked, max_minutes=6, num_processes=2)
    assert not (tmp_path / "models").exists()


def test_how_long_it_takes_is_said(capsys):
    said = []
    check_time(90.0, "training alone", 32, 2, said.append)
    assert said == ["training alone: about 1.5 minutes"]
    with pytest.raises(UnlearningError, match="expected a later end, more num_processes, or at most 21 models"):
        check_time(90.0, "the rest", 32, 1, said.append)
    with pytest.raises(UnlearningError, match="or smaller models"):
        check_time(3600.0, "the rest", 32, 1, said.append)


def test_a_rehearsal_takes_time_and_leaves_nothing(splits, tmp_path):
    shop = Workshop(ensemble(splits), tmp_path / "models")
    assert 0 < shop.rehearse() < 60 and shop.steps("original") == 18 and shop.steps("half") == 12
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
def test_several_processes_give_what_one_does(splits, cache, exact, tmp_path):
    settings = {**ARCHITECTURE, "training_settings": TRAINING, **FEW, "num_models": 9}
    found = audit(splits, cache_dir=tmp_path, method="retrain", num_processes=2, **settings)
    alone = audit(splits, cache_dir=cache, method="retrain", **settings)
    assert found == alone


def test_models_that_are_there_are_audited_and_swapped_ones_turn_the_verdict_round(splits, cache, nothing, exact):
    retrained, originals, more = (folders(cache, kind) for kind in ("retrained", "original", "exact"))
    few = {"rounds": 200}
    found = audit_models(more, retrained, splits, **few)
    assert found["verdict"] == "passes"
    for name in ("klom", "forgetting_quality"):
        assert found["audits"][name] == {**exact["audits"][name], "passes": True}
    assert audit_models(originals, retrained, splits, **few)["verdict"] == "fails"
    # With the originals where the retrained ones belong, what was exact is told from them.
    assert audit_models(more, originals, splits, **few)["verdict"] == "fails"


def saved(model, folder):
    model.save_pretrained(folder)
    make_processor().save_pretrained(folder)
    return str(folder)


def test_unlike_models_are_refused(splits, cache, nothing, exact, tmp_path):
    retrained, more = folders(cache, "retrained"), folders(cache, "exact")

    def refused(ours, said, theirs=retrained):
        with pytest.raises(UnlearningError, match=said):
            audit_models(ours, theirs, splits, rounds=60)

    refused(more[:7], "7 unlearned models; an audit takes at least 8")
    refused([*more, more[0]], "9 unlearned models and 8 retrained ones; expected as many")
    refused([*more[:7], more[0]], "unlearned model 7 .* is unlearned model 0 .* once more")
    refused([*more[:7], retrained[0]], "retrained model 0 .* is unlearned model 7 .* once more")
    other = saved(make_model(label_names=["red", "green", "blue", "grey", "pink"]), tmp_path / "labels")
    refused([*more[:7], other], "unlearned model 7 .* has other labels than unlearned model 0")
    lacking = saved(make_model(label_names=["green", "blue", "grey", "pink"]), tmp_path / "lacking")
    refused([lacking, *more[:7]], "red")
    refused([*more[:7], saved(make_model("vit"), tmp_path / "vit")], "has other architecture than .*: vit of")
    refused([*more[:7], folders(cache, "half")[0]], "was made by another recipe than unlearned model 0 .*: seen is")


def test_by_command(cache, nothing, data, tmp_path, capsys):
    folder = tmp_path / "data"
    data.save_to_disk(folder)
    # Numbers as YAML 1.1 has them: the rate is a text there.
    settings = {
        "dataset_name": str(folder),
        "forget_classes": ["red"],
        **ARCHITECTURE,
        "training_settings": {**TRAINING, "learning_rate": "1e-2"},
        "method": "nothing",
        "num_models": 8,
        "cache_dir": str(cache),
        "output_dir": str(tmp_path / "out"),
        "use_cpu": True,
    }
    config = tmp_path / "audit.yaml"
    config.write_text(yaml.safe_dump(settings))
    assert main(["audit", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "Verdict: FAILS" in shown and "8 models, method nothing, the class 'red'" in shown
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["audit.json"]
    # Once more is no other audit, and another one does not take its place unasked.
    assert main(["audit", "--config", str(config)]) == 0
    assert main(["audit", "--config", str(config), "--method", "retrain"]) == 2
    assert "is of another audit (method 'nothing', not 'retrain')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--training_settings", "{}", "--num_models", "3"], "3 models (num_models); an audit takes at least 8"),
        (["--training_settings", "[1]"], "training_settings '[1]' is not an object; expected settings by name"),
        (["--training_settings", "{"], "training_settings '{' is not JSON"),
        (["--method_settings", '{"max_stepz": 1}'], "did you mean 'max_steps'"),
        (["--method_settings", '{"max_steps": "many"}'], "--max_steps: invalid int value: 'many'"),
        (["--method", "nothing", "--method_settings", "{}"], "the method 'nothing' has none"),
        (["--method", "nosuch"], "--method 'nosuch' is not known"),
        (["--model_name_or_path", "x"], "expected either --model_name_or_path"),
        ([], None),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_left(saved_dataset, tmp_path, capsys, words, said):
    out = tmp_path / "out"
    given = ["--model_type", "resnet", "--image_size", "16", "--dataset_name", saved_dataset, "--forget_classes", "red"]
    assert main(["audit", *given, *words, *([] if said is None else ["--output_dir", str(out)])]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (said or "--output_dir is missing") in line and not out.exists()

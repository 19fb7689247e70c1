"""A study that goes on in a CSV does not add rows of other models to those of one setting, nor half of a setting."""

from __future__ import annotations

import csv
import types
from pathlib import Path

import pytest

from hf_unlearn.errors import UnlearningError
from tests.scripts.test_regimes import scripts, without_processes  # noqa: F401

FIGURES = {
    **dict.fromkeys(("forget_accuracy", "retain_accuracy", "test_accuracy", "test_accuracy_remaining"), 90.0),
    **{"test_accuracy_forgotten": None, "target": 1.0, "irrelevant": 1.0, "js_divergence": 0.1},
}
SETTING = types.SimpleNamespace(
    name="digits/vit/seed 0/class:a",
    dataset="digits",
    model="vit",
    seed=0,
    request=types.SimpleNamespace(name="class:a"),
)


class Cache:
    """Of models that are their names."""

    def __init__(self, *given):
        pass

    def original(self, setting, data):
        return types.SimpleNamespace(name="original", config=None)

    def retrained(self, setting, splits):
        return types.SimpleNamespace(name="retrained")


class Measured:
    """What the original says is `said`; all others are retrained models."""

    said = 100.0

    def __init__(self, splits, *given):
        self.splits, self.processor = splits, None

    def figures(self, model):
        return {**FIGURES, "forget_accuracy": self.said if model.name == "original" else 50.0}


def rows_of(path):
    return list(csv.DictReader(path.open()))


def keep_first(path, count):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: 1 + count]))


@pytest.fixture
def fakes(scripts, monkeypatch):  # noqa: F811
    import study_runs
    import study_settings

    splits = types.SimpleNamespace(retain_indices=range(10), retain=range(10))
    monkeypatch.setattr(study_settings, "ModelCache", Cache)
    monkeypatch.setattr(study_settings, "load_data", lambda *given: None)
    monkeypatch.setattr(study_settings, "splits_of", lambda *given: splits)
    monkeypatch.setattr(study_runs, "Measured", Measured)
    monkeypatch.setattr(Measured, "said", 100.0)


def goes_on_with_the_same_models_alone(main, path, monkeypatch, capsys):
    """Run whole; with rows lost it makes them; with rows lost and other models it refuses and writes nothing."""
    assert main() == 0
    whole = rows_of(path)
    keep_first(path, 2)
    assert main() == 0 and rows_of(path) == whole
    keep_first(path, 2)
    before = path.read_bytes()
    monkeypatch.setattr(Measured, "said", 99.0)
    capsys.readouterr()
    assert main() == 2 and path.read_bytes() == before
    (line,) = capsys.readouterr().err.splitlines()
    assert SETTING.name in line and "of other models (doing nothing: average_gap 1" in line


def test_the_study_of_the_defaults(fakes, monkeypatch, tmp_path, capsys):
    import study_defaults
    import study_runs
    import study_settings

    monkeypatch.setattr(study_settings, "all_settings", lambda *given: [SETTING])
    monkeypatch.setattr(study_runs, "run_variant", lambda changed, model, *given: (model, {}))
    without_processes(monkeypatch, study_defaults)
    path = tmp_path / "rows.csv"
    words = ["--csv", str(path), "--datasets", "digits", "--models", "vit", "--seeds", "0"]
    goes_on_with_the_same_models_alone(lambda: study_defaults.main(words), path, monkeypatch, capsys)


def test_the_benchmark_of_methods(fakes, monkeypatch, tmp_path, capsys):
    import benchmark_methods

    pixels = types.SimpleNamespace(preload=lambda: None)
    monkeypatch.setattr("hf_unlearn.data.pixels.pixels_of", lambda *given: pixels)
    monkeypatch.setattr(benchmark_methods, "run_method", lambda *given: {"thrown_away": None})
    without_processes(monkeypatch, benchmark_methods)
    path = tmp_path / "rows.csv"
    words = ["--csv", str(path), "--trials", "0", "--methods", "mu_mis", "ssd", "--seeds", "0"]
    setting = types.SimpleNamespace(**vars(SETTING), _replace=lambda seed: SETTING)
    monkeypatch.setattr(benchmark_methods, "all_settings", lambda *given: [setting])
    goes_on_with_the_same_models_alone(lambda: benchmark_methods.main(words), path, monkeypatch, capsys)


def test_the_study_of_references(scripts, monkeypatch, tmp_path):  # noqa: F811
    import study_references as study

    said = {"do nothing": 30.0}
    measured = types.SimpleNamespace(
        logits=lambda model: model.name,
        row=lambda logits, target, other: {
            "average_gap": said["do nothing"] if logits == "original" else 1.0,
            "retain_accuracy": 90.0,
        },
        parts={"forget": None},
        processor=None,
    )
    source = types.SimpleNamespace(load=lambda name: None)
    trained = types.SimpleNamespace(
        source=source, model=lambda regime, recipe, name, out=None: types.SimpleNamespace(name=name, config=None)
    )
    splits = types.SimpleNamespace(forget_kind="random", forget_indices=None, image_column="image")
    trainer = types.SimpleNamespace(remove_callback=lambda each: None, train=lambda: None)
    monkeypatch.setattr(study, "make_splits", lambda *given, **more: splits)
    monkeypatch.setattr(study, "RegimeMeasured", lambda *given: measured)
    monkeypatch.setattr(study, "unseen", lambda *given: types.SimpleNamespace(select_columns=lambda names: None))
    monkeypatch.setattr(study, "MUMisTrainer", lambda *given, **more: trainer)
    case, request = next((case, each) for case in study.CASES for each in case.requests if study.is_wanted(case, each))
    path = tmp_path / "rows.csv"
    study.run(case, request, trained, path)
    whole = rows_of(path)
    keep_first(path, 3)
    study.run(case, request, trained, path)
    assert rows_of(path) == whole
    keep_first(path, 3)
    said["do nothing"], before = 31.0, path.read_bytes()
    with pytest.raises(UnlearningError, match=r"of other models \(doing nothing: average_gap 30.0 there, 31.0 here"):
        study.run(case, request, trained, path)
    assert path.read_bytes() == before


def test_a_model_of_the_papers_regime_is_written_whole_and_once(scripts, monkeypatch, tmp_path):  # noqa: F811
    import study_paper as study

    monkeypatch.setattr(study, "CSV", tmp_path / "rows.csv")
    monkeypatch.setattr(study, "COSINES", tmp_path / "cosines.csv")
    monkeypatch.setattr(study, "make_splits", lambda *given, **more: types.SimpleNamespace(forget_indices=None))
    monkeypatch.setattr(study, "RegimeMeasured", lambda *given: None)
    figures = {"forget_accuracy": 0.0, "test_accuracy_remaining": 90.0, "test_accuracy": 80.0}
    monkeypatch.setattr(study, "accuracies", lambda *given: figures)
    monkeypatch.setattr(study, "cosines", lambda *given: {"within": 0.5, "across": 0.1})
    courses = []

    def course(model, measured, rate):
        courses.append(rate)
        if len(courses) == 3:
            raise KeyboardInterrupt
        return [study.Point(0, 0.0, 1.0, figures)]

    monkeypatch.setattr(study, "course", course)
    source = types.SimpleNamespace(load=lambda name: None)
    trained = types.SimpleNamespace(source=source, model=lambda *given: types.SimpleNamespace(config=None))
    with pytest.raises(KeyboardInterrupt):
        study.run_model("resnet", trained)
    assert not list(Path(tmp_path).iterdir()), "half of a model would be taken for all of it"
    study.run_model("resnet", trained)
    rows, count = rows_of(study.CSV), len(courses)
    assert len(rows) == len(study.RATES) + 1 and len(rows_of(study.COSINES)) == 1
    study.run_model("resnet", trained)
    assert rows_of(study.CSV) == rows and len(courses) == count, "it is there, and not run again"


def test_a_setting_of_the_study_of_depth_is_written_whole(scripts, monkeypatch, tmp_path):  # noqa: F811
    import benchmark_methods
    import regime_models
    import regime_runs
    import study_depth as study

    source = types.SimpleNamespace(load=lambda name: {"train": None})
    model = types.SimpleNamespace(config=None)
    trained = types.SimpleNamespace(source=source, model=lambda *given: model)
    splits = types.SimpleNamespace(forget_indices=None)
    monkeypatch.setattr(regime_models, "Trained", lambda *given: trained)
    monkeypatch.setattr("hf_unlearn.make_splits", lambda *given, **more: splits)
    monkeypatch.setattr(regime_runs, "RegimeMeasured", lambda *given: None)
    monkeypatch.setattr(regime_runs, "freeze_all_but_head", lambda *given: None)
    monkeypatch.setattr(benchmark_methods, "run_method", lambda *given: {})
    roles = ("original", "masked", "reference 2", *study.RUNS)
    monkeypatch.setattr(study, "panel_of", lambda *given: {role: {"depth": 1.0} for role in roles})
    written = []
    monkeypatch.setattr(study, "append_rows", lambda path, rows, lock: written.append(rows))
    flags = types.SimpleNamespace(
        csv=tmp_path / "rows.csv", cache_dir=str(tmp_path), characters="", fashion_mnist=str(tmp_path)
    )
    assert study.run_setting(flags, study.SETTINGS[0], None) == ""
    assert len(written) == 1 and {row["variant"] for row in written[0]} >= {"do nothing", "default", "retrained again"}

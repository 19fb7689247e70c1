"""The study of regimes runs from data to table: one tiny setting of each regime, on images of noise."""

from __future__ import annotations

import contextlib
import csv
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

SCRIPTS = Path(__file__).parents[2] / "scripts"
CHARACTERS = [chr(code) for code in range(33, 127)]
FOLDED = sorted({character.lower() for character in CHARACTERS})
OWN = ("regime_", "study_", "page_parts", "benchmark_", "make_suggestions")


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    for name in [name for name in sys.modules if name.startswith(OWN)]:
        del sys.modules[name]


def noise(rng, side=8):
    return rng.integers(0, 256, (side, side), dtype=np.uint8)


def characters(fonts, seed):
    """All characters in some fonts, two of each family but for every fifth font."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "image": noise(rng),
            "label": label,
            "folded": FOLDED.index(character.lower()),
            "font": f"{seed}-{font}",
            "family": f"{seed}-{font // 5 if font % 5 else 100 + font}",
        }
        for font in range(fonts)
        for label, character in enumerate(CHARACTERS)
    ]
    features = Features(
        {
            "image": Image(),
            "label": ClassLabel(names=CHARACTERS),
            "folded": ClassLabel(names=FOLDED),
            "font": Value("string"),
            "family": Value("string"),
        }
    )
    return Dataset.from_list(rows, features=features)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    data = DatasetDict(train=characters(10, 1), test=characters(3, 2))
    for name in ("characters", "characters-96"):
        data.save_to_disk(folder / name)
    rng = np.random.default_rng(0)
    garments = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]
    features = Features(
        {"image": Image(), "label": ClassLabel(names=garments), "superclass": ClassLabel(names=["tops", "others"])}
    )
    rows = [{"image": noise(rng, 28), "label": row % 10, "superclass": int(row % 2)} for row in range(400)]
    fashion = Dataset.from_list(rows, features=features)
    DatasetDict(train=fashion, test=fashion.select(range(200))).save_to_disk(folder / "fashion-mnist")
    return folder


def flags_of(folders, tmp_path):
    return [
        *("--characters", str(folders / "characters"), "--fashion_mnist", str(folders / "fashion-mnist")),
        *("--cache_dir", str(tmp_path / "cache"), "--csv", str(tmp_path / "rows.csv")),
    ]


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def of_other_models(rows):
    """The same rows, but the gap of doing nothing is another."""
    name = "variant" if "variant" in rows[0] else "method"
    return [
        {**row, "average_gap": str(float(row["average_gap"]) + 1)} if row[name] == "do nothing" else row for row in rows
    ]


def without_processes(monkeypatch, script):
    """Run what a script gives to other processes here."""

    class InThisProcess:
        def __init__(self, *args, **kwargs):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def starmap(self, function, tasks, chunksize):
            return [function(*task) for task in tasks]

    manager = contextlib.nullcontext(types.SimpleNamespace(Lock=threading.Lock))
    context = types.SimpleNamespace(Pool=InThisProcess, Manager=lambda: manager)
    monkeypatch.setattr(script.multiprocessing, "get_context", lambda kind: context)
    return script


def in_this_process(monkeypatch):
    """The study with its cheapest variants alone, in this process."""
    import study_regimes
    from regime_runs import RUNS

    without_processes(monkeypatch, study_regimes)
    for name in [name for name in RUNS if name not in ("default", "head only")]:
        monkeypatch.delitem(RUNS, name)
    return study_regimes


def test_one_tiny_setting_of_each_regime(scripts, folders, tmp_path, monkeypatch, capsys):
    study = in_this_process(monkeypatch)
    from regime_grid import REGIMES

    flags = [*flags_of(folders, tmp_path), "--tiny"]
    assert study.main(flags) == 0, capsys.readouterr().err
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert {row["regime"] for row in rows} == set(REGIMES)
    for row in rows:
        if row["variant"] == "retrained":
            assert float(row["average_gap"]) == 0 and float(row["js_divergence"]) == 0
        if row["variant"] == "mask the logit":
            assert float(row["forget_accuracy"]) == 0
        if row["variant"] in ("default", "head only"):
            assert int(row["steps"]) <= 2
    variants = {row["variant"] for row in rows}
    assert variants == {"retrained", "retrained again", "do nothing", "mask the logit", "default", "head only"}
    # Started again, it has nothing left to do; with a row lost, it makes that one.
    size = len(rows)
    kept = [row for row in rows if (row["regime"], row["variant"], row["seed"]) != ("memorised", "default", "1")]
    write_rows(tmp_path / "rows.csv", kept)
    assert study.main([*flags, "--regimes", "memorised"]) == 0
    again = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert len(again) == size

    def without_time(row):
        return {name: value for name, value in row.items() if name != "seconds"}

    lost = next(row for row in rows if row not in kept)
    assert without_time(again[-1]) == without_time(lost), "the same run has the same figures"
    write_rows(tmp_path / "rows.csv", of_other_models(kept))
    before = (tmp_path / "rows.csv").read_bytes()
    capsys.readouterr()
    assert study.main([*flags, "--regimes", "memorised"]) == 2
    said = capsys.readouterr().err.strip()
    assert "of other models (doing nothing: average_gap" in said and len(said.splitlines()) == 1
    assert (tmp_path / "rows.csv").read_bytes() == before


def test_rows_of_other_models_are_told_by_what_the_original_says(scripts):
    from study_defaults import COMPARED, of_other_models

    # RMIA alone looks at the second retrained model.
    assert {"average_gap", "retain_accuracy", "rmia_auc"} < set(COMPARED)
    held = {figure: "0.5000" for figure in COMPARED}
    here = {figure: 0.5 for figure in COMPARED}
    assert of_other_models("rows.csv", "a/b", None, here) == of_other_models("rows.csv", "a/b", held, here) == ""
    nowhere = {figure: "" for figure in COMPARED}
    assert of_other_models("rows.csv", "a/b", nowhere, nowhere) == "", "a figure that neither has"
    assert of_other_models("rows.csv", "a/b", nowhere, dict.fromkeys(COMPARED)) == "", "nor when it is not yet text"
    assert of_other_models("rows.csv", "a/b", {"average_gap": "0.5"}, here) == "", "columns that a study does not have"
    for figure in COMPARED:
        for other in (0.52, float("nan"), None, ""):
            said = of_other_models("rows.csv", "a/b", held, {**here, figure: other})
            assert f"rows of a/b that are of other models (doing nothing: {figure} 0.5000 there, {other} here)" in said


def test_what_runs_of_a_request_and_seed(scripts):
    from regime_grid import FASHION, RANDOM, SEEDS
    from regime_runs import MASK, PAPER, WITH_RETAIN_DATA, variants_of

    for seed in SEEDS:
        whole, stays = variants_of(FASHION["class"], seed), variants_of(RANDOM[0], seed)
        assert {*whole} - {*stays} == {MASK, PAPER}, "a logit that stays in use is neither masked nor sent to nought"
        dear = set(WITH_RETAIN_DATA) if seed == SEEDS[0] else set()
        assert {*whole} & {*WITH_RETAIN_DATA} == {*stays} & {*WITH_RETAIN_DATA} == dear


def test_a_mean_over_some_of_the_settings_says_of_how_many(scripts):
    import regime_report as report

    names = {"average_gap": "2.0", "regime": "early", "dataset": "d", "model": "m", "seed": "0"}
    rows = [{**names, "request": request, "variant": "SSD"} for request in ("random:1%", "random:5%")]
    assert report.mean_cell([rows[:1], rows[1:]], "SSD") == "2.00"
    assert report.mean_cell([rows[:1], rows[1:]], "SCRUB") == "–"
    assert report.mean_cell([rows[:1], [{**rows[1], "variant": "SCRUB"}]], "SSD") == "2.00 (1)"


def test_bad_input_is_one_line(scripts, folders, tmp_path, monkeypatch, capsys):
    study = in_this_process(monkeypatch)
    assert study.main([*flags_of(folders, tmp_path), "--regimes", "late"]) == 2
    assert "regime 'late' is not one of" in capsys.readouterr().err
    missing = ["--characters", str(tmp_path / "none"), "--fashion_mnist", str(tmp_path / "none")]
    places = ["--cache_dir", str(tmp_path / "cache"), "--csv", str(tmp_path / "rows.csv")]
    assert study.main([*missing, *places, "--tiny", "--regimes", "early"]) == 2
    assert "make_fashion_mnist.py" in capsys.readouterr().err
    assert not (tmp_path / "rows.csv").exists()


def test_persons_and_families(scripts, folders):
    from regime_data import choose_fonts, largest_families, one_of_each_family

    families = {f"{family}/{face}": family for family in "abcdefgh" for face in range(6 if family < "f" else 1)}
    chosen = choose_fonts(families, 24)
    sizes = [sum(families[font] == family for font in chosen) for family in "abcdefgh"]
    assert sorted(sizes) == [1, 1, 1, 1, 5, 5, 5, 5]
    assert len(choose_fonts(families, 1000)) == len(families)
    assert [families[font] for font in one_of_each_family(families)] == list("abcdefgh")
    data = characters(10, 1)
    assert [len(fonts) for fonts in largest_families(data)] == [4, 4]


def test_wrong_labels_are_marked_and_wrong(scripts):
    from regime_data import mislabelled

    data = characters(10, 1)
    made = mislabelled(DatasetDict(train=data, test=data), seed=0)["train"]
    differs = np.array(made["label"]) != np.array(data["label"])
    assert differs.tolist() == [mark == "yes" for mark in made["mislabelled"]]
    assert differs.sum() == round(0.03 * len(data))


def test_what_a_head_alone_moves(scripts):
    from regime_runs import freeze_all_but_head

    from hf_unlearn.data.reading import as_pixels
    from tests.tiny import make_dataset, make_model, make_processor

    for kind in ("vit", "resnet"):
        model = make_model(kind)
        items = as_pixels(make_dataset(2), model, make_processor(), "image", "label")
        freeze_all_but_head(model, types.SimpleNamespace(parts={"forget": items}))
        moving = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert moving and all(name.startswith("classifier") for name in moving)


def test_unseen_characters_are_of_fonts_that_no_model_saw(scripts, folders):
    from regime_data import DataSource
    from study_references import unseen

    source = DataSource(str(folders / "characters"), str(folders / "fashion-mnist"))
    trained = source.load("characters:6")
    splits = types.SimpleNamespace(retain=trained["train"], forget_kind="subset")
    found = unseen(source, splits, 100, "characters:6")
    known = {*trained["train"]["font"], *trained["test"]["font"]}
    assert len(found) == 100 and not known & set(found["font"])
    assert found.features["label"] == trained["train"].features["label"]
    splits.forget_kind = "subclass"
    siblings = unseen(source, splits, 50, "characters:6")
    assert len(siblings) == 50 and set(siblings["font"]) <= set(trained["train"]["font"])

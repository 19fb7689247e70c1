"""The report: one file, safe for any class name, and drawn from results alone but for the strip of samples."""

from __future__ import annotations

import json
import re

import pytest
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, make_splits
from hf_unlearn.evaluation.contest import compare_models
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.evaluation.report.figures import PLOTS, TITLES, draw_plots
from hf_unlearn.evaluation.report.html import describe, write_report
from tests.tiny import make_dataset, make_model, make_processor

NAMES = ["<b>red</b>", "green & co", "blue", "grey"]


def plain_dataset(count, seed):
    # Its colours go by LABELS; only the names differ.
    data = make_dataset(count, seed)
    return data.cast_column("label", data.features["label"].__class__(names=NAMES))


@pytest.fixture(scope="module")
def compared():
    data = DatasetDict({"train": plain_dataset(80, 0), "test": plain_dataset(80, 1)})
    splits = make_splits(data, ForgetRequest(classes=(NAMES[0],)), dataset_name="someone/colours")
    models = [Contestant(str(seed), make_model(seed=seed, label_names=NAMES), make_processor()) for seed in range(3)]
    contestants = dict(zip(("original", "unlearned"), models, strict=False))
    return contestants, splits, compare_models(contestants, splits, [models[2]], level="standard")


def test_the_page_needs_nothing_else_and_escapes_names(compared, tmp_path):
    results = compared[2]
    write_report(results, str(tmp_path / "report.html"), results.strip)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert "<b>red</b>" not in page and "&lt;b&gt;red&lt;/b&gt;" in page
    # The namespaces of SVG are names, not places to load from.
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:|#)([^"'\s)>]+)""", page)
    assert links == []
    # The depth, and what is left inside, are looked at at a level of their own.
    assert results["level"] == "standard"
    for name, title in TITLES.items():
        assert (title in page) is (name not in ("depth", "inside"))
    assert page.count("<li><img src=") == 12 and "do nothing" in page
    assert "Left out, and why" in page and "at least 100" in page


def test_every_plot_is_drawn_from_what_is_saved(compared):
    results = json.loads(json.dumps(compared[2], allow_nan=False))
    plots = draw_plots(results)
    assert plots.keys() == PLOTS.keys() - {"depth", "inside"}
    for plot in plots.values():
        assert plot.axes and any(axes.has_data() for axes in plot.axes)


def test_results_hold_no_sample_and_no_index(compared):
    text = json.dumps(compared[2])
    assert "data:image" not in text and "forget_indices" not in text
    # No list is as long as the forget set, which is as long as no other list should be.
    lengths = set()

    def walk(value):
        if isinstance(value, dict):
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            lengths.add(len(value))
            for part in value:
                walk(part)

    walk(compared[2])
    assert len(compared[1].forget) == 20
    # 20 bins with 21 edges, 4 classes, 101 points of 2 rates.
    assert lengths <= {1, 2, 4, 20, 21, 101}


def test_few_samples_give_no_histogram():
    data = DatasetDict({"train": make_dataset(40), "test": make_dataset(40, seed=1)})
    splits = make_splits(data, ForgetRequest(count=3))
    results = compare_models({"unlearned": Contestant("a", make_model(), make_processor())}, splits)
    assert set(results["curves"]["confidence"]) <= {"edges", "unseen"}


def test_without_test_set_and_reference_there_is_still_a_page(tmp_path):
    splits = make_splits(DatasetDict({"train": make_dataset(40)}), ForgetRequest(count=12))
    results = compare_models({"unlearned": Contestant("a", make_model(), make_processor())}, splits, level="standard")
    write_report(results, str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert "nobody can say" in page and "there is no test set" in page


@pytest.mark.parametrize(
    ("request_dict", "words"),
    [
        ({"kind": "class", "classes": ["red", "blue"]}, "class (classes: red, blue)"),
        ({"kind": "where", "where": {"person": ["p1"]}}, "where (where: person = p1)"),
        ({"kind": "indices"}, "indices"),
    ],
)
def test_a_request_in_words(request_dict, words):
    assert describe(request_dict) == words

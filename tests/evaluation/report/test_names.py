"""Plots and reports of classes that may be called anything."""

from __future__ import annotations

import re
import warnings
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from datasets import ClassLabel, DatasetDict

from hf_unlearn import ForgetRequest, compare, make_splits
from hf_unlearn.errors import printable
from hf_unlearn.evaluation.report.figures import MOST_LETTERS, any_letters, as_plot_text, as_svg, draw_plots
from tests.nasty import NASTY
from tests.tiny import make_dataset, make_model, make_processor

# What transformers makes of blank names is another matter.
NAMES = [name for name in dict.fromkeys(printable(each).strip() for each in NASTY) if name]


def drawn(names):
    counts = [[5.0] * len(names) for _ in names]
    return {"split": "test", "labels": names, "confusion": {"original": counts}, "per_class_accuracy": {}}


def texts_of(svg):
    return {
        "".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")
    }


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_a_plot_shows_it_as_it_is(name, tmp_path):
    curves = {**drawn([name, "plain"]), "per_class_accuracy": {"original": [10.0, None]}}
    plots = draw_plots({"curves": curves})
    assert {"confusion", "per_class_accuracy"} <= plots.keys()
    for title, plot in plots.items():
        plot.savefig(tmp_path / f"{title}.png")
        shown = printable(name)
        if len(shown) > MOST_LETTERS:
            shown = f"{shown[: MOST_LETTERS - 1]}…"
        # Spaces at the ends are not drawn.
        assert shown.strip() in {text.strip() for text in texts_of(as_svg(plot, title))} or not shown.strip()


def test_letters_without_a_font_are_no_cause_for_warnings(tmp_path):
    name = "犬 कुत्ता 강아지"
    curves = {**drawn([name, "plain"]), "per_class_accuracy": {"original": [10.0, None]}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for title, plot in draw_plots({"curves": curves}).items():
            assert name in texts_of(as_svg(plot, title))
            with any_letters():
                plot.savefig(tmp_path / f"{title}.png")


def test_two_dollars_are_no_formula():
    assert as_plot_text("$x$") == r"\$x\$" and as_plot_text(r"\$") == r"\\$"


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.text = set(), ""

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    "four", [NAMES[place : place + 4] for place in range(0, len(NAMES) - 3, 4)], ids=range(len(NAMES) // 4)
)
def test_a_report_and_a_table_show_it_as_it_is(four, tmp_path):
    parts = {"train": make_dataset(16), "test": make_dataset(8, seed=1)}
    data = DatasetDict({name: part.cast_column("label", ClassLabel(names=four)) for name, part in parts.items()})
    splits = make_splits(data, ForgetRequest(classes=(0,)))
    models = {"original": make_model(seed=1, label_names=four), "processing_class": make_processor()}
    results = compare(make_model(label_names=four), splits=splits, level="fast", **models)
    assert str(results) and results._repr_html_()
    results.save(tmp_path)
    page = Tags()
    page.feed((tmp_path / "report.html").read_text())
    assert not {"script", "a", "b"} & page.seen
    assert four[0] in page.text or re.sub(r"\s+", " ", four[0]) in re.sub(r"\s+", " ", page.text)

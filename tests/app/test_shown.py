"""What is shown is text: nothing in a name is HTML, and every state of a run can be shown."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import pytest

from hf_unlearn.app import shown
from hf_unlearn.app.outcome import Outcome
from hf_unlearn.app.plan import Plan
from hf_unlearn.app.watching import Progress
from tests.nasty import NASTY


class Reader(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.names, self.text = [], set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.names |= {name for name, _ in attributes}

    def handle_data(self, data):
        self.text += data


RESULTS = {
    "models": {
        "original": {"forget_accuracy": 99.0, "test_accuracy_remaining": 98.0},
        "unlearned": {"forget_accuracy": 0.5, "test_accuracy_remaining": 97.5},
    },
    "whole_classes": True,
    "counts": {"forget": 2, "retain": 2, "test": 2},
    "verdict": {"closer_than_doing_nothing": None, "tie_with_retrained": None},
    "references": [],
    "curves": {"split": "test", "labels": [], "confidence": {}},
}


class Results(dict):
    strip: list = []


def results_of(name):
    found = Results(RESULTS)
    found["curves"] = {
        "split": "test",
        "labels": [name, "other"],
        "per_class_accuracy": {"original": [99.0, None], "unlearned": [0.0, None]},
        "confidence": {},
    }
    answers = {"do nothing": f"{name} 99 %", "unlearned": "other 60 %"}
    found.strip = [{"image": "data:image/png;base64,AA==", "label": name, "answers": answers}]
    return found


@pytest.mark.parametrize("name", NASTY)
def test_no_name_is_html(name, picture):
    plain = shown.outcome(Outcome("folder", {}, None, results_of("plain"), None, ["line"]))
    nasty = shown.outcome(Outcome(name, {}, None, results_of(name), None, [name]))
    # A half of a character has no place in what is sent.
    nasty.encode()
    assert "<script" not in nasty and "onerror=" not in nasty.replace("onerror=alert(1)&gt;", "")
    for tag in ("script", "img", "b"):
        assert Reader(nasty).tags.count(tag) == Reader(plain).tags.count(tag)
    assert Reader(nasty).names <= Reader(plain).names
    for text in (
        shown.note(name, "error"),
        shown.plan(Plan([(name, name)]), [name]),
        shown.progress(Progress(name), False, False),
        shown.answers({"before": [(name, 50.0)], "after": [(name, 1.0)]}, picture),
        shown.outcome(Outcome(name, {}, None, None, name, [name])),
    ):
        text.encode()
        assert not {"script", "a"} & set(Reader(text).tags)
        assert not {"onerror", "href"} & Reader(text).names


def test_a_name_with_marks_is_read_as_it_is():
    assert Reader(shown.note('<b>"it\'s" \\ & so')).text == '<b>"it\'s" \\ & so'


def test_what_comes_first_is_the_verdict_then_the_picture():
    text = shown.outcome(Outcome("folder", {}, None, results_of("red"), None, []))
    places = [text.index(each) for each in ('class="verdict met"', "<svg", "<table", 'class="strip"')]
    assert places == sorted(places)
    assert (
        "Forgotten in its answers: the model recognises 0.5\u00a0% of the samples to forget, where it was 99.0\u00a0%"
        in text
    )


def test_a_run_as_it_goes():
    now = Progress("Forgetting", 30, 120, 12.34, 5.0, 98.0, 75.0)
    text = shown.progress(now, False, False)
    for said in ("step 30 of 120", "at most 1 min 15 s left", "12.3 %", "5.0 %", "98 %"):
        assert said in text
    assert "another tab" in shown.progress(None, True, False)
    assert "nothing will be kept" in shown.progress(now, False, True)
    unknown = dataclasses.replace(now, confidence=None, accuracy=None, agreement=None)
    assert Reader(shown.progress(unknown, False, False)).text.count("–") == 3

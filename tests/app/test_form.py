"""The boxes of the page come to the words of the command, whatever is written in them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.app.form import KINDS, OF_STRANGERS, PHOTOGRAPHS, SAMPLES, Form
from hf_unlearn.app.options import Options
from hf_unlearn.commands.request_flags import make_request
from hf_unlearn.commands.unlearn import parsed
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.limits import LEVELS
from hf_unlearn.request import ForgetRequest
from tests.nasty import NASTY


def request_of(options, **boxes):
    """The request that the boxes come to, by way of the command line."""
    form = Form(model=options.model, dataset=options.dataset, **boxes)
    return make_request(parsed(form.command(options, "photographs", "out"))[2][2])


@pytest.mark.parametrize(
    ("kind", "words", "expected"),
    [
        ("classes", "red\n tench, Tinca tinca \n\n", {"classes": ("red", "tench, Tinca tinca")}),
        ("indices", "3, 1\n 4 1", {"indices": (3, 1, 4, 1)}),
        ("where", "person=p1\nperson=p2\nplace=a=b", {"where": {"person": ("p1", "p2"), "place": ("a=b",)}}),
        ("subclasses", "fine=sea\nfine=lake", {"subclasses": ("sea", "lake"), "subclass_column": "fine"}),
        ("count", "7", {"count": 7}),
        ("fraction", "0.25", {"fraction": 0.25}),
        ("split", "forget", {"split": "forget"}),
    ],
)
def test_each_kind_of_request_is_the_commands(options, kind, words, expected):
    if kind == "indices":
        with pytest.raises(UnlearningError, match="1"):
            request_of(options, kind=kind, words=words)
        words, expected = "3, 1\n 4", {"indices": (3, 1, 4)}
    assert request_of(options, kind=kind, words=words) == ForgetRequest(**expected)


@pytest.mark.parametrize(
    ("steps", "allowed"), [("", ""), ("7", "7"), ("100000000", "1000"), (" 1_000_000 ", "1000"), ("few", "few")]
)
def test_strangers_do_not_hold_the_machine_for_ever(options, steps, allowed):
    asked = Form(max_steps=steps, level="deep")
    found = asked.as_allowed(dataclasses.replace(options, is_public=True))
    assert (found.max_steps, found.level) == (allowed, "standard")
    assert asked.as_allowed(options) == Form(max_steps=steps, level="deep")


def test_every_level_is_said_in_words():
    pytest.importorskip("gradio", reason="Gradio is not installed (the extra app)")
    from hf_unlearn.app.page import LEVELS_IN_WORDS

    assert tuple(LEVELS_IN_WORDS) == LEVELS and set(OF_STRANGERS) < set(LEVELS)
    assert all(words.lower().startswith(f"{level}: ") for level, words in LEVELS_IN_WORDS.items())


def test_every_kind_has_a_test_above():
    assert set(KINDS) == {"classes", "indices", "where", "subclasses", "count", "fraction", "split"}


# Of characters a line of text can hold; one that is blank is no name.
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(str.strip))
def test_a_class_may_be_called_anything_and_is_never_another_flag(text):
    form = Form(model="org/model", dataset="org/data", words=text)
    words = form.command(Options(output_dir="out"), "photographs", "out")
    assert words[-1] == f"--forget_classes={text.strip()}"
    assert len(words) == 5


@pytest.mark.parametrize(
    "name", ["--trust_remote_code", "--allow_pickle=true", "--config=x.yaml", "--", "-x", *NASTY[:6]]
)
def test_what_looks_like_a_flag_is_a_class(options, name):
    assert request_of(options, words=name).classes == (name.strip(),)


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ({"words": " \n"}, "nothing to forget was named"),
        ({"kind": "all", "words": "x"}, "kind of request 'all' is not one of"),
        ({"kind": "where", "words": "person"}, "not of the form COLUMN=VALUE"),
        ({"kind": "subclasses", "words": "a=1\nb=2"}, "columns 'a', 'b' were named; expected one"),
        ({"kind": "count", "words": "1\n2"}, "has 2 lines; expected one"),
        ({"kind": "count", "words": "many"}, "many"),
        ({"kind": "indices", "words": "/etc/passwd"}, "not in a folder that this page may read"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(options, boxes, said):
    with pytest.raises(UnlearningError, match=said):
        request_of(options, **boxes)


@pytest.mark.parametrize("name", ["model", "dataset", "test_dataset", "references"])
def test_no_box_names_what_the_page_may_not_read(options, name):
    form = Form(
        model=options.model, dataset=options.dataset, source=SAMPLES if name == "test_dataset" else "training set"
    )
    form = dataclasses.replace(form, words="red", **{name: "/etc"})
    with pytest.raises(UnlearningError, match="'/etc' is not in a folder that this page may read"):
        form.command(options, "photographs", "out")
        form.named_references(options)


def test_photographs_are_samples_alone(options):
    form = Form(model=options.model, source=PHOTOGRAPHS, forget_kind="subset", forget_label=" red ")
    words = form.command(options, "photographs", "out")
    assert words[3:] == ["--forget_dataset=photographs", "--forget_kind=subset", "--forget_label=red"]


def test_strangers_choose_neither_model_nor_data(options):
    public = dataclasses.replace(options, is_public=True)
    sent = Form(model="org/huge", dataset="org/secret", test_dataset="org/secret", references="org/huge", words="red")
    allowed = sent.as_allowed(public)
    assert (allowed.model, allowed.dataset) == (options.model, options.dataset)
    assert (allowed.test_dataset, allowed.references) == ("", "")
    assert sent.as_allowed(options) is sent

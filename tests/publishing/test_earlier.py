"""A model that is unlearned again: it knows what it met before, keeps it away, and says so without saying who."""

from __future__ import annotations

import itertools
import json
import math
import shutil

import pytest
import torch
from datasets import DatasetDict

from hf_unlearn import (
    ForgetRequest,
    UnlearningError,
)
from hf_unlearn.commands.main import main
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.objectives import shifted_divergence
from hf_unlearn.publishing.card import render_card
from hf_unlearn.publishing.certificate import statement_of
from hf_unlearn.publishing.destination import difference
from hf_unlearn.publishing.earlier import classes_forgotten, earlier_of, ids_forgotten
from hf_unlearn.publishing.push import push_folder
from hf_unlearn.publishing.record import read_record, request_met, write_record
from hf_unlearn.publishing.secrecy import Disclosure, published
from hf_unlearn.trainers.safety.samples import own_logits
from tests.publishing.conftest import GREEN, P1, RED, again, unlearn
from tests.publishing.test_secrecy import what_goes_out
from tests.tiny import make_dataset, make_model


def test_the_record_carries_the_requests_so_far(chain):
    records = [read_record(str(chain / str(number))) for number in (1, 2, 3)]
    assert [len(each["earlier"]) for each in records] == [0, 1, 2]
    texts = [each["request"]["text"] for each in records[2]["earlier"]]
    assert texts == ["the class 'red'", "the samples with given values of 'person'"]
    digests = [each["weights_sha256"] for each in records]
    assert digests[1]["original"] == digests[0]["unlearned"] and digests[2]["original"] == digests[1]["unlearned"]
    assert [each["weights_sha256"] for each in records[2]["earlier"]] == digests[:2]
    assert [each["forgotten_class_ids"] for each in (*records[2]["earlier"], records[2])] == [[0], [], [1]]
    # What the model says now of the class that went first is looked at.
    assert set(records[2]["earlier"][0]["checks"]["forget_accuracy"]) == {"before", "after"}
    assert "checks" not in records[2]["earlier"][1]
    # It is looked at on what is left beside the images of a person, so it would say what of the class is theirs.
    assert "checks" in records[1]["earlier"][0] and not published(records[1])["earlier"][0].get("checks")
    assert published(records[2])["earlier"][0]["checks"] == records[2]["earlier"][0]["checks"]


@pytest.mark.parametrize(
    ("before", "request_"), [("1", P1), ("1", GREEN), ("2", GREEN)], ids=["a person", "a class", "after a person"]
)
def test_what_went_before_stays_masked_in_the_guard(chain, tmp_path, before, request_):
    trainer = again(chain / before, tmp_path / "f", request_)
    assert 0 in trainer.classes_that_go().tolist()
    inputs = next(iter(trainer.get_train_dataloader()))
    labels = inputs["labels"]
    model = load_image_classifier(str(chain / before))
    make_model().save_pretrained(tmp_path / "first")
    trainer.earlier[0]["kept"]["original_model"] = str(tmp_path / "first")
    assert trainer.guide is not trainer.original_model
    with torch.no_grad():
        said, other = (each(pixel_values=inputs["pixel_values"]).logits for each in (trainer.guide, model))
    _, _, figures = trainer.unlearning_loss(model, inputs)
    lowered = torch.nn.functional.one_hot(labels, 4).bool()
    shift = 1.0 if request_ is P1 else math.inf
    masked = said.index_fill(1, torch.tensor([0]), -math.inf)
    expected = shifted_divergence(other, masked, lowered, shift)
    assert torch.allclose(figures["guard"], expected, atol=1e-5) and torch.isfinite(expected).all()
    # Without it the model is held to what is left of the class that went.
    assert not torch.allclose(expected, shifted_divergence(other, said, lowered, shift), atol=1e-3)


def test_the_same_class_and_the_same_samples_are_refused(chain, tmp_path):
    with pytest.raises(UnlearningError, match="class 'red' was forgotten before, by request 1 of 2"):
        again(chain / "2", tmp_path / "f", ForgetRequest(classes=("blue", "red")))
    rows = tuple(range(1, 32, 6))
    with pytest.raises(UnlearningError, match="these 6 samples were forgotten before, by request 2 of 2"):
        again(chain / "2", tmp_path / "f", ForgetRequest(indices=rows))
    with pytest.raises(UnlearningError, match="every class of the model would be gone"):
        again(chain / "3", tmp_path / "f", ForgetRequest(classes=("blue", "grey")))
    again(chain / "2", tmp_path / "f", ForgetRequest(indices=rows[:-1]))


def test_by_command_too_and_nothing_is_written(chain, tmp_path, capsys):
    DatasetDict({"train": make_dataset(32)}).save_to_disk(str(tmp_path / "data"))
    words = ["unlearn", "--model_name_or_path", str(chain / "1"), "--dataset_name", str(tmp_path / "data"), "--use_cpu"]
    assert main([*words, "--forget_classes", "red", "--output_dir", str(tmp_path / "f")]) == 2
    assert "class 'red' was forgotten before" in capsys.readouterr().err and not (tmp_path / "f").exists()


def test_weights_that_are_not_those_of_the_record_are_not_taken_for_them(chain, tmp_path, caplog):
    folder = tmp_path / "other"
    unlearn(folder, RED).save_model()
    make_model(seed=9).save_pretrained(folder)
    with pytest.raises(UnlearningError, match="are not those that its unlearning.json describes"):
        again(folder, tmp_path / "f", GREEN)
    model = load_image_classifier(str(chain / "1"))
    assert ids_forgotten(earlier_of(str(chain / "1"), model)) == [0]
    assert (
        classes_forgotten(earlier_of(str(chain / "1"), model), model) == ["red"] and earlier_of("nowhere", model) == []
    )


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"weights_sha256": "ab12"}', '{"earlier": 2}'])
def test_a_record_that_cannot_be_read_is_not_taken_for_none(chain, tmp_path, capsys, content):
    folder = shutil.copytree(chain / "1", tmp_path / "model")
    (folder / "unlearning.json").write_text(content)
    DatasetDict({"train": make_dataset(32)}).save_to_disk(str(tmp_path / "data"))
    words = ["unlearn", "--model_name_or_path", str(folder), "--dataset_name", str(tmp_path / "data"), "--use_cpu"]
    assert main([*words, "--forget_classes", "green", "--output_dir", str(tmp_path / "f")]) == 2
    assert "what the model forgot before cannot be told" in capsys.readouterr().err and not (tmp_path / "f").exists()


def test_a_run_that_was_not_finished_and_an_older_record(chain, tmp_path):
    folder = tmp_path / "half"
    unlearn(folder, RED).save_model()
    model = load_image_classifier(str(folder))
    record = read_record(str(folder))
    older = {name: value for name, value in record.items() if name not in ("earlier", "forgotten_class_ids")}
    write_record(older, str(folder))
    assert ids_forgotten(earlier_of(str(folder), model)) == [0] and id2label_of(model.config)[0] == "red"
    write_record({**record, "in_progress": True}, str(folder))
    assert earlier_of(str(folder), model) == []


def chained(kinds, number=0, disclosure=None):
    """A record after some requests; `number` is what tells samples apart."""
    requests = {
        "class": ForgetRequest(classes=("red",)),
        "where": ForgetRequest(where={f"person{number}": (f"p{number}",)}),
        "indices": ForgetRequest(indices=(number, number + 1)),
        "count": ForgetRequest(count=4, seed=number),
    }
    # Weights depend on who was forgotten as soon as it matters who was.
    digests = ["w", *(f"w{place}-{number if {*kinds[: place + 1]} - {'class'} else 0}" for place in range(len(kinds)))]
    links = []
    for place, kind in enumerate(kinds):
        hides, telling = kind != "class", kinds[-1] != "class"
        links.append(
            {
                "disclosure": (disclosure or Disclosure())._asdict(),
                "method": {"name": "mu_mis", "title": "MU-Mis", "paper": None, "citation": None},
                "original_model": {"name": "o/m", "revision": "r", "license": "mit", "from_hub": True},
                "request": {**requests[kind].summary(), "text": requests[kind].describe()},
                "dataset": {
                    "name": "o/d",
                    "revision": "r",
                    "from_hub": True,
                    "sha256": f"s{number * hides}",
                    "num_labels": 4,
                },
                "whole_classes": not hides,
                "num_forget": {"class": 8, "count": 4}.get(kind, 3 + number % 700),
                "forgotten_class_ids": [] if hides else [0],
                "weights_sha256": {"original": digests[place], "unlearned": digests[place + 1]},
                # Of a class on what the last request leaves of it.
                "checks": {"forget_accuracy": {"before": 50.0 + number * telling, "after": 40.0 + number * telling}},
                "evaluation": {"models": {}, "counts": {}, "references": [], "forget_accuracy": number * hides},
                "kept": {"fingerprint": f"f{number}", "images_sha256": "i", "num_forget": 3},
            }
        )
    last = {name: value for name, value in links.pop().items() if name != "kept"}
    last |= {"steps": 2, "seconds": 0.1, "stop_reason": "s", "hardware": "CPU", "premise": None, "settings": {}}
    last |= {"checks": {"forget_accuracy": {"before": 50.0 + number, "after": 40.0}} if kinds[-1] != "class" else {}}
    last |= {"versions": {"hf-unlearn": "1"}, "evaluation": None, "num_retain": 3, "adapter": None, "earlier": links}
    # What is published of the model itself is the same whoever it was.
    return {**last, "weights_sha256": {**last["weights_sha256"], "unlearned": "w"}, "retain_free": True}


KINDS = ("class", "where", "indices", "count")


@pytest.mark.parametrize("kinds", [*itertools.product(KINDS, repeat=2), ("where", "class", "count"), KINDS])
def test_a_chain_says_the_same_whoever_was_forgotten_in_it(kinds):
    if all(kind == "class" for kind in kinds):
        assert [each["weights_sha256"] for each in published(chained(kinds))["earlier"]] == [
            each["weights_sha256"] for each in chained(kinds)["earlier"]
        ]
        return
    texts = {what_goes_out(chained(kinds, number)) for number in (1, 2, 700)}
    assert len(texts) == 1
    shown = published(chained(kinds, 1))
    assert published(shown) == shown and json.loads(json.dumps(shown)) == shown
    assert "kept" not in json.dumps(shown) and "images_sha256" not in json.dumps(shown)


def test_of_earlier_requests_no_more_is_published_than_either_allows():
    openly = chained(("where", "class"), 5, Disclosure(request=True))
    assert "person5" in json.dumps(published(openly))
    openly["disclosure"] = Disclosure()._asdict()
    assert "person5" not in json.dumps(published(openly)) + render_card(openly, "o/f")
    named = chained(("class", "where"), 5)
    assert "'red'" in render_card(named, "o/f")
    named["disclosure"] = Disclosure(names=False)._asdict()
    assert "red'" not in render_card(named, "o/f") and '"red"' not in json.dumps(published(named))


def test_the_card_lists_the_requests_and_names_the_first_model():
    card = render_card(chained(("class", "where", "class")), "org/f")
    assert "## Requests so far\n1. the class 'red', by MU-Mis\n2. samples singled out" in card.replace(
        "&#x27;", "'"
    ) or ("2. the samples with given values of a column, by MU-Mis" in card)
    assert "3. the class 'red', by MU-Mis: what the rest of this card is about" in card
    assert "[o/m](https://huggingface.co/o/m) at revision `r`, made to forget, after 2 earlier requests, **" in card
    assert "It begins with the model as the requests before left it" in card
    assert "Requests so far" not in render_card(chained(("class",)), "org/f")
    said = statement_of(chained(("class", "where", "class")), "sealed")
    assert said["earlier_requests"] == ["the class 'red'", "the samples with given values of a column"]


def test_a_class_that_comes_back_is_a_request_that_is_not_met():
    record = chained(("class", "class"))
    record["checks"] = {"forget_accuracy": {"before": 90.0, "after": 0.0}}
    checks = record["earlier"][0]["checks"]
    checks["forget_accuracy"] = {"before": 0.0, "after": 2.0}
    assert request_met(record)[0]
    checks["forget_accuracy"] = {"before": 0.5, "after": 6.0}
    assert request_met(record) == (False, "request 1 came back: its forget accuracy was 0.5 % and is 6.0 %")


def test_the_next_model_takes_the_place_of_the_one_before(connected_hub, chain):
    push_folder(chain / "1", "org/forgot", push_anyway=True)
    push_folder(chain / "2", "org/forgot", push_anyway=True)
    newest = push_folder(chain / "3", "org/forgot", push_anyway=True)
    repository = connected_hub.repository("org/forgot")
    assert repository.find("main").sha == newest
    # Back is another matter, and so is a model that did not come of it.
    with pytest.raises(UnlearningError, match="holds a model that forgot something else"):
        push_folder(chain / "1", "org/forgot", push_anyway=True)
    model = load_image_classifier("org/forgot")
    texts = [each["request"]["text"] for each in earlier_of("org/forgot", model)]
    assert texts == ["the class 'red'", "the samples with given values of a column", "the class 'green'"]
    assert ids_forgotten(earlier_of("org/forgot", model)) == [0, 1]


def test_what_is_another_model_is_still_told(chain):
    one, three = (read_record(str(chain / number)) for number in "13")
    assert difference(published(one), three) is None
    assert difference({**published(one), "weights_sha256": {"unlearned": "x", "original": "y"}}, three) is not None


def test_evaluate_looks_at_every_request(chain, tmp_path, capsys):
    data = str(tmp_path / "colours")
    DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)}).save_to_disk(data)
    words = ["evaluate", "--model", str(chain / "3"), "--dataset_name", data, "--forget_classes", "green", "--use_cpu"]
    assert main([*words, "--level", "fast", "--original_model", str(chain / "1"), "--overwrite_output_dir"]) == 0
    out = capsys.readouterr().out
    assert "Earlier request 1, the class 'red': forget accuracy" in out
    assert "Earlier request 2, the samples with given values of 'person': which samples were meant is not kept" in out
    record = read_record(str(chain / "3"))
    assert "unlearned" in record["earlier"][0]["evaluation"]["models"] and "evaluation" not in record["earlier"][1]
    assert "earlier" not in record["evaluation"] and "earlier" in json.loads((chain / "3" / "results.json").read_text())
    assert published(record)["earlier"][0]["evaluation"]["counts"]["forget"] == 8


def test_no_sample_is_taught_again_by_the_model_that_guards(chain, tmp_path, monkeypatch):
    """It knows the samples that went before: no target is above what the model itself says now."""
    from hf_unlearn.trainers.methods import mu_mis
    from hf_unlearn.trainers.safety.memory import Memory

    amounts = torch.tensor([0.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    monkeypatch.setattr(
        mu_mis, "measure_memory", lambda *_: Memory("affine", 0.05, 0.14, 1.0, 1.0, 0.5, amounts.clone())
    )
    for references in (None, make_dataset(24, seed=5)):
        trainer = again(chain / "1", tmp_path / "f", P1, references=references, label_shift=None)
        make_model().save_pretrained(tmp_path / "first")
        trainer.earlier[0]["kept"]["original_model"] = str(tmp_path / "first")
        with torch.no_grad():
            trainer.original_model.classifier[1].bias[1] -= 5.0
        trainer.before_first_step()
        # Who went before may be among the reference samples, which the guard is asked about, too.
        assert (trainer.guide is trainer.original_model) == (references is not None)
        sample = trainer.forget_sample(len(amounts))
        now, first = (own_logits(each, sample) for each in (trainer.original_model, trainer.guide))
        assert torch.allclose(trainer.memory.amounts, torch.maximum(amounts, first - now), atol=1e-5)
        assert (first - trainer.memory.amounts <= now + 1e-5).all()
        assert references is not None or (first > now + amounts).any()


def test_reference_samples_of_a_class_that_went_are_not_looked_at(chain, tmp_path):
    trainer = again(chain / "1", tmp_path / "f", P1, references=make_dataset(24, seed=5))
    assert set(trainer.references.labels.tolist()) == {1, 2, 3}
    red = make_dataset(24, seed=5).filter(lambda label: label == 0, input_columns="label")
    with pytest.raises(UnlearningError, match="all of 6 reference samples are of classes that were forgotten before"):
        again(chain / "1", tmp_path / "f", P1, references=red)

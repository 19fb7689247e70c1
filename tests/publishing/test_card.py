"""The card: from the record alone, again and again the same, with what the evidence does not show."""

from __future__ import annotations

import json
import shlex

import pytest
from huggingface_hub import ModelCard

from hf_unlearn.commands.main import main
from hf_unlearn.publishing.card import render_card, reproduction, write_card
from hf_unlearn.publishing.record import add_evaluation, read_record, request_met, write_record


def test_it_is_made_again_from_the_record(unlearned):
    card = (unlearned / "README.md").read_text()
    (unlearned / "README.md").unlink()
    assert main(["card", str(unlearned)]) == 0
    assert (unlearned / "README.md").read_text() == card


def test_without_an_evaluation_it_says_what_nobody_did(unlearned):
    card = (unlearned / "README.md").read_text()
    assert "Nobody compared this model" in card and "no such model to compare with" in card
    assert "| forget accuracy, % |" in card


SHOWN = ("masked", "head_only", "unlearned")


def results_for(record, **models):
    figures = {"forget_accuracy": 0.0, "test_accuracy": 70.0, "test_accuracy_remaining": 90.0, "average_gap": 1.0}
    everyone = {role: {**figures, **changed} for role, changed in models.items()}
    return {
        "schema_version": 2,
        "level": "fast",
        "request": {name: value for name, value in record["request"].items() if name != "text"},
        "whole_classes": True,
        "fingerprint": record["dataset"]["id"],
        "dataset": "colours",
        "counts": {"forget": record["num_forget"], "retain": 24},
        "models": everyone,
        "references": [everyone.get("retrained", {})],
        "retrained_std": None,
        "noise_floor": None,
        "verdict": {"closer_than_doing_nothing": True, "tie_with_retrained": None},
        "left_out": {},
        "curves": {"split": "test", "labels": ["red", "green"], "per_class_accuracy": {"original": [90.0, None]}},
    }


def test_an_evaluation_of_the_same_request_goes_into_record_and_card(unlearned):
    record = read_record(str(unlearned))
    results = results_for(record, original={"average_gap": 30.0}, unlearned={}, retrained={"average_gap": None})
    add_evaluation(record, results)
    card = render_card(record, "org/forgot")
    assert "| average gap (MU-Mis), points | ↓ | 30.00 | 1.00 | – | 0.00 |" in card
    assert "nearer than doing nothing (30.00)" in card and "Nobody compared" not in card
    # Every line of the table has as many cells as its head.
    rows = [line for line in card.splitlines() if line.startswith("|") and "setting" not in line]
    table = rows[: rows.index("| setting | value |")] if "| setting | value |" in rows else rows
    assert len({line.count("|") for line in table if "→" in line or "↓" in line or "↑" in line}) == 1


def test_depth_and_controls_of_a_class_stand_in_the_card(unlearned):
    record = read_record(str(unlearned))
    results = results_for(
        record,
        original={"depth": 0.0, "average_gap": 30.0},
        masked={"depth": 0.0, "average_gap": 1.0},
        head_only={"depth": 4.0},
        unlearned={"depth": 21.9},
        retrained={"average_gap": None},
    )
    probes = {"linear_probe": [0.0, 4.0, 21.9], "mlp_probe": [None, None, None]}
    shares = {role: [values[place] for values in probes.values()] for place, role in enumerate(SHOWN)}
    results["curves"]["depth"] = {"probes": list(probes), "floors": [None, None], "shares": shares}
    add_evaluation(record, results)
    write_record(record, str(unlearned))
    write_card(str(unlearned))
    card = (unlearned / "README.md").read_text(encoding="utf-8")
    assert "| depth | ↑ | 0.0 | 0.0 | 4.0 | 21.9 | – | 100.0 |" in card
    assert "22 % of the way from doing nothing to a retrained model, in the mean over 1 probe" in card
    assert "a control that forgets nothing" in card and "the classifier head's frozen" in card
    assert "plots/depth.png" in card and (unlearned / "plots" / "depth.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("after", "retrained", "met"),
    [(0.0, None, True), (1.9, None, True), (2.1, None, False), (6.0, 5.0, False), (100.0, 100.0, False)],
)
def test_whether_a_request_for_whole_classes_was_met(unlearned, after, retrained, met):
    record = read_record(str(unlearned))
    record["checks"]["forget_accuracy"]["after"] = after
    if retrained is not None:
        results = results_for(
            record, unlearned={"forget_accuracy": after}, retrained={"forget_accuracy": retrained, "average_gap": None}
        )
        add_evaluation(record, results)
    assert request_met(record)[0] is met
    assert ("was not met" in render_card(record, "org/x")) is not met


def test_a_subset_is_met_unless_shown_otherwise(unlearned):
    record = {**read_record(str(unlearned)), "whole_classes": False}
    assert request_met(record) == (True, "nobody can tell without a retrained model")
    results = results_for(record, unlearned={}, original={}, retrained={})
    results["verdict"] = {"closer_than_doing_nothing": False, "tie_with_retrained": False}
    add_evaluation(record, results)
    assert not request_met(record)[0]
    record["evaluation"]["verdict"]["tie_with_retrained"] = True
    assert request_met(record)[0]


@pytest.mark.parametrize(
    ("request_", "flags"),
    [
        ({"kind": "class", "classes": ["two words"]}, "--forget_classes 'two words'"),
        (
            {"kind": "fraction", "fraction": 0.05, "stratify": True, "seed": 3},
            "--forget_fraction 0.05 --forget_seed 3 ",
        ),
        ({"kind": "where", "columns": ["person"]}, "--forget_where person=VALUE"),
        ({"kind": "indices", "num_indices": 3}, "--forget_indices INDICES.json"),
        ({"kind": "subclass", "subclasses": ["sea"], "subclass_column": "fine"}, "--subclass_column fine"),
    ],
)
def test_the_command_that_does_it_again(unlearned, request_, flags):
    record = {**read_record(str(unlearned)), "request": request_}
    assert flags in reproduction(record) and "--seed 42" in reproduction(record)


@pytest.mark.parametrize(
    ("dataset", "flags"),
    [
        ({"label_mapping": "order"}, "--label_mapping order"),
        ({"label_mapping": "given"}, "--label_mapping LABEL_MAPPING.json"),
        ({"label_column": "fine"}, "--label_column_name fine"),
    ],
)
def test_the_command_reads_the_labels_again(unlearned, dataset, flags):
    record = read_record(str(unlearned))
    assert "--label_" not in reproduction(record)
    assert flags in reproduction({**record, "dataset": {**record["dataset"], **dataset}})


def test_a_class_that_looks_like_a_flag_is_none(unlearned):
    request = {"kind": "class", "classes": ["--streaming", "-1", "it's"]}
    words = shlex.split(reproduction({**read_record(str(unlearned)), "request": request}))
    assert (
        words.count("--streaming") == 0 and "--forget_classes=--streaming" in words and "--forget_classes=-1" in words
    )
    assert words[words.index("--forget_classes") + 1] == "it's"


def test_a_name_with_markup_does_not_break_the_header(unlearned):
    record = read_record(str(unlearned))
    record["dataset"]["name"] = 'a: "b" # c'
    data = ModelCard(render_card(record, "org/x")).data
    assert data.eval_results[0].dataset_name == 'a: "b" # c'


def test_a_card_that_cannot_be_written_leaves_the_one_before(unlearned):
    before = (unlearned / "README.md").read_text()
    record = json.loads((unlearned / "unlearning.json").read_text())
    del record["method"]
    (unlearned / "unlearning.json").write_text(json.dumps(record))
    with pytest.raises(KeyError):
        write_card(str(unlearned))
    assert (unlearned / "README.md").read_text() == before

"""Attacks from outside: who was forgotten, by public models and data and all that is published? Chance says as much.

The attacker holds the original, the unlearned and even the retrained models, and the dataset. Candidates are tried one
by one: whose figures, counts and digests stand in what was published?
"""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from datasets import ClassLabel, DatasetDict
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn import ForgetRequest, MUMisConfig, compare, make_splits, record_evaluation
from hf_unlearn.commands.main import main
from hf_unlearn.data.reading import as_pixels
from hf_unlearn.evaluation.metrics.samples import SampleFigures
from hf_unlearn.evaluation.predict import Contestant, predict_logits
from hf_unlearn.publishing.card import render_card
from hf_unlearn.publishing.certificate import commitment, signed, statement_of
from hf_unlearn.publishing.push import published_files
from hf_unlearn.publishing.record import add_evaluation, read_record, unlearning_record, write_record
from hf_unlearn.publishing.secrecy import Disclosure, band, hides_samples, published
from hf_unlearn.publishing.settings import given_arguments, public_arguments
from hf_unlearn.request.fingerprint import indices_sha256
from hf_unlearn.request.kept import recognised_by
from tests.publishing.conftest import unlearn
from tests.tiny import make_dataset, make_model, make_processor, make_reference

SAMPLES, PERSONS, SEEDS = 48, 16, 40
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ROLES = {"original": 0, "unlearned": 1, "reference": 2}


@pytest.fixture(scope="module")
def data():
    train = make_dataset(SAMPLES).remove_columns("person")
    # As photographers are: of different industry.
    owners = [f"p{int(PERSONS * (row / SAMPLES) ** 1.5)}" for row in range(SAMPLES)]
    return DatasetDict({"train": train.add_column("photographer", owners), "test": make_dataset(16, seed=1)})


@pytest.fixture(scope="module")
def models():
    return {role: Contestant(role, make_model(seed=seed), make_processor()) for role, seed in ROLES.items()}


def splits_of(data, **request):
    return make_splits(data, ForgetRequest(**request), dataset_name="someone/colours")


@pytest.fixture(scope="module")
def known_of(data, models):
    """What an outsider can compute of any samples, by their indices: numbers, and a digest."""
    labels = np.array(data["train"]["label"])
    everything = as_pixels(data["train"], models["original"].model, make_processor(), "image", "label")
    said = predict_logits({role: each.model for role, each in models.items()}, everything)
    figures = {role: SampleFigures.of(logits, labels) for role, logits in said.items()}

    def known(indices):
        parts = (np.asarray(indices), np.setdiff1d(np.arange(SAMPLES), indices))
        numbers = [float(len(part)) for part in parts]
        for each, part in itertools.product(figures.values(), parts):
            numbers += [100 * each.correct[part].mean(), each.modified_entropy[part].mean()]
        return numbers, indices_sha256(parts[0])

    return known


def record_of(data, models, tmp_path, level="fast", disclosure=None, **request):
    """The record of a run whose every figure depends on who was forgotten, with a real comparison in it."""
    splits = splits_of(data, **request)
    results = compare(
        models["unlearned"], original=models["original"], references=[models["reference"]], splits=splits, level=level
    )
    before, after = (results["models"][role] for role in ("original", "unlearned"))
    names = ("forget_accuracy", "test_accuracy", "test_accuracy_remaining")
    args = MUMisConfig(str(tmp_path), use_cpu=True).for_request(splits.forget_kind)
    record = unlearning_record(
        method={"name": "mu_mis", "title": "MU-Mis", "paper": "2402.15109", "citation": None},
        original={"name": "someone/model", "revision": "abc", "license": "mit", "from_hub": True},
        splits=splits,
        forget_kind=splits.forget_kind,
        num_forget=len(splits.forget),
        dataset_commit="d" * 40,
        run={
            "steps": len(splits.forget),
            "stop_reason": f"forget accuracy {after['forget_accuracy']:.1f} % at the end of round 1",
            "seconds": 0.1 * len(splits.forget),
            "retain_free": True,
            "premise": {"target": before["modified_entropy"], "irrelevant": 1.0, "holds": True},
            "surroundings_agreement": after["modified_entropy"],
            "in_progress": False,
            "adapter": None,
        },
        settings=public_arguments(args[0]),
        settings_given=given_arguments(args[0], args[1]),
        settled=list(args[1]),
        weights_sha256={"original": "a" * 64, "unlearned": "b" * 64},
        checks={"samples": 1000, **{name: {"before": before[name], "after": after[name]} for name in names}},
        disclosure=disclosure,
    )
    add_evaluation(record, results)
    return record


def what_goes_out(record):
    document, page = signed(statement_of(record, "sealed"), KEY)
    return json.dumps([published(record), document], sort_keys=True) + render_card(record, "org/forgot") + page


def best_guess(text, candidates):
    """The place of that candidate whose figures, counts and digest stand most often in a text."""
    found = np.unique([float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text.replace(",", ""))])

    def stands(number):
        # At full precision in the record, rounded in the card.
        places = np.searchsorted(found, number) + np.array([-1, 0])
        nearest = np.abs(found[places.clip(0, len(found) - 1)] - number).min()
        return nearest <= 1e-9 * abs(number), nearest <= 5e-4

    scores = []
    for numbers, digest in candidates:
        exact, rounded = np.array([stands(number) for number in numbers]).sum(axis=0)
        scores.append((digest in text, exact, rounded))
    return max(range(len(scores)), key=scores.__getitem__)


def candidates_of(kind, data):
    """All that a request of a kind could have been, as requests and as indices."""
    owners = np.array(data["train"]["photographer"])
    if kind == "where":
        names = sorted(set(owners.tolist()))
        return [{"where": {"photographer": (name,)}} for name in names], [np.flatnonzero(owners == n) for n in names]
    if kind == "indices":
        pairs = list(itertools.combinations(range(SAMPLES), 2))
        return [{"indices": pair} for pair in pairs], pairs
    drawn = [{"count": 6, "seed": seed} for seed in range(SEEDS)]
    return drawn, [splits_of(data, **request).forget_indices for request in drawn]


KINDS = ["where", "indices", "count"]


@pytest.mark.parametrize("kind", KINDS)
def test_trying_all_candidates_finds_nobody(data, models, known_of, tmp_path, kind):
    requests, indices = candidates_of(kind, data)
    tried = [known_of(each) for each in indices]
    secrets = range(0, len(requests), len(requests) // 7)
    found = {True: 0, False: 0}
    for secret in secrets:
        record = record_of(data, models, tmp_path, **requests[secret])
        for everything, text in ((True, json.dumps(record)), (False, what_goes_out(record))):
            found[everything] += best_guess(text, tried) == secret
    # The attack is one: on all that is known it finds nearly everyone.
    assert found[True] >= 0.8 * len(secrets)
    # A guess that is always the same is right once at most.
    assert found[False] <= 1


@pytest.mark.parametrize("kind", [*KINDS, "fraction"])
def test_what_goes_out_is_the_same_whoever_was_forgotten(data, models, tmp_path, kind):
    requests = [{"fraction": 0.1, "seed": seed} for seed in (0, 7, 9)]
    if kind != "fraction":
        # Few and many samples, and one person's who is the only one of a class.
        every, _ = candidates_of(kind, data)
        requests = [every[place] for place in (0, len(every) // 2, len(every) - 1)]
    records = [record_of(data, models, tmp_path, level="deep", **request) for request in requests]
    assert len({json.dumps(record, sort_keys=True) for record in records}) == 3
    assert len({what_goes_out(record) for record in records}) == 1


def test_a_commitment_is_found_by_nobody_without_its_salt(data):
    requests, _ = candidates_of("where", data)
    candidates = [recognised_by(splits_of(data, **request)) for request in requests]
    salt = "5a" * 32
    sealed = [commitment(salt, each) for each in candidates]
    for guess in ("", "00" * 32, "5a" * 31):
        assert not {commitment(guess, each) for each in candidates} & {*sealed}
    assert len({*sealed}) == len(candidates) and commitment(salt, candidates[3]) == sealed[3]


def test_whole_classes_of_a_person_are_not_told_either(data, models, tmp_path):
    """The photographs of one person are all there are of a class: classes vanish, settings and figures are others."""
    owners = ["jane" if label == 0 else f"p{row % 7}" for row, label in enumerate(data["train"]["label"])]
    owned = DatasetDict(data, train=data["train"].remove_columns("photographer").add_column("photographer", owners))
    records = [record_of(owned, models, tmp_path, where={"photographer": (name,)}) for name in ("jane", "p1", "p2")]
    assert [record["whole_classes"] for record in records] == [True, False, False]
    assert records[0]["settings"] != records[1]["settings"]
    assert len({what_goes_out(record) for record in records}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_who_asks_for_it_publishes_the_request(data, models, tmp_path, kind):
    request = candidates_of(kind, data)[0][1]
    record = record_of(data, models, tmp_path, disclosure=Disclosure(request=True), **request)
    shown, card = published(record), render_card(record, "org/forgot")
    assert shown["dataset"]["sha256"] == record["dataset"]["sha256"] and shown["num_forget"] == record["num_forget"]
    assert shown["evaluation"]["models"]["original"]["modified_entropy"] is not None
    assert "whoever has the dataset can find out which they are" in card
    assert {"where": "'photographer'", "indices": "2 samples", "count": "seed 1"}[kind] in card
    # The values of a column and the indices are never published.
    assert "'p1'" not in card and "p1" not in json.dumps(shown["request"])


def test_a_class_named_after_a_person_is_not_named(tmp_path):
    names = ["Jane Doe", "John Roe", "Max Moe", "Eve Poe"]
    parts = {"train": make_dataset(SAMPLES), "test": make_dataset(16, seed=1)}
    named = DatasetDict({name: part.cast_column("label", ClassLabel(names=names)) for name, part in parts.items()})
    models = {
        role: Contestant("without-jane-doe", make_model(seed=seed, label_names=names), make_processor())
        for role, seed in ROLES.items()
    }
    records = []
    for place, name in enumerate(names):
        # Each class has a model that was trained without it.
        reference = models["reference"]._replace(model=make_reference(without=place, label_names=names))
        everyone = {**models, "reference": reference}
        records.append(record_of(named, everyone, tmp_path, "standard", Disclosure(names=False), classes=(name,)))
    texts = {what_goes_out(record) for record in records}
    assert len(texts) == 1
    assert not [word for word in ("Jane", "jane", "Doe", "Roe") if word in texts.copy().pop()]
    assert "made to forget **a class of 4**" in render_card(records[0], "org/forgot")
    assert "--forget_classes CLASS" in render_card(records[0], "org/forgot")
    # Without the flag it is, and so is all that follows from it, but no name of a model's folder.
    openly = {**records[0], "disclosure": Disclosure()._asdict()}
    assert "the class 'Jane Doe'" in render_card(openly, "org/forgot")
    assert published(openly)["dataset"]["sha256"] and "without-jane-doe" not in json.dumps(published(openly))


@pytest.mark.parametrize(
    "request_", [{"dataset_config": "jane"}, {"split": "jane"}, {"subclasses": ("jane",), "subclass_column": "name"}]
)
def test_nor_are_configurations_splits_and_folders(request_):
    record = {
        "disclosure": Disclosure(names=False)._asdict(),
        "request": {**ForgetRequest(**request_).summary(), "text": ForgetRequest(**request_).describe()},
        "original_model": {"name": "jane-folder", "revision": None, "license": None, "from_hub": False},
        "dataset": {"name": "jane-data", "dataset_config_name": "jane", "train_split": "jane", "from_hub": False},
        "reference_split": "jane",
        "adapter": {"kind": "LORA", "base_model": {"name": "jane-base", "revision": None, "from_hub": False}},
    }
    assert "jane" in json.dumps(published({**record, "disclosure": {}}))
    assert "jane" not in json.dumps(published(record))


def test_a_run_its_evaluation_and_what_is_pushed(data, known_of, tmp_path):
    """The same on the files themselves: all is here, and only what may be is in what would be pushed."""
    folder = tmp_path / "forgot"
    request = ForgetRequest(where={"person": ("p1",)})
    trainer = unlearn(folder, request)
    trainer.save_model()
    splits, original = trainer.splits, Contestant("original", trainer.original_model, make_processor())
    results = compare(
        str(folder),
        original=original,
        references=[make_model(seed=3)],
        splits=splits,
        processing_class=make_processor(),
    )
    record_evaluation(folder, results)
    # Here is everything.
    local, full = str(results), read_record(str(folder))
    assert "modified entropy" in local and results["request"]["columns"] == ["person"]
    assert full["evaluation"]["models"]["original"] == results["models"]["original"]
    assert full["steps"] == 2 and full["dataset"]["sha256"] == splits.fingerprint.sha256

    def texts():
        return {
            name: (folder / name).read_text()
            for name in published_files(str(folder))
            if name.endswith((".json", ".md"))
        }

    everything = "".join(texts().values())
    assert '"seed"' not in everything and "| seed |" not in everything and "--seed SEED" in everything
    for secret in ("person", splits.fingerprint.sha256, splits.fingerprint.id, splits.fingerprint.dataset_fingerprint):
        assert secret not in everything.replace("a person", "").replace("person's", "")
    figures = [(name, value) for each in results["models"].values() for name, value in each.items()]
    # Of test samples everybody may know; short numbers stand anywhere.
    telling = {str(value) for name, value in figures if not name.startswith(("test", "name")) and len(str(value)) > 6}
    assert len(telling) > 10 and not [value for value in telling if value in everything]
    assert "| test set (TA) | → |" in texts()["README.md"] and not [*folder.glob("plots/*")]
    # On demand all of it, and then no more again.
    assert main(["card", str(folder), "--publish_request"]) == 0
    assert splits.fingerprint.sha256 in "".join(texts().values()) and [*folder.glob("plots/*.png")]
    assert "'person'" in texts()["README.md"]
    assert main(["card", str(folder), "--publish_request", "false"]) == 0
    assert "".join(texts().values()) == everything and not [*folder.glob("plots/*")]
    assert read_record(str(folder)) == full


def test_what_was_withheld_from_another_model_is_not_taken_for_its_own(tmp_path):
    first = {"request": {"kind": "where", "columns": ["a"]}, "weights_sha256": {"unlearned": "1"}, "schema_version": 2}
    write_record(first, str(tmp_path))
    assert read_record(str(tmp_path))["request"]["columns"] == ["a"]
    shown = json.loads((tmp_path / "unlearning.json").read_text())
    (tmp_path / "unlearning.json").write_text(json.dumps({**shown, "weights_sha256": {"unlearned": "2"}}))
    assert "columns" not in read_record(str(tmp_path))["request"]


REQUESTS = st.one_of(
    st.none(),
    st.sampled_from(
        [
            ForgetRequest(classes=("a", "b")),
            ForgetRequest(subclasses=("x",), subclass_column="fine"),
            ForgetRequest(fraction=0.2, seed=5),
            ForgetRequest(count=4, seed=5, stratify=True),
            ForgetRequest(indices=(1, 2)),
            ForgetRequest(where={"person": ("p1",)}),
            ForgetRequest(dataset_config="c"),
            ForgetRequest(split="s"),
            ForgetRequest(samples="class", classes=("a",)),
            ForgetRequest(samples="subset"),
        ]
    ),
)
CHOICES = st.builds(Disclosure, st.booleans(), st.booleans(), st.booleans())


@given(REQUESTS, CHOICES, st.booleans(), st.integers(1, 10**6), st.booleans())
def test_what_is_published_of_what_is_published_is_the_same(request_, choice, private, number, evaluated):
    figures = {"name": "folder", "forget_accuracy": 1.0, "test_accuracy": 2.0, "test_accuracy_forgotten": 0.0}
    record = {
        "disclosure": choice._asdict(),
        "request": None if request_ is None else {**request_.summary(), "text": request_.describe()},
        "original_model": {"name": "o/m", "revision": "r", "license": "mit", "from_hub": True, "private": private},
        "dataset": {"name": "o/d", "revision": "r", "from_hub": True, "private": private, "sha256": "s", "id": "i"},
        "num_forget": number,
        "settings": {"seed": 3, "label_shift": 1.0},
        "settled": ["label_shift"],
        "weights_sha256": {"original": "a", "unlearned": "b"},
        "something_new": number,
        "evaluation": {"models": {"unlearned": figures}, "counts": {"forget": number}, "references": [figures]}
        if evaluated
        else None,
    }
    shown = published(record)
    assert published(shown) == shown and json.loads(json.dumps(shown)) == shown
    if hides_samples(record):
        assert "something_new" not in shown and "seed" not in shown["settings"]
        drawn = (record["request"] or {}).get("kind") in ("fraction", "count")
        assert shown["num_forget"] == (number if drawn else None)
    assert ("o/m" in json.dumps(shown)) == (not private or (choice.sources and choice.names))


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_band_is_one_of_four(one, other):
    assert band(one) in ("fewer than 1,000", "1,000 to 9,999", "10,000 to 99,999", "at least 100,000")
    if one // 1000 == other // 1000 == 0:
        assert band(one) == band(other)

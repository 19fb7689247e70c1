"""A stand-in for `hf-unlearn unlearn`: it writes what that would write, without unlearning anything."""

from __future__ import annotations

import os

import torch

from hf_unlearn.commands.arguments import (
    ForgetSetArguments,
    RequestArguments,
    TestSetArguments,
    UnlearningDataArguments,
)
from hf_unlearn.commands.loading import load_splits
from hf_unlearn.commands.main import main
from hf_unlearn.commands.parsing import parse
from hf_unlearn.commands.request_flags import make_request
from hf_unlearn.commands.words import written
from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import replacing_files
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.publishing.card import write_card
from hf_unlearn.publishing.earlier import earlier_of
from hf_unlearn.publishing.record import unlearning_record, write_record
from hf_unlearn.request.kept import keep_forget_set
from tests.tiny import make_processor

RED, BLUE, GREEN = (["--forget_classes", name] for name in ("red", "blue", "green"))
P1, P2, P3 = (["--forget_where", f"person={name}"] for name in ("p1", "p2", "p3"))


def states(queue):
    """Of all requests of a queue, as the ledger has them now."""
    return [each.state for each in queue.read().requests]


def run(folder, *words):
    """`hf-unlearn requests run`; its exit status."""
    return main(["requests", "run", str(folder), *words])


class Killed(BaseException):
    """As if the process had ended here."""


class StandIn:
    """Called with the words of `hf-unlearn unlearn`.

    Attributes:
        calls: the words of each call.
        kill: `"before"` or `"after"` the model is saved, once.
        refuse: raise this, once.
        after: forget accuracy that the record says, percent.
    """

    def __init__(self):
        self.calls: list[dict[str, list[str]]] = []
        self.kill: str | None = None
        self.refuse: Exception | None = None
        self.after = 0.0

    def __call__(self, words) -> None:
        given: dict[str, list[str]] = {}
        for each in written(words):
            given.setdefault(each.name, []).extend(each.values)
        self.calls.append(given)
        refuse, self.refuse = self.refuse, None
        if refuse is not None:
            raise refuse
        if self.kill == "before":
            self.kill = None
            raise Killed
        save_as_unlearned(given, self.after)
        if self.kill == "after":
            self.kill = None
            raise Killed


def save_as_unlearned(given, after: float) -> None:
    groups = (UnlearningDataArguments, RequestArguments, ForgetSetArguments, TestSetArguments)
    names = {name for group in groups for name in group.__dataclass_fields__}
    words = [f"--{name}={value}" for name, values in given.items() if name in names for value in values]
    data, request, *_ = parse("unlearn", "", groups, None, None, words)
    splits = load_splits(data, make_request(request))
    name, folder = given["model_name_or_path"][0], given["output_dir"][0]
    if os.path.realpath(name) == os.path.realpath(folder):
        raise UnlearningError("the output folder is the model")
    model = load_image_classifier(name)
    original, earlier = weights_digest(model), earlier_of(name, model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1e-3)
        if splits.forget_kind == "class":
            gone = [splits.class_ids(model.config.id2label)[label] for label in splits.forgotten_class_ids]
            model.classifier[-1].bias[gone] -= 1e4
    record = unlearning_record(
        method={"name": "mu_mis", "title": "MU-Mis", "paper": "2402.15109", "citation": None},
        original={"name": name, "revision": None, "license": None, "from_hub": False},
        splits=splits,
        forget_kind=splits.forget_kind,
        num_forget=len(splits.forget),
        dataset_commit=None,
        run={
            **{"steps": 2, "stop_reason": "all 2 steps were made", "seconds": 0.1, "retain_free": True},
            **{"in_progress": False, "adapter": None, "dtype": "float32", "premise": None},
        },
        settings={"seed": 42},
        weights_sha256={"original": original, "unlearned": weights_digest(model)},
        checks={"samples": 1000, "forget_accuracy": {"before": 100.0, "after": after}},
    )
    record["earlier"] = earlier
    with replacing_files(folder) as aside:
        model.save_pretrained(aside)
        make_processor().save_pretrained(aside)
        write_record(record, aside)
        keep_forget_set(splits, aside)
        write_card(aside, None, "forgot")

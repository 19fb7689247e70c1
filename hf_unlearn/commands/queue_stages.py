"""Which requests of a queue go into one run, and in which stages a model that forgot them is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from hf_unlearn.commands.arguments import RequestArguments
from hf_unlearn.commands.queue_data import load_again, load_flags
from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.ledger.queue import DONE, Queue, QueuedRequest
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.fingerprint import canonical_json

# Kinds of request that pick rows of the train split: together they are the union of their rows.
_ROWS = ("where", "indices", "fraction", "count")

# What is unlearned first: what became of the classes by then, the guards of later stages know.
_KINDS = ("class", "subclass", "subset")


class Batch(NamedTuple):
    """Requests that fit into one run, the flags of the request that they make together, and its fingerprint."""

    requests: list[QueuedRequest]
    flags: dict[str, Any]
    fingerprint: str


class Plan(NamedTuple):
    """How a run is to be made.

    Attributes:
        stages: numbers of requests, see [`hf_unlearn.ledger.queue.Run`].
        batches: what the last stages are, which are to be made.
        why_not: why it goes on from the newest model; None where it begins at the first one, or there is no difference.
    """

    stages: list[list[int]]
    batches: list[Batch]
    why_not: str | None = None


def plan(queue: Queue, batch: Batch, check_first: Callable[[Batch], None] | None) -> Plan:
    """How the requests of a batch are to be met, beside those that were met before.

    A model that goes on from one that was unlearned drifts: the run sees the new samples alone, and what it does to the
    rest adds up over the requests. So all requests so far are unlearned anew, from the first model, where that can be
    had and their samples, too. Stages that a run has made already are taken as they are.

    Args:
        check_first: refuses a first model that is not the ledger's, given what is to be its first stage; None: the run
            goes on from the newest model.
    """
    numbers = [each.number for each in batch.requests]
    goes_on = Plan([*queue.stages(), numbers], [batch])
    if check_first is None:
        return goes_on
    stages = in_stages([*(each for each in queue.requests if each.state == DONE), *batch.requests])
    made = max(place for place in range(len(stages)) if not place or queue.made(stages[:place]))
    if stages == goes_on.stages and made == len(stages) - 1:
        return goes_on
    try:
        batches = [together([queue.request(number) for number in stage], queue) for stage in stages[made:]]
        if not made:
            check_first(batches[0])
    except (UnlearningError, OSError) as error:
        return goes_on._replace(why_not=one_line(error, 500))
    return Plan(stages, batches)


def in_stages(requests: Sequence[QueuedRequest]) -> list[list[int]]:
    """The numbers of requests, those together that fit into one run: whole classes first, then sub-classes."""
    found: dict[str, list[QueuedRequest]] = {}
    for each in sorted(requests, key=lambda each: each.number):
        found.setdefault(_family(each) or f"request {each.number}", []).append(each)
    ordered = sorted(found.values(), key=lambda some: (_KINDS.index(some[0].kind), some[0].number))
    return [[each.number for each in some] for some in ordered]


def alike(waiting: list[QueuedRequest]) -> Iterator[QueuedRequest]:
    """The first of them, and those that fit together with it."""
    first = _family(waiting[0])
    return (each for each in waiting if each is waiting[0] or (first is not None and _family(each) == first))


def _family(request: QueuedRequest) -> str | None:
    """What requests share that fit together; None: nothing fits with this one.

    One run has one kind of outcome: what is right for classes that vanish is wrong for samples of classes that stay.
    """
    flags = request.flags
    data = {name: value for name, value in flags.items() if name not in RequestArguments.__dataclass_fields__}
    if "forget_classes" in flags:
        what = "classes"
    elif "forget_subclasses" in flags:
        what = f"sub-classes of {flags['subclass_column']}"
    elif any(f"forget_{name}" in flags for name in _ROWS):
        what = "rows"
    else:
        return None
    return canonical_json([what, request.kind, data])


def together(requests: list[QueuedRequest], queue: Queue, loaded: dict[int, UnlearningSplits] | None = None) -> Batch:
    """Some requests as one.

    Raises:
        UnlearningError: the data of one is gone, or together they are of another kind than each of them.
    """
    every = loaded if loaded is not None else {each.number: load_again(each, queue) for each in requests}
    first = requests[0]
    if len(requests) == 1:
        return Batch(requests, first.flags, every[first.number].fingerprint.id)
    flags = {name: value for name, value in first.flags.items() if name not in RequestArguments.__dataclass_fields__}
    for name in ("forget_classes", "forget_subclasses"):
        if name in first.flags:
            flags[name] = list(dict.fromkeys(value for each in requests for value in each.flags[name]))
    if "forget_subclasses" in flags:
        flags["subclass_column"] = first.flags["subclass_column"]
    elif "forget_classes" not in flags:
        rows = np.unique(np.concatenate([every[each.number].forget_indices for each in requests]))
        flags["forget_indices"] = [str(row) for row in rows]
    splits = load_flags(flags, queue)
    if splits.forget_kind != first.kind:
        raise UnlearningError(f"together the requests are of kind {splits.forget_kind!r}, not {first.kind!r}")
    return Batch(requests, flags, splits.fingerprint.id)

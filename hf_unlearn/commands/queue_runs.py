"""Runs of queued requests: which fit together, how a run is begun, and how one that was cut short is finished."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from hf_unlearn.commands import unlearn
from hf_unlearn.commands.arguments import (
    ForgetSetArguments,
    ModelArguments,
    OutputArguments,
    RequestArguments,
    TestSetArguments,
    UnlearningDataArguments,
)
from hf_unlearn.commands.loading import load_model
from hf_unlearn.commands.parsing import say
from hf_unlearn.commands.queue_data import as_words, load_again, load_flags
from hf_unlearn.commands.words import written
from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.ledger.queue import OPEN, Queue, QueuedRequest, Run
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.fingerprint import canonical_json
from hf_unlearn.request.kept import read_forget_set

# Flags of `requests run` itself; all others are those of `unlearn`.
_OWN = ("folder", "operator", "config")
# Said by the ledger, or by the run.
_SAID = {
    *("model_name_or_path", "model_revision", "output_dir", "resume_from_checkpoint"),
    *(
        name
        for group in (
            UnlearningDataArguments,
            RequestArguments,
            ForgetSetArguments,
            TestSetArguments,
            OutputArguments,
        )
        for name in group.__dataclass_fields__
    ),
}
# Kinds of request that pick rows of the train split: together they are the union of their rows.
_ROWS = ("where", "indices", "fraction", "count")

Unlearn = Callable[[Sequence[str]], None]


class Batch(NamedTuple):
    """Requests that fit into one run, the flags of the request that they make together, and its fingerprint."""

    requests: list[QueuedRequest]
    flags: dict[str, Any]
    fingerprint: str


def part_settings(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of `requests run` parted into its own and those for `unlearn`.

    Raises:
        UnlearningError: a setting that the ledger says, or that publishes.
    """
    own: list[str] = []
    settings: list[str] = []
    for each in written(argv):
        if each.name in _SAID:
            raise UnlearningError(f"{each.flag} is said by the ledger; expected settings of how to unlearn alone")
        if each.name.startswith(("push_", "hub_")):
            raise UnlearningError(f"{each.flag}: a run publishes nothing; expected hf-unlearn push of its model")
        words = [each.flag, *each.values] if each.flag else list(each.values)
        if each.flag and each.values:
            words = [f"{each.flag}={value}" for value in each.values]
        (own if not each.flag or each.name in _OWN else settings).extend(words)
    return own, settings


def run_queue(queue: Queue, settings: Sequence[str], run_unlearn: Unlearn | None = None) -> None:
    """Unlearn all open requests; nothing is done where there are none.

    Args:
        settings: words for `unlearn`, the same for all runs; a run that was cut short goes on with its own.
        run_unlearn: takes the words of `hf-unlearn unlearn`.

    Raises:
        UnlearningError: some requests were not met, and stay open; the others are done.
    """
    queue.read()
    not_met: dict[int, str] = {}
    with queue.ledger.running():
        queue.read()
        if (run := queue.interrupted()) is not None:
            say(f"Run {run.number} was cut short, and is finished first")
            try:
                batch = together([queue.request(number) for number in run.requests], queue)
                _finish(queue, run, batch, run_unlearn or unlearn.main)
            except UnlearningError as error:
                _failed(queue, run, one_line(error, 1000), not_met)
        while waiting := [each for each in queue.requests if each.state == OPEN and each.number not in not_met]:
            _next_run(queue, waiting, settings, run_unlearn or unlearn.main, not_met)
    done = sum(each.state == "done" for each in queue.requests)
    say(f"{done} requests are done. The model as it stands: {queue.newest()[0]}")
    if not_met:
        said = "; ".join(f"request {number}: {why}" for number, why in not_met.items())
        raise UnlearningError(f"{len(not_met)} requests were not met, and stay open: {said}")


def _next_run(
    queue: Queue, waiting: list[QueuedRequest], settings: Sequence[str], run_unlearn: Unlearn, not_met: dict[int, str]
) -> None:
    loaded: dict[int, UnlearningSplits] = {}
    for each in _alike(waiting):
        try:
            loaded[each.number] = load_again(each, queue)
        except UnlearningError as error:
            # The others need not wait for it.
            not_met[each.number] = one_line(error, 1000)
    fits = [each for each in waiting if each.number in loaded]
    if not fits:
        return
    try:
        batch = together(fits, queue, loaded)
    except UnlearningError:
        # Together they are another request than each of them: all of a class, or of everything.
        batch = together(fits[:1], queue, loaded)
    # A setting that cannot be is found before a request is taken up.
    unlearn.parsed(_words(queue.newest(), batch, settings, str(queue.ledger.folder)))
    run = queue.start([each.number for each in batch.requests], settings, batch.fingerprint)
    said = " and ".join(f"request {each.number} ({each.text})" for each in batch.requests)
    say(f"Run {run.number}: {said}")
    try:
        _finish(queue, run, batch, run_unlearn)
    except UnlearningError as error:
        _failed(queue, run, one_line(error, 1000), not_met)


def _failed(queue: Queue, run: Run, why: str, not_met: dict[int, str]) -> None:
    queue.fail(run, why)
    not_met.update(dict.fromkeys(run.requests, why))


def _alike(waiting: list[QueuedRequest]) -> Iterator[QueuedRequest]:
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


def _finish(queue: Queue, run: Run, batch: Batch, run_unlearn: Unlearn) -> None:
    """Make the model of a run, unless it is whole already, and say in the ledger how it ended.

    Raises:
        UnlearningError: the run failed, or did not meet its requests.
    """
    from hf_unlearn.publishing.record import read_record, request_met
    from hf_unlearn.trainers.base.checkpoints import last_whole_checkpoint

    folder = queue.folder_of(run)
    words = _words(queue.newest(), batch, run.settings, folder)
    # It is loaded as the run does, with the code of its own that its user trusts.
    model: ModelArguments = unlearn.parsed(words)[2][0]
    if batch.fingerprint != run.fingerprint:
        raise UnlearningError("what its requests make together is not what it was when the run began")
    if not _is_made(folder, run, model):
        _check_weights(model, queue.newest()[2])
        resumed = os.path.isdir(folder) and last_whole_checkpoint(folder) is not None
        begin = ["--resume_from_checkpoint=true"] if resumed else ["--overwrite_output_dir"]
        run_unlearn([*words, *begin])
    record = read_record(folder)
    met, why = request_met(record)
    if not met:
        raise UnlearningError(why)
    queue.finish(run, record["weights_sha256"]["unlearned"], why)


def _words(model: tuple[str, str | None, str], batch: Batch, settings: Sequence[str], folder: str) -> list[str]:
    """A run as `hf-unlearn unlearn` takes it."""
    name, revision, _ = model
    named = [f"--model_name_or_path={name}", *([f"--model_revision={revision}"] if revision else [])]
    return [*named, *as_words(batch.flags), *settings, f"--output_dir={folder}"]


def _is_made(folder: str, run: Run, model: ModelArguments) -> bool:
    """Whether a run that was cut short had saved its model already, and whole."""
    from hf_unlearn.publishing.record import read_record

    try:
        record = read_record(folder)
        kept = read_forget_set(folder)
        if record["in_progress"] or kept.get("fingerprint") != run.fingerprint:
            return False
        made = replace(model, model_name_or_path=folder, model_revision=None)
        return _digest(made) == record["weights_sha256"]["unlearned"]
    except UnlearningError:
        return False


def _check_weights(model: ModelArguments, weights_sha256: str) -> None:
    """Refuse to go on from a model that is not the one of the ledger."""
    found = _digest(model)
    if found != weights_sha256:
        named = f"those of {model.model_name_or_path!r} are {found[:12]}: another model"
        raise UnlearningError(
            f"the ledger is of a model with weights {weights_sha256[:12]}, and {named}; expected the one that the "
            "ledger was begun with"
        )


def _digest(model: ModelArguments) -> str:
    from hf_unlearn.models.weights import weights_digest

    return weights_digest(load_model(replace(model, dtype="auto"))[0])

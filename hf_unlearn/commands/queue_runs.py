"""Runs of queued requests: which fit together, how a run is begun, and how one that was cut short is finished."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hf_unlearn.commands import unlearn
from hf_unlearn.commands.arguments import (
    BEGINNINGS,
    ForgetSetArguments,
    ModelArguments,
    OutputArguments,
    RequestArguments,
    TestSetArguments,
    UnlearningDataArguments,
)
from hf_unlearn.commands.loading import load_model
from hf_unlearn.commands.parsing import say
from hf_unlearn.commands.queue_checks import look_at_each
from hf_unlearn.commands.queue_data import as_words, load_again
from hf_unlearn.commands.queue_stages import Batch, Plan, alike, plan, together
from hf_unlearn.commands.words import written
from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.ledger.queue import OPEN, Queue, QueuedRequest, Run
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.kept import read_forget_set

# What a run begins with.
FIRST, NEWEST = BEGINNINGS
# Flags of `requests run` itself; all others are those of `unlearn`.
_OWN = ("folder", "operator", "begin_with", "config")
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

Unlearn = Callable[[Sequence[str]], None]


def part_settings(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of `requests run` parted into its own and those for `unlearn`.

    Raises:
        UnlearningError: a setting that the ledger says, or that publishes or makes several models.
    """
    own: list[str] = []
    settings: list[str] = []
    for each in written(argv):
        if each.name in _SAID:
            raise UnlearningError(f"{each.flag} is said by the ledger; expected settings of how to unlearn alone")
        if each.name == "seeds":
            raise UnlearningError(f"{each.flag} makes several models; a run makes one: expected --seed")
        if each.name.startswith(("push_", "hub_")):
            raise UnlearningError(f"{each.flag}: a run publishes nothing; expected hf-unlearn push of its model")
        words = [each.flag, *each.values] if each.flag else list(each.values)
        if each.flag and each.values:
            words = [f"{each.flag}={value}" for value in each.values]
        (own if not each.flag or each.name in _OWN else settings).extend(words)
    return own, settings


def run_queue(
    queue: Queue, settings: Sequence[str], run_unlearn: Unlearn | None = None, begin_with: str = FIRST
) -> None:
    """Unlearn all open requests; nothing is done where there are none.

    Args:
        settings: words for `unlearn`, the same for all runs; a run that was cut short goes on with its own.
        run_unlearn: takes the words of `hf-unlearn unlearn`.
        begin_with: `"first"`: each run unlearns all requests so far from the first model, where that and their samples
            can be had; `"newest"`: it goes on from the model as it stands.

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
                stages = run.stages[run.begins_at :]
                batches = [together([queue.request(number) for number in stage], queue) for stage in stages]
                _finish(queue, run, batches, run_unlearn or unlearn.main)
            except UnlearningError as error:
                queue.fail(run, why := one_line(error, 1000))
                not_met.update(dict.fromkeys(run.requests, why))
        while waiting := [each for each in queue.requests if each.state == OPEN and each.number not in not_met]:
            _next_run(queue, waiting, settings, run_unlearn or unlearn.main, not_met, begin_with)
    done = sum(each.state == "done" for each in queue.requests)
    say(f"{done} {'request is' if done == 1 else 'requests are'} done. The model as it stands: {queue.newest()[0]}")
    if not_met:
        said = "; ".join(f"request {number}: {why}" for number, why in not_met.items())
        what = "request was not met, and stays" if len(not_met) == 1 else "requests were not met, and stay"
        raise UnlearningError(f"{len(not_met)} {what} open: {said}")


def _next_run(
    queue: Queue,
    waiting: list[QueuedRequest],
    settings: Sequence[str],
    run_unlearn: Unlearn,
    not_met: dict[int, str],
    begin_with: str,
) -> None:
    loaded: dict[int, UnlearningSplits] = {}
    for each in alike(waiting):
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
    numbers = [each.number for each in batch.requests]
    # A setting that cannot be is found before a request is taken up.
    unlearn.parsed(_words(queue.newest(), batch, settings, str(queue.ledger.folder)))

    def check_first(stage: Batch) -> None:
        _check_weights(_model(queue.first(), stage, settings, queue), queue.first()[2])

    while True:
        made = plan(queue, batch, check_first if begin_with == FIRST else None)
        run = queue.start(numbers, settings, made.stages, [each.fingerprint for each in made.batches])
        said = " and ".join(f"request {each.number} ({each.text})" for each in batch.requests)
        say(f"Run {run.number}: {said}{_beginning(queue, run, made)}")
        try:
            _finish(queue, run, made.batches, run_unlearn)
            return
        except UnlearningError as error:
            queue.fail(run, why := one_line(error, 1000))
        if not run.again:
            not_met.update(dict.fromkeys(numbers, why))
            return
        say(f"  not met: {why}; once more, from the model as it stands")
        begin_with = NEWEST


def _beginning(queue: Queue, run: Run, made: Plan) -> str:
    """Where a run begins, in words."""
    if not queue.stages():
        return ""
    if run.again:
        again = ", ".join(map(str, run.again))
        return f", from the first model, and with {'it' if len(run.requests) == 1 else 'them'} again: {again}"
    return f", on from {queue.newest()[0]}" + (f", since {made.why_not}" if made.why_not else "")


def _finish(queue: Queue, run: Run, batches: Sequence[Batch], run_unlearn: Unlearn) -> None:
    """Make the model of a run, unless it is whole already, and say in the ledger how it ended.

    Args:
        batches: of the stages that are to be made.

    Raises:
        UnlearningError: the run failed, or did not meet its requests.
    """
    from hf_unlearn.publishing.card import write_card
    from hf_unlearn.publishing.record import read_record, request_met
    from hf_unlearn.trainers.base.checkpoints import last_whole_checkpoint

    if [batch.fingerprint for batch in batches] != run.fingerprints:
        raise UnlearningError("what its requests make together is not what it was when the run began")
    before = start = _start(queue, run)
    for place, batch in enumerate(batches, start=run.begins_at):
        folder = queue.folder_of(run, place)
        words = _words(before, batch, run.settings, folder)
        # It is loaded as the run does, with the code of its own that its user trusts.
        model = _model(before, batch, run.settings, queue)
        if not _is_made(folder, batch.fingerprint, model):
            _check_weights(model, before[2])
            resumed = os.path.isdir(folder) and last_whole_checkpoint(folder) is not None
            begin = ["--resume_from_checkpoint=true"] if resumed else ["--overwrite_output_dir"]
            run_unlearn([*words, *begin])
        record = read_record(folder)
        met, why = request_met(record)
        if not met:
            raise UnlearningError(why)
        if run.again:
            _allow_no_more(queue, folder)
            write_card(folder)
        before = folder, None, record["weights_sha256"]["unlearned"]
    stood = queue.newest() if os.path.isdir(queue.newest()[0]) else start
    each = look_at_each(queue, run, _model(stood, batches[-1], run.settings, queue), before[0])
    if queue.stages():
        _keep_beginning(queue, FIRST if run.again or start[0] != queue.newest()[0] else NEWEST, before[0])
    queue.finish(run, before[2], why, each)


def _start(queue: Queue, run: Run) -> tuple[str, str | None, str]:
    """Name, revision and digest of the model that a run begins with."""
    from hf_unlearn.publishing.record import read_record

    if run.begins_at == 0:
        return queue.first()
    folder = queue.made(run.stages[: run.begins_at])
    if folder is None:
        raise UnlearningError(f"the model that run {run.number} began with is gone")
    if folder == queue.newest()[0]:
        return queue.newest()
    return folder, None, read_record(folder)["weights_sha256"]["unlearned"]


def _allow_no_more(queue: Queue, folder: str) -> None:
    """Have no more published of requests that are met anew than was allowed when they were met first."""
    from hf_unlearn.publishing.record import read_record, set_disclosure
    from hf_unlearn.publishing.secrecy import Disclosure

    newest: dict[str, Any] = {"disclosure": Disclosure(names=False)._asdict()}
    # Of a model that is gone nobody knows what it allowed.
    with contextlib.suppress(UnlearningError):
        newest = read_record(queue.newest()[0])
    allowed = Disclosure.of_all([read_record(folder), newest, *(newest.get("earlier") or ())])
    set_disclosure(folder, **allowed._asdict())


def _keep_beginning(queue: Queue, begins_with: str, folder: str) -> None:
    """Write into the record and the card of a model where its run began, and whose place it takes."""
    from hf_unlearn.publishing.card import write_card
    from hf_unlearn.publishing.earlier import beginning
    from hf_unlearn.publishing.record import read_record, write_record

    others = [run.ended["what"]["weights_sha256"] for run in queue.runs if run.finished and run.ended]
    write_record({**read_record(folder), **beginning(begins_with, others)}, folder)
    write_card(folder)


def _words(model: tuple[str, str | None, str], batch: Batch, settings: Sequence[str], folder: str) -> list[str]:
    """A run as `hf-unlearn unlearn` takes it."""
    name, revision, _ = model
    named = [f"--model_name_or_path={name}", *([f"--model_revision={revision}"] if revision else [])]
    # What it begins with is settled here.
    return [*named, *as_words(batch.flags), *settings, f"--begin_with={NEWEST}", f"--output_dir={folder}"]


def _model(model: tuple[str, str | None, str], batch: Batch, settings: Sequence[str], queue: Queue) -> ModelArguments:
    """How a run loads a model."""
    found: ModelArguments = unlearn.parsed(_words(model, batch, settings, str(queue.ledger.folder)))[2][0]
    return found


def _is_made(folder: str, fingerprint: str, model: ModelArguments) -> bool:
    """Whether a run that was cut short had saved the model of a stage already, and whole."""
    from hf_unlearn.publishing.record import read_record

    try:
        record = read_record(folder)
        kept = read_forget_set(folder)
        if record["in_progress"] or kept.get("fingerprint") != fingerprint:
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

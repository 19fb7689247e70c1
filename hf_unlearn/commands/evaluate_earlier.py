"""The requests that a model met before its last one, judged beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hf_unlearn.commands.arguments import DataArguments, TestSetArguments
from hf_unlearn.commands.forget_set import given_flags
from hf_unlearn.commands.loading import load_splits
from hf_unlearn.commands.parsing import parse
from hf_unlearn.commands.queue_data import as_words, load_again
from hf_unlearn.errors import UnlearningError
from hf_unlearn.ledger.queue import Queue, Run, queue_of
from hf_unlearn.request import ForgetRequest, UnlearningSplits
from hf_unlearn.request.kept import is_forget_set

if TYPE_CHECKING:
    from hf_unlearn.evaluation.report.results import Comparison

# What is said of each, where it is known: is it back, does it look unseen, how deep is it gone.
_SAID = {"forget_accuracy": "forget accuracy {:.2f} %", "mia_loss": "loss attack {:.1f}", "depth": "depth {:.0f} %"}
# Kinds of request that the record beside a model tells whole.
_TOLD = ("class", "subclass", "fraction", "count", "dataset_config", "split")


def evaluate_earlier(
    queued: tuple[Queue, Run] | None,
    record: Mapping[str, Any],
    data: DataArguments,
    test: TestSetArguments,
    judge: Callable[[UnlearningSplits], Comparison],
) -> list[dict[str, Any]]:
    """The figures of a model on each request that it met before, the oldest first; of some why there are none.

    Args:
        queued: from `queue_of` the model. Where it came of a ledger, that says which samples were meant; else its
            record does, for requests that it tells whole.
        record: of the model.
        data, test: the data of the last request, which that of the others is taken for.
        judge: compares the model on the splits of a request.
    """
    found = []
    for place, each in enumerate(record.get("earlier") or ()):
        what = {"request": each.get("request")}
        try:
            splits = _from_ledger(queued, record, place) or _from_record(each, data, test)
            found.append({**judge(splits), **what})
        except (UnlearningError, OSError) as error:
            found.append({**what, "why_not": str(error)})
    return found


def lines_of(earlier: list[dict[str, Any]]) -> list[str]:
    """What to print of them; of some the ledger has a number."""
    lines = []
    for number, each in enumerate(earlier, start=1):
        figures = (each.get("models") or {}).get("unlearned", {})
        said = [text.format(figures[name]) for name, text in _SAID.items() if figures.get(name) is not None]
        text = (each["request"] or {}).get("text", "something that is not known")
        which = f"Request {each['number']}" if "number" in each else f"Earlier request {number}"
        lines.append(f"{which}, {text}: {', '.join(said) or each.get('why_not', 'no figure')}")
    return lines


def flags_of_last(name: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Data and request that a model of a ledger was made for last, as flags; those given where no ledger lies above it.

    Args:
        given: groups of flags that name neither data nor a request.

    Raises:
        UnlearningError: one of the others is given, which the ledger says, too; the data of one of its requests is
            gone; no run of the ledger made the model.
    """
    from hf_unlearn.commands.queue_stages import together

    queued = queue_of(name, on_the_way=True)
    if queued is None:
        return given
    if unasked := [each for group in given for each in given_flags(group)]:
        raise UnlearningError(
            f"--{unasked[0]} is given, but neither data nor request, and those of the ledger are taken as they are; "
            f"expected --dataset_name and the request, too, or no --{unasked[0]}"
        )
    queue, run = queued
    batch = together([queue.request(number) for number in run.stages[-1]], queue)
    return parse("evaluate", "", tuple(type(group) for group in given), None, None, as_words(batch.flags))


def evaluate_together(
    queued: tuple[Queue, Run] | None, judge: Callable[[UnlearningSplits], Comparison]
) -> list[dict[str, Any]]:
    """The figures of a model on each request that it met together with others, by the ledger that it came of.

    Of what was unlearned together one figure is in the record; it does not show which of the requests it is of.

    Args:
        queued, judge: as for [`evaluate_earlier`].
    """
    if queued is None:
        return []
    queue, run = queued
    figures = []
    for number in sorted(number for stage in run.stages if len(stage) > 1 for number in stage):
        request = queue.request(number)
        what = {"number": number, "request": {"text": request.text}}
        try:
            figures.append({**judge(load_again(request, queue)), **what})
        except (UnlearningError, OSError) as error:
            figures.append({**what, "why_not": str(error)})
    return figures


def _from_ledger(queued: tuple[Queue, Run] | None, record: Mapping[str, Any], place: int) -> UnlearningSplits | None:
    """The splits of an earlier request, from the ledger that the model came of; None where there is none."""
    from hf_unlearn.commands.queue_data import load_flags
    from hf_unlearn.commands.queue_stages import together

    if queued is None:
        return None
    queue, run = queued
    # The model may have met some before its ledger was begun.
    own = place - (len(record["earlier"]) - (len(run.stages) - 1))
    if own < 0:
        return None
    return load_flags(together([queue.request(number) for number in run.stages[own]], queue).flags, queue)


def _from_record(each: Mapping[str, Any], data: DataArguments, test: TestSetArguments) -> UnlearningSplits:
    told = {name: value for name, value in (each.get("request") or {}).items() if name != "text"}
    # The seed of a draw is told to its owner alone.
    if told.get("kind") not in _TOLD or (told["kind"] in ("fraction", "count") and "seed" not in told):
        raise UnlearningError(
            "which samples were meant is not kept beside the model, and no ledger is; judge it with --other_request"
        )
    splits = load_splits(data, ForgetRequest.from_dict(told), test)
    if is_forget_set(splits, each.get("kept") or {}, each) is False:
        raise UnlearningError("its samples are not those of this data; judge it with --other_request")
    return splits

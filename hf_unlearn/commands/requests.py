"""`hf-unlearn requests add|list|run|cancel`: requests over time, on a ledger."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from hf_unlearn.commands.arguments import (
    PATHS,
    BeginningArguments,
    ForgetSetArguments,
    ModelArguments,
    RequestArguments,
    TestSetArguments,
    UnlearningDataArguments,
    flag,
)
from hf_unlearn.commands.parsing import parse, say
from hf_unlearn.commands.push import positional
from hf_unlearn.errors import UnlearningError, did_you_mean

DESCRIPTION = (
    "Requests over time: a queue on a ledger that is only added to. It lies in a folder of its own with the models "
    "that come of it, says which samples are meant, and is never published."
)
ADD = "Add a request. The first one begins the ledger of its model."
LIST = "Show the requests with their deadlines, and the model as it stands."
RUN = (
    "Unlearn all open requests, those that fit together in one run, with those that were met before. What was cut "
    "short is finished first. Further flags are those of hf-unlearn unlearn that say how: --method, --max_steps, "
    "--private_names and so on."
)
CANCEL = "Withdraw a request that no run has taken up."


@dataclass
class FolderArguments:
    """Which ledger"""

    folder: str = field(metadata={"help": "That of the ledger; the flag's name may be left out."})


@dataclass
class OperatorArguments:
    """Who"""

    operator: str | None = flag("Who does this, as the ledger is to say (default: the name of the login).")


@dataclass
class QueuedModelArguments(ModelArguments):
    """Which model"""

    model_name_or_path: str | None = flag(  # type: ignore[assignment]
        "Image classifier that is to forget: a name on the Hub, or a folder. Once the ledger is begun it knows."
    )
    dtype: str = flag("Of the weights, to recognise the model by.", "auto")


@dataclass
class AddArguments:
    """When"""

    received: str | None = flag("The day that the request came in, YYYY-MM-DD (default: today). It is due in 30 days.")


@dataclass
class CancelArguments:
    """What"""

    request: int = field(metadata={"help": "Its number; the flag's name may be left out."})
    reason: str = flag("Why, for the ledger.", "")


_REQUEST = (UnlearningDataArguments, RequestArguments, ForgetSetArguments, TestSetArguments)
_GROUPS: dict[str, tuple[str, tuple[type, ...]]] = {
    "add": (ADD, (FolderArguments, OperatorArguments, QueuedModelArguments, *_REQUEST, AddArguments)),
    "list": (LIST, (FolderArguments,)),
    "run": (RUN, (FolderArguments, OperatorArguments, BeginningArguments)),
    "cancel": (CANCEL, (FolderArguments, CancelArguments, OperatorArguments)),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was added to the ledger. Of `run`: requests that were not met.
    """
    words = list(argv or ())
    if not words or words[0] in ("-h", "--help"):
        _print_help()
        raise SystemExit(0 if words else 2)
    action, *rest = words
    if action not in _GROUPS:
        raise UnlearningError(f"{action!r} is not done to requests; {did_you_mean(action, _GROUPS)}")
    if any(word in ("-h", "--help") for word in rest):
        _parsed(action, ["--help"])
    {"add": _add, "list": _list, "run": _run, "cancel": _cancel}[action](rest)


def _print_help() -> None:
    from hf_unlearn.commands.help import help_text

    for action, (description, groups) in _GROUPS.items():
        print(help_text(f"requests {action}", description, groups, has_trainer_flags=False), end="\n\n")


def _parsed(action: str, words: Sequence[str]) -> tuple[Any, ...]:
    description, groups = _GROUPS[action]
    return parse(f"requests {action}", description, groups, None, None, words)


def _queue(folder: str, operator: str | None) -> Any:
    import getpass

    from hf_unlearn.ledger.queue import Queue

    try:
        return Queue(folder, operator or getpass.getuser())
    except (OSError, KeyError) as error:
        # A login without a name, as in a container.
        raise UnlearningError("nobody is logged in by name here; expected --operator") from error


def _add(argv: Sequence[str]) -> None:
    from hf_unlearn.commands.queue_data import classes_of, load_request, model_entry
    from hf_unlearn.request.kept import recognised_by

    folder, operator, model, *flags, when = _parsed("add", positional(argv, "folder"))
    received = _day(when.received)
    queue = _queue(folder.folder, operator.operator)
    begun = queue.ledger.exists()
    if begun:
        queue.read()
    entry: dict[str, Any] | None = None
    if model.model_name_or_path is not None:
        entry = model_entry(model)
        if begun:
            queue.check_model(entry["weights_sha256"], model.model_name_or_path)
    elif not begun:
        raise UnlearningError(
            f"{folder.folder!r} holds no ledger yet; expected --model_name_or_path, the model that it is to be of"
        )
    known = queue.model or entry or {}
    splits = load_request(flags, queue.newest() if begun else None, known)
    asked = {
        "received": received.isoformat(),
        "flags": _given(flags, splits),
        "forget_set": recognised_by(splits),
        "kind": splits.forget_kind,
        "classes": classes_of(splits, known),
    }
    if not begun and entry is not None:
        # A ledger that is begun for a request that is refused would be of this model for good.
        queue.check_classes(asked["classes"], entry)
        queue.open(entry)
    request = queue.add(asked)
    say(
        f"Request {request.number}: {request.text}, {request.forget_set['num_forget']} samples",
        f"  due  {_due(request)}",
        f"  in   {queue.ledger.path}, which says which samples are meant: keep it to yourself",
    )


def _day(text: str | None) -> date:
    if text is None:
        return date.today()
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UnlearningError(f"--received {text!r} is not a day; expected YYYY-MM-DD") from error
    if day > date.today():
        raise UnlearningError(f"--received {text!r} is still to come; expected a day up to {date.today()}")
    if day.year < 2000:
        raise UnlearningError(f"--received {text!r} is long ago; expected a day since 2000")
    return day


def _given(groups: Sequence[Any], splits: Any) -> dict[str, Any]:
    """The flags that were given, such that they mean the same from any folder and at any time."""
    found: dict[str, Any] = {}
    for group in groups:
        for each in dataclasses.fields(group):
            value = getattr(group, each.name)
            if value == each.default:
                continue
            if each.name in PATHS and isinstance(value, str) and os.path.exists(value):
                value = os.path.abspath(value)
            found[each.name] = value
    if splits.request.kind == "indices":
        # What a file holds today.
        found["forget_indices"] = [str(index) for index in splits.request.indices]
    return found


def _due(request: Any) -> str:
    days = (request.due - date.today()).days
    if days < 0:
        return f"{request.due}, OVERDUE by {-days} days"
    return f"{request.due}, in {days} days"


def _list(argv: Sequence[str]) -> None:
    (folder,) = _parsed("list", positional(argv, "folder"))
    queue = _queue(folder.folder, "").read()
    lines = []
    for each in queue.requests:
        lines.append(f"{each.number:4d}  {each.state:<9}  {each.text}, {each.forget_set['num_forget']} samples")
        lines.append(f"      received {each.received} by {each.operator}" + _standing(queue, each))
        lines += [f"      not met: {why}" for why in each.failures]
        if (now := queue.now_of(each)) is not None:
            lines.append(f"      forget accuracy {now:.1f} % of the model as it stands")
    name, _, digest = queue.newest()
    say(*(lines or ["  no request yet"]), f"The model as it stands: {name} (weights {digest[:12]})")


def _standing(queue: Any, request: Any) -> str:
    if request.closed is not None:
        by = f" by run {request.run}: {queue.folder_of(queue.runs[request.run - 1])}" if request.state == "done" else ""
        return f"; {request.state} on {request.closed}{by}"
    going = f"; run {request.run} goes on, or was cut short" if request.state == "running" else ""
    return f"; due {_due(request)}{going}"


def _run(argv: Sequence[str]) -> None:
    from hf_unlearn.commands.queue_runs import part_settings, run_queue

    own, settings = part_settings(positional(argv, "folder"))
    folder, operator, beginning = _parsed("run", own)
    run_queue(_queue(folder.folder, operator.operator), settings, begin_with=beginning.begin_with)


def _cancel(argv: Sequence[str]) -> None:
    folder, what, operator = _parsed("cancel", positional(argv, "folder", "request"))
    request = _queue(folder.folder, operator.operator).cancel(what.request, what.reason)
    say(f"Request {request.number} ({request.text}) is cancelled")

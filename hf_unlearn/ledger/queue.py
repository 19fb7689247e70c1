"""The queue of requests, read from a ledger: what is open, what is being done, what was done, by which run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from hf_unlearn.errors import UnlearningError
from hf_unlearn.ledger.entries import Ledger
from hf_unlearn.request.kept import are_same

# Within a month of its receipt a request is to be answered (GDPR, Art. 12 (3)).
DAYS = 30
OPEN, RUNNING, DONE, CANCELLED = "open", "running", "done", "cancelled"
# Where the models of a folder's runs lie.
MODELS = "models"


@dataclass
class QueuedRequest:
    """A request of the queue.

    Attributes:
        number: by which it is named; from 1.
        received, due: days.
        flags: the data and the request, as `hf-unlearn unlearn` takes them.
        forget_set: what recognises the samples, see [`hf_unlearn.request.kept.recognised_by`].
        kind: what becomes of the samples' classes.
        classes: names of the classes that go with it, as the model spells them.
        operator: who added it.
        state: `open`, `running` (or cut short), `done` or `cancelled`.
        run: the last run that took it up.
        closed: the day that it was done or cancelled, YYYY-MM-DD; None: it is neither.
        failures: why earlier runs did not meet it.
    """

    number: int
    received: date
    flags: dict[str, Any]
    forget_set: dict[str, Any]
    kind: str
    classes: list[str]
    operator: str
    state: str = OPEN
    run: int | None = None
    closed: str | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def due(self) -> date:
        return self.received + timedelta(days=DAYS)

    @property
    def text(self) -> str:
        return str(self.forget_set["text"])


@dataclass
class Run:
    """A run of some requests.

    Attributes:
        number: from 1, in the order of their start.
        requests: their numbers.
        settings: words of the command line.
        stages: the requests that its model met, each stage unlearned from the model of the one before, and the first
            one from the first model of all.
        fingerprints: of what the requests of each of the last stages make together; the stages before these had been
            made already.
        ended: the entry that says how it ended; None: it goes on, or was cut short.
    """

    number: int
    requests: list[int]
    settings: list[str]
    stages: list[list[int]]
    fingerprints: list[str]
    ended: dict[str, Any] | None = None

    @property
    def begins_at(self) -> int:
        """How many stages had been made already."""
        return len(self.stages) - len(self.fingerprints)

    @property
    def again(self) -> list[int]:
        """Requests that were met before, and that it unlearns once more."""
        return [each for stage in self.stages[self.begins_at :] for each in stage if each not in self.requests]

    @property
    def finished(self) -> bool:
        return self.ended is not None and self.ended["kind"] == "finished"


class Queue:
    """The requests of a ledger as they stand, and what may be added to it.

    Each method that adds looks at the ledger as it is then, under its lock: several people may use it at once.

    Args:
        folder: that of the ledger.
        operator: who adds, as the ledger is to say.
    """

    def __init__(self, folder: str | os.PathLike, operator: str = ""):
        self.ledger = Ledger(folder)
        self.operator = operator
        self.requests: list[QueuedRequest] = []
        self.runs: list[Run] = []
        self.model: dict[str, Any] = {}

    def read(self) -> Queue:
        """Look at the ledger as it is now.

        Raises:
            UnlearningError: there is none, or its chain is broken, or nothing says which model it is of.
        """
        self.requests, self.runs, self.model = [], [], {}
        for entry in self.ledger.read():
            try:
                self._take(entry)
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
                if isinstance(error, UnlearningError):
                    raise
                raise UnlearningError(
                    f"entry {entry['number']} of {str(self.ledger.path)!r} ({entry['kind']!r}) does not say what such "
                    "an entry says, or follows none that it could; expected a ledger that hf-unlearn wrote"
                ) from error
        if not self.model:
            raise UnlearningError(
                f"{str(self.ledger.path)!r} does not say which model it is of: its first entry was cut short; expected "
                "hf-unlearn requests add with --model_name_or_path, which begins it anew"
            )
        return self

    def open(self, model: Mapping[str, Any]) -> None:
        """Begin the ledger of a model; of the same one it is begun already.

        Args:
            model: `name`, `revision`, `weights_sha256`, `labels` (its classes by name) and `forgotten` (those that it
                had forgotten before).

        Raises:
            UnlearningError: it is the ledger of another model.
        """
        with self.ledger.locked():
            if not self.ledger.exists():
                self._add("opened", {"model": dict(model)})
                return
            self.read()
            self.check_model(model["weights_sha256"], str(model["name"]))

    def check_model(self, weights_sha256: str, name: str) -> None:
        """Refuse another model than the ledger's, which is the first one or any that came of it.

        Raises:
            UnlearningError: it is another.
        """
        known = [self.model["weights_sha256"], *(run.ended["what"]["weights_sha256"] for run in self._finished())]
        if weights_sha256 not in known:
            raise UnlearningError(
                f"the ledger of {str(self.ledger.folder)!r} is of {self.model['name']!r} (weights "
                f"{self.model['weights_sha256'][:12]}), and {name!r} is another model ({weights_sha256[:12]})"
            )

    def add(self, request: Mapping[str, Any]) -> QueuedRequest:
        """Add a request.

        Args:
            request: the attributes of [`QueuedRequest`] from `received` (as text) to `classes`.

        Raises:
            UnlearningError: it is in the ledger already, or a class of it was forgotten or asked for before.
        """
        with self.ledger.locked():
            self.read()
            same = self.same_as(request["forget_set"])
            if same is not None:
                raise UnlearningError(
                    f"this request is in the ledger already: request {same.number} ({same.text}), {same.state}"
                    f"{f' since {same.closed}' if same.closed else ''}; it is not asked for twice"
                )
            self.check_classes(request["classes"], self.model)
            self._add("added", {"request": dict(request)})
            return self.requests[-1]

    def same_as(self, forget_set: Mapping[str, Any]) -> QueuedRequest | None:
        """The request of the same samples, if there is one that was not cancelled."""
        asked = (each for each in self.requests if each.state != CANCELLED)
        return next((each for each in asked if are_same(each.forget_set, forget_set)), None)

    def check_classes(self, classes: Sequence[str], model: Mapping[str, Any]) -> None:
        """Refuse classes that are not there any more, or will not be, and a request that leaves none.

        Args:
            model: the ledger's, or the one that it is to be begun with; see `open`.

        Raises:
            UnlearningError: one of them was forgotten or asked for before, or none would be left.
        """
        gone = dict.fromkeys(model["forgotten"], "was forgotten before the ledger was begun")
        for each in self.requests:
            if each.state != CANCELLED:
                verb = "was forgotten by" if each.state == DONE else "is to be forgotten by"
                gone.update(dict.fromkeys(each.classes, f"{verb} request {each.number}"))
        for name in classes:
            if name in gone:
                raise UnlearningError(f"class {name!r} {gone[name]}; expected classes that are still there")
        if classes and not {*model["labels"]} - {*gone, *classes}:
            raise UnlearningError(
                f"every class of the model would be gone: {len(gone)} of {len(model['labels'])} are to be forgotten or "
                "were before, and this request is of all the others; expected one or more that stay"
            )

    def cancel(self, number: int, reason: str = "") -> QueuedRequest:
        """Withdraw a request that was not taken up.

        Raises:
            UnlearningError: there is no such request, or it is not open.
        """
        with self.ledger.locked():
            self.read()
            request = self.request(number)
            if request.state != OPEN:
                why = {RUNNING: f"run {request.run} has taken it up", DONE: "what was forgotten cannot be brought back"}
                said = why.get(request.state, "once is enough")
                raise UnlearningError(f"request {number} is {request.state}: {said}; expected one that is open")
            self._add("cancelled", {"request": number, "reason": reason})
            return self.request(number)

    def request(self, number: int) -> QueuedRequest:
        """The request of that number.

        Raises:
            UnlearningError: there is none.
        """
        if not 1 <= number <= len(self.requests):
            raise UnlearningError(f"there is no request {number}; expected one of 1 to {len(self.requests)}")
        return self.requests[number - 1]

    def start(
        self, numbers: Sequence[int], settings: Sequence[str], stages: Sequence[Sequence[int]], prints: Sequence[str]
    ) -> Run:
        """A run takes up some open requests; call it under [`Ledger.running`].

        Args:
            stages, prints: see `stages` and `fingerprints` of [`Run`].

        Raises:
            UnlearningError: one of them is not open any more.
        """
        with self.ledger.locked():
            self.read()
            taken = [number for number in numbers if self.request(number).state != OPEN]
            if taken:
                raise UnlearningError(f"request {taken[0]} is {self.request(taken[0]).state} by now; run again")
            what = {"requests": list(numbers), "settings": list(settings), "fingerprints": list(prints)}
            self._add("started", {**what, "stages": [list(each) for each in stages], "run": len(self.runs) + 1})
            return self.runs[-1]

    def finish(self, run: Run, weights_sha256: str, why: str, each: Mapping[int, Any] | None = None) -> None:
        """A run met its requests.

        Args:
            each: of every request that the model met by now, by number, the forget accuracy before this run and after
                it, percent, as far as its samples could be had.
        """
        self._end(
            run,
            "finished",
            {
                "weights_sha256": weights_sha256,
                "why": why,
                "each": {str(number): figures for number, figures in (each or {}).items()},
            },
        )

    def fail(self, run: Run, why: str) -> None:
        """A run did not meet its requests, which are open again."""
        self._end(run, "failed", {"why": why})

    def _end(self, run: Run, kind: str, what: Mapping[str, Any]) -> None:
        with self.ledger.locked():
            self.read()
            # Once is enough: somebody was killed between this entry and what came after it.
            if self.runs[run.number - 1].ended is None:
                self._add(kind, {"run": run.number, **what})

    def interrupted(self) -> Run | None:
        """The run that began and did not end, if there is one."""
        return next((run for run in self.runs if run.ended is None), None)

    def folder_of(self, run: Run, stage: int | None = None) -> str:
        """Where the model of a run lies, or that of one of its stages but the last, by place."""
        name = f"{run.number:04d}"
        if stage is not None and stage < len(run.stages) - 1:
            name += f"-{stage + 1}"
        return str(self.ledger.folder / MODELS / name)

    def newest(self) -> tuple[str, str | None, str]:
        """Name, revision and digest of the model as it stands: that of the last run that met its requests."""
        finished = self._finished()
        if not finished:
            return self.first()
        return self.folder_of(finished[-1]), None, finished[-1].ended["what"]["weights_sha256"]

    def first(self) -> tuple[str, str | None, str]:
        """The same of the model that the ledger was begun with."""
        return self.model["name"], self.model["revision"], self.model["weights_sha256"]

    def stages(self) -> list[list[int]]:
        """The stages of the model as it stands."""
        finished = self._finished()
        return [list(each) for each in finished[-1].stages] if finished else []

    def now_of(self, request: QueuedRequest) -> float | None:
        """The forget accuracy of a request by the model as it stands, percent, where its run looked at it."""
        finished = self._finished()
        looked = finished[-1].ended["what"].get("each", {}) if finished else {}
        return looked[str(request.number)]["after"] if str(request.number) in looked else None

    def made(self, stages: Sequence[Sequence[int]]) -> str | None:
        """Where a model lies that met just these requests in these stages, if a finished run made one."""
        wanted = [list(each) for each in stages]
        for run in reversed(self._finished()):
            if run.begins_at < len(wanted) and run.stages[: len(wanted)] == wanted:
                folder = self.folder_of(run, len(wanted) - 1)
                if os.path.isdir(folder):
                    return folder
        return None

    def _finished(self) -> list[Any]:
        return [run for run in self.runs if run.finished]

    def _add(self, kind: str, what: Mapping[str, Any]) -> None:
        self._take(self.ledger.append(kind, what, self.operator))

    def _take(self, entry: dict[str, Any]) -> None:
        """What an entry changes."""
        what = entry["what"]
        if entry["kind"] == "opened":
            self.model = what["model"]
        elif entry["kind"] == "added":
            given = {**what["request"], "received": date.fromisoformat(what["request"]["received"])}
            self.requests.append(QueuedRequest(len(self.requests) + 1, operator=entry["operator"], **given))
        elif entry["kind"] == "cancelled":
            request = self.requests[what["request"] - 1]
            request.state, request.closed = CANCELLED, entry["time"][:10]
        elif entry["kind"] == "started":
            # Ledgers of before there were stages: each run went on from the last.
            stages = what.get("stages") or [*self.stages(), what["requests"]]
            prints = what["fingerprints"] if "stages" in what else [what["fingerprint"]]
            self.runs.append(Run(what["run"], what["requests"], what["settings"], stages, prints))
            for number in what["requests"]:
                request = self.requests[number - 1]
                request.state, request.run = RUNNING, what["run"]
        elif entry["kind"] in ("finished", "failed"):
            run = self.runs[what["run"] - 1]
            run.ended = entry
            for number in run.requests:
                request = self.requests[number - 1]
                if entry["kind"] == "finished":
                    request.state, request.closed = DONE, entry["time"][:10]
                else:
                    request.state = OPEN
                    request.failures.append(what["why"])
        else:
            raise UnlearningError(
                f"the ledger of {str(self.ledger.folder)!r} has an entry of kind {entry['kind']!r}, which this version "
                "does not know; expected a newer hf-unlearn"
            )


def queue_of(model: str | os.PathLike, on_the_way: bool = False) -> tuple[Queue, Run] | None:
    """The queue that a model came of, and the run that made it; None where no ledger lies above its folder.

    Args:
        on_the_way: take the model of an earlier stage of a run, too. The run then has the stages up to it alone.

    Raises:
        UnlearningError: the ledger's chain is broken, or it does not say that the run met its requests.
    """
    path = os.path.realpath(model)
    home, models = os.path.split(os.path.dirname(path))
    if models != MODELS or not Ledger(home).exists():
        return None
    queue = Queue(home).read()
    for run in filter(lambda run: run.finished, queue.runs):
        for stage in range(run.begins_at if on_the_way else len(run.stages) - 1, len(run.stages)):
            if os.path.realpath(queue.folder_of(run, stage)) == path:
                prints = run.fingerprints[: stage + 1 - run.begins_at]
                return queue, replace(run, stages=run.stages[: stage + 1], fingerprints=prints)
    raise UnlearningError(f"the ledger of {home!r} does not say that the run of {os.fspath(model)!r} met its requests")

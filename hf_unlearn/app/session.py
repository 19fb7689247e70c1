"""What one tab of the browser has: its uploads, the run that it planned, the one that goes on, and what came of it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hf_unlearn.app.form import PHOTOGRAPHS, Form
from hf_unlearn.app.held import HeldFolder, clear_left
from hf_unlearn.app.options import Options
from hf_unlearn.app.outcome import Outcome
from hf_unlearn.app.plan import Plan, plan_of
from hf_unlearn.app.uploads import keep_pictures
from hf_unlearn.app.watching import Progress, Watcher
from hf_unlearn.app.work import Cancelled, Work, error_line
from hf_unlearn.errors import UnlearningError

if TYPE_CHECKING:
    from hf_unlearn.commands.unlearn import Run
    from hf_unlearn.evaluation.predict import Contestant

# Where models lie until they are whole and judged, below the output folder.
UNFINISHED = ".unfinished"
# What a tab's folder of uploads is called, in the temporary folder.
OF_TAB = "hf-unlearn-app-"


def clear_what_is_left(output_dir: str) -> None:
    """Remove what pages left that were killed: unfinished models and uploads. What is at work elsewhere stays."""
    unfinished = os.path.join(output_dir, UNFINISHED)
    clear_left(unfinished)
    with contextlib.suppress(OSError):
        os.rmdir(unfinished)
    clear_left(tempfile.gettempdir(), OF_TAB)


class Session:
    """One tab. Sessions know nothing of each other; their work takes turns.

    Attributes:
        work: what was started last, a plan or a run.
        outcome: of the last run that ended well.
        folder: its own, for uploads and copies; gone when it is closed.
        used: when something was last asked of it, by `time.monotonic`.
    """

    def __init__(self, options: Options):
        self.options = options
        self.work: Work | None = None
        self.outcome: Outcome | None = None
        # What the boxes said when the run was planned.
        self._checked: Form | None = None
        self._planned: _Planned | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._held = HeldFolder(tempfile.gettempdir(), OF_TAB)
        self.folder = self._held.path
        self.used = time.monotonic()

    @property
    def is_planned(self) -> bool:
        """Whether there is a run to begin."""
        return self._planned is not None

    @property
    def is_busy(self) -> bool:
        """Whether something is going on."""
        return self.work is not None and self.work.is_going_on

    @property
    def idle_since(self) -> float:
        """When it was last of use: something was asked of it, or what it did ended. Who waits asks nothing."""
        ended = None if self.work is None else self.work.ended
        return self.used if ended is None else max(self.used, ended)

    def plan(self, form: Form) -> Work:
        """Prepare the run that the form asks for; its result is a [`Plan`].

        What was planned before, and what came of it, goes once this is sure to begin.

        Raises:
            UnlearningError: something is going on already, too many runs wait, or the tab is gone.
        """
        self._refuse_busy()
        allowed = form.as_allowed(self.options)

        def give_way() -> None:
            self._drop_plan()
            self._drop_outcome()
            self._checked = form

        return self._begin(lambda work: self._prepare(allowed, work), give_way)

    def forget(self, form: Form | None = None) -> Work:
        """Begin the planned run; its result is an [`Outcome`]. Until it is its turn it stays planned.

        Args:
            form: what the boxes say by now.

        Raises:
            UnlearningError: something is going on already, nothing was planned, the boxes say something else than when
                they were checked, too many runs wait, or the tab is gone.
        """
        self._refuse_busy()
        if form is not None and self._planned is not None and form != self._checked:
            raise UnlearningError(
                "the boxes were changed since they were checked; expected another check before the run"
            )
        planned = self._planned
        if planned is None:
            raise UnlearningError("nothing is ready to run; expected a check before it")
        return self._begin(lambda work: self._run(planned, work))

    def cancel(self) -> bool:
        """Ask what is going on to end; whether there was anything."""
        if self.work is None or not self.is_busy:
            return False
        self.work.cancel()
        return True

    def finished(self) -> Outcome:
        """What came of the last run.

        Raises:
            UnlearningError: there is none.
        """
        if self.outcome is None:
            raise UnlearningError("there is no unlearned model yet")
        return self.outcome

    def close(self) -> None:
        """The tab is gone: end what goes on, and leave nothing but finished models."""
        with self._lock:
            self._closed = True
        if self.cancel() and self.work is not None:
            self.work.wait()
        self._drop_plan()
        self._drop_outcome()
        self._held.close()

    def _refuse_busy(self) -> None:
        if self.is_busy:
            raise UnlearningError("something is going on in this tab already; expected to wait for it, or to cancel it")

    def _begin(self, job: Callable[[Work], Any], give_way: Callable[[], None] | None = None) -> Work:
        # What begins after the tab was closed would make its folder anew, and nobody would remove it.
        with self._lock:
            if self._closed:
                raise UnlearningError("this tab was closed; expected to load the page anew")
            limits = self.options.limits
            work = Work(job, limits.seconds, self.options.is_public)
            work.start(limits.waiting, give_way)
            self.work = work
            return work

    def _drop_plan(self) -> None:
        if self._planned is not None:
            _discard(self._planned.aside)
            self._planned = None

    def _drop_outcome(self) -> None:
        """Let go of what came of the last run; of strangers nothing is kept."""
        if self.options.is_public and self.outcome is not None:
            shutil.rmtree(self.outcome.folder, ignore_errors=True)
        self.outcome = None

    def _prepare(self, form: Form, work: Work) -> Plan:
        from hf_unlearn.commands import unlearn
        from hf_unlearn.evaluation.limits import check_settings
        from hf_unlearn.evaluation.loading import as_contestant

        work.say(Progress("Looking at model and data"))
        photographs = os.path.join(self.folder, "photographs")
        if form.source == PHOTOGRAPHS:
            keep_pictures(form.photographs, photographs, self.options.max_upload_mb, self.options.limits.pictures)
        references = form.named_references(self.options)
        check_settings(form.level, references, 1, 0)
        aside = HeldFolder(os.path.join(self.options.output_dir, UNFINISHED))
        try:
            words = form.command(self.options, photographs, os.path.join(aside.path, _name_of(form)))
            run = unlearn.prepare(unlearn.parsed(words))
            work.say(Progress("Looking at the retrained models"))
            beside = [as_contestant(name, "reference") for name in references]
            work.say(Progress("Measuring what is known before the run"))
            plan = plan_of(run, form.level, len(beside))
            work.check()
        except BaseException:
            _discard(aside)
            raise
        self._planned = _Planned(run, form.level, beside, aside)
        return plan

    def _run(self, planned: _Planned, work: Work) -> Outcome:
        from hf_unlearn.evaluation.comparison import compare
        from hf_unlearn.evaluation.predict import Contestant
        from hf_unlearn.publishing.card import record_evaluation

        # From here on this removes its folder; a job that never begins leaves that to whoever drops the plan.
        self._planned = None
        run, trainer = planned.run, planned.run.trainer
        try:
            work.say(Progress("Reading samples, and checks before the first step"))
            trainer.add_callback(Watcher(work, trainer))
            trainer.train()
            work.say(Progress("Saving"))
            trainer.save_with_record()
            folder = str(trainer.args.output_dir)
            processor: Any = trainer.processing_class
            original = Contestant(run.model_flags.model_name_or_path, trainer.original_model, processor)
            comparison, why_not = None, None
            try:
                comparison = compare(
                    folder,
                    splits=run.splits,
                    original=original,
                    references=planned.references,
                    level=planned.level,
                    device=trainer.model.device,
                    on_part=lambda part: work.say(Progress(f"Judging, at the level {planned.level!r}: {part}")),
                )
                work.say(Progress("Writing the report"))
                comparison.save(folder)
                record_evaluation(folder, comparison)
            except Cancelled:
                raise
            except Exception as error:
                # The model is whole, and the work was not for nothing, whatever the judging failed of.
                why_not = error_line(error, self.options.is_public)
            work.check()
            folder = self._take(folder)
        finally:
            _discard(planned.aside)
        lines = [f"{trainer.state.global_step} steps; stopped: {trainer.stop_reason}", *work.warnings]
        models = {"before": trainer.original_model, "after": trainer.model.eval()}
        self.outcome = Outcome(folder, models, processor, comparison, why_not, lines)
        return self.outcome

    def _take(self, folder: str) -> str:
        """Give a whole model its place: a folder of its own in the output folder. Returns where it is."""
        name, number = os.path.basename(folder), 1
        while True:
            place = os.path.join(self.options.output_dir, name if number == 1 else f"{name}-{number}")
            try:
                # Over an empty folder alone: whoever makes it has it.
                os.mkdir(place)
            except FileExistsError:
                number += 1
                continue
            os.replace(folder, place)
            return place


class _Planned:
    """A run that everything is there for."""

    def __init__(self, run: Run, level: str, references: list[Contestant], aside: HeldFolder):
        self.run, self.level, self.references, self.aside = run, level, references, aside


def _discard(aside: HeldFolder) -> None:
    """Remove a folder of unfinished work, and the one above it if nobody else is at work there."""
    aside.close()
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(aside.path))


def _name_of(form: Form) -> str:
    """What the unlearned model's folder is called: after the model. What was forgotten may be nobody's business."""
    name = re.sub(r"[^\w.-]+", "-", os.path.basename(os.path.abspath(form.model.strip())))
    return f"{name.strip('-.') or 'model'}-unlearned"

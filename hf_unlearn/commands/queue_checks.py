"""What a model of the queue answers on every request that it met, one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hf_unlearn.commands.arguments import ModelArguments
from hf_unlearn.commands.loading import load_model
from hf_unlearn.commands.parsing import say
from hf_unlearn.commands.queue_data import load_again
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.limits import WHOLE_CLASS_ACCURACY
from hf_unlearn.ledger.queue import DONE, Queue, Run

BATCH_SIZE = 64


def look_at_each(queue: Queue, run: Run, newest: ModelArguments, folder: str) -> dict[int, dict[str, float]]:
    """The forget accuracy of each request that a new model met, by number: of the model as it stood, and of the new.

    Those that were met together have figures of their own here, which those of all of them do not show. A request whose
    samples cannot be had any more has none.

    Args:
        newest: how the model as it stood is loaded.
        folder: of the new model.

    Raises:
        UnlearningError: a class is still there, or came back.
    """
    from hf_unlearn.data.pixels import pixels_of
    from hf_unlearn.publishing.quick_checks import quick_checks
    from hf_unlearn.publishing.record import MOST_BACK

    before, processor = load_model(newest)
    after, _ = load_model(replace(newest, model_name_or_path=folder, model_revision=None))
    found: dict[int, dict[str, float]] = {}
    for number in sorted({number for stage in run.stages for number in stage}):
        request = queue.request(number)
        try:
            splits = load_again(request, queue)
        except UnlearningError as error:
            say(f"  request {number} ({request.text}) was not looked at: {error}")
            continue
        parts: Any = {"of it": pixels_of(splits, "forget", before, processor)}
        figures = quick_checks(before, after, parts, BATCH_SIZE)["of it"]
        found[number] = figures
        said, was = "is not met: its forget accuracy", 0.0
        if request.state == DONE:
            said = f"came back: its forget accuracy was {figures['before']:.1f} % and"
            # What is unlearned anew is to be gone, however much of it there was.
            if number not in run.again:
                was = figures["before"]
        if request.kind == "class" and figures["after"] > max(WHOLE_CLASS_ACCURACY, was + MOST_BACK):
            raise UnlearningError(f"request {number} ({request.text}) {said} is {figures['after']:.1f} %")
    for number, figures in found.items():
        if queue.request(number).state == DONE:
            say(
                f"  request {number} ({queue.request(number).text}): forget accuracy {figures['before']:.1f} % -> "
                f"{figures['after']:.1f} %"
            )
    return found

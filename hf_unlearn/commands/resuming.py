"""From which checkpoint a run goes on, and whether it is that run's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import RUN_NAME

if TYPE_CHECKING:
    from transformers import TrainingArguments


def find_checkpoint(args: TrainingArguments) -> str | None:
    """The checkpoint to resume from: the one named, or for `true` the latest in the output folder.

    Raises:
        UnlearningError: there is none.
    """
    from hf_unlearn.trainers.base.checkpoints import is_whole, last_whole_checkpoint

    named = args.resume_from_checkpoint
    if named is None or str(named).lower() == "false":
        return None
    if str(named).lower() == "true":
        latest = last_whole_checkpoint(str(args.output_dir))
        if latest is None:
            raise UnlearningError(
                f"output_dir {args.output_dir!r} holds no checkpoint to resume from that was saved whole; expected "
                "one, or a run from the start with --overwrite_output_dir"
            )
        return latest
    if not os.path.isfile(os.path.join(named, "trainer_state.json")):
        raise UnlearningError(f"resume_from_checkpoint {named!r} is no checkpoint; expected a folder checkpoint-N")
    if not is_whole(named):
        raise UnlearningError(
            f"resume_from_checkpoint {named!r} was not saved whole: its run ended meanwhile; expected an earlier one"
        )
    return str(named)


def check_resumed_run(checkpoint: str | None, run: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run than this one.

    Args:
        run: what makes a run this run: the model, and the fingerprint of the request.

    Raises:
        UnlearningError: the checkpoint's run was another, or did not say.
    """
    if checkpoint is None:
        return
    path = Path(checkpoint).absolute().parent / RUN_NAME
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnlearningError(f"checkpoint {checkpoint!r} does not say what it unlearns: no {RUN_NAME}") from error
    for name, value in run.items():
        if saved.get(name) != value:
            raise UnlearningError(
                f"checkpoint {checkpoint!r} is of another {name.replace('_', ' ')} than this command's; expected the "
                "command that it was saved by"
            )

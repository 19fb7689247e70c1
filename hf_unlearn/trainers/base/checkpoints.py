"""Checkpoints that restore whole, and saved models without a secret."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel, Trainer, TrainerCallback
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, rotate_checkpoints

from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.files import RUN_NAME, replacing_files, write_json
from hf_unlearn.models.adapters import base_classifier, is_adapter, restore_adapter, save_adapter
from hf_unlearn.models.known_keys import keep_known_keys
from hf_unlearn.models.own_code import forget_auto_maps, has_own_code
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.models.saved import stale_files
from hf_unlearn.progress import quiet_unless_terminal
from hf_unlearn.publishing.settings import public_arguments

TRAINING_ARGS_JSON = "training_args.json"
WHOLE_NAME = "whole.json"

if TYPE_CHECKING:
    _Base = Trainer
else:
    _Base = object


class Elapsed(TrainerCallback, ExportableState):
    """How long a run took in all, the parts before a restart included."""

    def __init__(self, before: float = 0.0):
        self.before = before
        self.started: float | None = None

    @property
    def seconds(self) -> float:
        """Wall-clock time up to now."""
        return self.before + (0.0 if self.started is None else time.monotonic() - self.started)

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        if self.started is None:
            self.started = time.monotonic()

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self.before, self.started = self.seconds, None

    def state(self) -> dict[str, Any]:
        return {"args": {"before": self.seconds}, "attributes": {}}


class WholeCheckpoints(_Base):
    """Mixed into a `Trainer`: checkpoints are whole or not taken, and restore all weights; saved models hold no secret.

    Checkpoints hold the pickles that the Trainer resumes from (optimizer, scheduler, random state): they are not for
    publishing.
    """

    @property
    def seconds(self) -> float:
        """How long the run took, in seconds, the parts before a restart included."""
        callbacks = self.callback_handler.callbacks
        return next((callback.seconds for callback in callbacks if isinstance(callback, Elapsed)), 0.0)

    # What makes the run the run that it is, for whoever resumes it; it is kept with each checkpoint.
    identity: Mapping[str, Any] | None = None

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run_dir = self._get_output_dir(trial=trial)
        checkpoint = os.path.join(run_dir, f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        if self.args.should_save:
            # Of another run, or of one that ended while it saved.
            shutil.rmtree(checkpoint, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        # Older checkpoints may go only once the new one is known to be whole, which is said last of all.
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
            if self.identity is not None and self.args.should_save:
                write_json(self.identity, os.path.join(checkpoint, RUN_NAME))
        except (OSError, SafetensorError, RuntimeError) as error:
            # torch tells of a full disk by a RuntimeError.
            shutil.rmtree(checkpoint, ignore_errors=True)
            raise UnlearningError(f"{checkpoint!r} could not be saved and was removed: {one_line(error)}") from error
        except BaseException:
            shutil.rmtree(checkpoint, ignore_errors=True)
            raise
        finally:
            self.args.save_total_limit = limit
        # The other processes write their random state, too.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_whole(checkpoint)
            best = self.state.best_model_checkpoint
            rotate_checkpoints(run_dir, limit, best_model_checkpoint=best, use_mtime=True)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        model = model if model is not None else self.model
        if is_adapter(model) or isinstance(model, PreTrainedModel):
            restore_weights(cast(nn.Module, model), resume_from_checkpoint)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        assert self.state.best_model_checkpoint is not None
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        if not self.args.should_save:
            # Of a model that several processes hold in parts, each brings its own.
            super()._save(output_dir, state_dict)
            return
        folder = output_dir if output_dir is not None else str(self.args.output_dir)
        try:
            with replacing_files(folder, stale_files(folder)) as aside, quiet_unless_terminal():
                self._write_model(aside, state_dict)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise UnlearningError(f"the model could not be saved: {one_line(error)}") from error

    def _write_model(self, folder: str, state_dict: dict | None) -> None:
        if is_adapter(self.model):
            save_adapter(cast(nn.Module, self.model), folder)
            if self.processing_class is not None:
                self.processing_class.save_pretrained(folder)
        else:
            super()._save(folder, state_dict)
        classifier = base_classifier(cast(nn.Module, self.model))
        forget_auto_maps(folder, classifier, self.processing_class)
        keep_known_keys(folder, classifier, self.processing_class)
        # The Trainer leaves its arguments as a pickle, with the Hub token in the clear.
        Path(folder, TRAINING_ARGS_NAME).unlink(missing_ok=True)
        write_json(dict(sorted(public_arguments(self.args).items())), os.path.join(folder, TRAINING_ARGS_JSON))


def restore_weights(model: nn.Module, checkpoint: str) -> None:
    """Put the weights of a checkpoint into `model`, to the bit: those of the adapter, if it is one, else all of them.

    The Trainer loads with `strict=False`, and some architectures (ViT among them) save their weights under other names
    than they hold them: most of their weights would stay as they are, without an error.

    Raises:
        UnlearningError: the checkpoint holds no such weights.
    """
    if is_adapter(model):
        restore_adapter(model, checkpoint)
    else:
        # Code that came with the model lies beside it, and runs already.
        own_code = has_own_code(model)
        saved = load_image_classifier(checkpoint, dtype=cast(PreTrainedModel, model).dtype, trust_remote_code=own_code)
        model.load_state_dict(saved.state_dict(), strict=True)


def mark_whole(checkpoint: str) -> None:
    """Write down the files of a finished checkpoint and their sizes."""
    sizes = {
        os.path.relpath(os.path.join(folder, name), checkpoint): os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(checkpoint)
        for name in names
    }
    write_json(dict(sorted(sizes.items())), os.path.join(checkpoint, WHOLE_NAME))


def is_whole(checkpoint: str) -> bool:
    """Whether the run that saved this checkpoint had finished saving it."""
    try:
        with open(os.path.join(checkpoint, WHOLE_NAME), encoding="utf-8") as file:
            sizes = json.load(file)
        return all(os.path.getsize(os.path.join(checkpoint, name)) == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def last_whole_checkpoint(folder: str) -> str | None:
    """The latest checkpoint in a run's folder that was saved whole; None if there is none."""
    if not os.path.isdir(folder):
        return None
    steps = {
        name: int(name.rpartition("-")[2])
        for name in os.listdir(folder)
        if name.startswith(f"{PREFIX_CHECKPOINT_DIR}-") and name.rpartition("-")[2].isdecimal()
    }
    whole = [name for name in steps if is_whole(os.path.join(folder, name))]
    return os.path.join(folder, max(whole, key=lambda name: steps[name])) if whole else None

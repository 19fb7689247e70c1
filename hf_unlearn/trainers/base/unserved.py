"""Settings of the `Trainer` that no run here can serve: refused in words, before anything is loaded or written."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.trainers.safety.preflight import refuse, unverified_distributions

if TYPE_CHECKING:
    _Base = Trainer
else:
    _Base = object

_LARGEST_FLOAT = torch.finfo(torch.float32).max
_LARGEST_INT = 2**63 - 1
# A DataLoader starts as many processes as it is told to.
_MOST_WORKERS = 1024


def _at_least(least: float) -> Callable[[Any], bool]:
    return lambda value: value >= least


def _is_seed(value: int) -> bool:
    return 0 <= value < 2**32


# Of settings that are set: what must hold, and how a message says it.
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "per_device_train_batch_size": (_at_least(1), "at least 1 sample"),
    "per_device_eval_batch_size": (_at_least(1), "at least 1 sample"),
    "gradient_accumulation_steps": (_at_least(1), "at least 1"),
    "eval_accumulation_steps": (_at_least(1), "at least 1"),
    "max_steps": (lambda value: value == -1 or value >= 1, "at least 1, or -1 for num_train_epochs"),
    "num_train_epochs": (lambda value: value > 0, "a number above 0"),
    "learning_rate": (lambda value: value > 0, "a number above 0"),
    "weight_decay": (_at_least(0), "0 or more"),
    "max_grad_norm": (_at_least(0), "0 (do not clip) or more"),
    "adam_beta1": (lambda value: 0 <= value < 1, "0 to less than 1"),
    "adam_beta2": (lambda value: 0 <= value < 1, "0 to less than 1"),
    "adam_epsilon": (_at_least(0), "0 or more"),
    "label_smoothing_factor": (lambda value: 0 <= value <= 1, "0 to 1"),
    "warmup_steps": (_at_least(0), "0 or more; below 1 a share of all steps"),
    "logging_steps": (lambda value: value > 0, "a number above 0"),
    "save_steps": (lambda value: value > 0, "a number above 0"),
    "eval_steps": (_at_least(0), "0 or more"),
    "eval_delay": (_at_least(0), "0 or more"),
    "save_total_limit": (_at_least(1), "at least 1"),
    "seed": (_is_seed, f"0 to {2**32 - 1}"),
    "data_seed": (_is_seed, f"0 to {2**32 - 1}"),
    "dataloader_num_workers": (lambda value: 0 <= value <= _MOST_WORKERS, f"0 to {_MOST_WORKERS}"),
    "dataloader_prefetch_factor": (_at_least(1), "at least 1"),
    "ddp_timeout": (_at_least(1), "at least 1 second"),
    "ddp_bucket_cap_mb": (_at_least(1), "at least 1"),
}
# Settings that mean something for other models or other ways to run, by name, with the only value for here and why.
_MEANINGLESS: dict[str, tuple[Any, str]] = {
    "neftune_noise_alpha": (None, "it adds noise to embeddings of words, which an image classifier has none of"),
    "use_liger_kernel": (False, "its kernels are those of language models"),
    "parallelism_config": (None, "only whole copies of the model are verified"),
}
_OBJECTS = ("lr_scheduler_kwargs", "activation_checkpointing_kwargs", "gradient_checkpointing_kwargs")
_OWN_BACKWARD = ("lomo", "adalomo")
_SAMPLING = ("random", "sequential")


def refuse_unserved(args: TrainingArguments) -> None:
    """Refuse what was set, as it was given: before `TrainingArguments` itself looks at it.

    Raises:
        UnlearningError: a value is out of range, means nothing here, or asks for a way to run that is not verified, as
            the environment may, where a launcher put it there.
    """
    for field in dataclasses.fields(args):
        value = getattr(args, field.name, None)
        if value is None:
            continue
        if field.name in TrainingArguments.__dataclass_fields__ and not isinstance(value, bool):
            if isinstance(value, float) and not abs(value) <= _LARGEST_FLOAT:
                raise UnlearningError(f"{field.name} is {value}; expected a finite number")
            if isinstance(value, int) and abs(value) > _LARGEST_INT:
                raise UnlearningError(f"{field.name} is {value}; expected a number of at most {_LARGEST_INT}")
        if field.name in _RANGES:
            holds, expected = _RANGES[field.name]
            # In Python a setting may be given as anything, "1e-4" among it.
            if not isinstance(value, (int, float)) or not holds(value):
                raise UnlearningError(f"{field.name} is {value!r}; expected {expected}")
        if field.name in _MEANINGLESS:
            only, why = _MEANINGLESS[field.name]
            if value != only:
                raise UnlearningError(f"{field.name} is {value!r}, but {why}; expected {only!r}")
    for name in _OBJECTS:
        text = getattr(args, name, None)
        if isinstance(text, str) and not _is_object(text):
            raise UnlearningError(f'{name} is {text!r}; expected an object of JSON, as {{"num_cycles": 2}}')
    optimizer = _as_text(args.optim)
    if optimizer in _OWN_BACKWARD:
        raise UnlearningError(f"optim is {optimizer!r}, which takes the place of the backward pass; expected another")
    if _as_text(args.eval_strategy) == "no":
        for name, asked in (("save_strategy", "best"), ("load_best_model_at_end", "True")):
            if _as_text(getattr(args, name)) == asked:
                raise UnlearningError(f"{name} is {asked!r}, but eval_strategy is 'no': nothing tells which is best")
    sampling = _as_text(getattr(args, "train_sampling_strategy", "random"))
    if sampling not in _SAMPLING:
        raise UnlearningError(f"train_sampling_strategy is {sampling!r}; expected one of {', '.join(_SAMPLING)}")
    if args.dataloader_persistent_workers and not args.dataloader_num_workers:
        raise UnlearningError("dataloader_persistent_workers is True, but dataloader_num_workers is 0; expected some")
    refuse(unverified_distributions(args, os.environ))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _as_text(value: Any) -> str:
    return str(getattr(value, "value", value))


class PlainRefusals(_Base):
    """Mixed into a `Trainer`, next to it: what it refuses of its settings, or a library that it asks, is one line."""

    def __init__(self, *args: Any, **kwargs: Any):
        with in_words("the Trainer cannot serve these settings"):
            super().__init__(*args, **kwargs)
        if self.args.eval_on_start and self.eval_dataset is None:
            raise UnlearningError("eval_on_start is True, but there is no eval_dataset; expected one")

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        with in_words(f"optim {_as_text(self.args.optim)!r} cannot be used"):
            return super().create_optimizer(model)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        what = f"lr_scheduler_type {_as_text(self.args.lr_scheduler_type)!r} with lr_scheduler_kwargs"
        with in_words(f"{what} {self.args.lr_scheduler_kwargs!r} cannot be used"):
            scheduler = super().create_scheduler(num_training_steps, optimizer)
            rates = scheduler.get_last_lr()
        if not all(isinstance(rate, (int, float)) and math.isfinite(rate) for rate in rates):
            raise UnlearningError(f"{what} {self.args.lr_scheduler_kwargs!r} begins with learning rates of {rates}")
        return scheduler


@contextlib.contextmanager
def in_words(what: str) -> Iterator[None]:
    """Within it, an error of another library is one line that begins with `what`."""
    try:
        yield
    except UnlearningError:
        raise
    except Exception as error:
        # A package that is not installed, a value that is none: each library says it by another error.
        raise UnlearningError(f"{what}: {one_line(error)}") from error

"""The settings that every method shares, on top of `transformers.TrainingArguments`."""

from __future__ import annotations

import copy
import inspect
import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from torch.nn.parallel import DistributedDataParallel
from transformers import SchedulerType, TrainingArguments
from transformers.trainer_utils import HubStrategy

from hf_unlearn.errors import UnlearningError
from hf_unlearn.trainers.base.rounds import CONSTANT, STEP_RULES, round_ends
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.unserved import in_words, refuse_unserved

if TYPE_CHECKING:
    from typing_extensions import Self

STEPS_OF_A_ROUND = 60


@dataclass
class UnlearningConfig(TrainingArguments):
    r"""`TrainingArguments` for unlearning.

    Defaults that differ from the parent's:

    - `learning_rate`, `lr_scheduler_type`, `max_steps`, `per_device_train_batch_size`: measured for unlearning.
    - `max_grad_norm` 0: a relative step has the length it is told to have, clipping would say so twice.
    - `ddp_find_unused_parameters` False: every parameter takes part in the loss.
    - `remove_unused_columns` False: it would drop the image column before it is turned into pixels.
    - `logging_nan_inf_filter` False: a loss that is not a number is a reason to stop, not to be smoothed over.
    - `logging_steps` 1: a run is short.
    - `save_strategy` "no": a run is short; name a strategy to be able to resume.
    - `hub_strategy` "end": before the end the model still remembers.
    - `restore_callback_states_from_checkpoint` True: stop rules continue from where they were.

    Raises:
        UnlearningError: a value outside its range.
    """

    push_anyway: bool = setting(
        False, "Publish a model although its own figures say that the request was not met, or while it still remembers."
    )
    hub_replace: bool = setting(
        False, "Replace a model in the repository that forgot something else, or a card that was changed by hand."
    )
    publish_request: bool = setting(
        False,
        "Publish column names, counts, the seed of a random draw, and figures on the forget set, of requests that "
        "single out people or samples, too. Whoever has model and data may then find out which samples were forgotten.",
    )
    private_names: bool = setting(
        False,
        "Publish no name of a forgotten class, split, configuration or folder: a class named after a person, say.",
    )
    publish_private_sources: bool = setting(
        False, "Publish what was made of a model or dataset that is private on the Hub, and its name, where all see it."
    )
    per_device_train_batch_size: int = setting(32, "Forget samples a step and process.")
    max_steps: int = setting(180, "At most this many steps, all rounds together; it overrides num_train_epochs.")
    num_rounds: int = setting(
        0, "Rounds that the steps are parted into; in each their length falls to nothing. 0: one for every 60 steps."
    )
    learning_rate: float = setting(2e-3, "Length of a step, as a fraction of the weights' norm (step_rule relative).")
    lr_scheduler_type: str = setting("cosine_with_restarts", "How the length of the steps falls, in each round.")
    head_scale: float = setting(
        3.0, "Weight of the classifier head's gradient against the rest of the model's (step_rule relative)."
    )
    step_rule: str = setting(
        "relative",
        "relative: w <- w - lr * |w| * g / |g|, which cannot run away; relative_adam: the same in Adam's direction; "
        "optim: the optimizer named by --optim, with --learning_rate and --max_grad_norm as in any Trainer.",
        choices=["relative", "relative_adam", "optim"],
    )
    stop_rule: str = setting(
        "round",
        "When to stop before max_steps. round: at the end of a round, once target_forget_accuracy is met; steps: not; "
        "forget_accuracy: at target_forget_accuracy; loss_drop: once the "
        "loss fell by stop_delta (paper, v1); irrelevant_recovery: once the irrelevant sensitivity, after a dip, is "
        "back above stop_delta times its start (paper, v4); plateau: once the confidence in the forgotten labels "
        "stopped falling; unseen: once the forget set looks like the unseen data that the trainer was given.",
        choices=["round", "steps", "forget_accuracy", "loss_drop", "irrelevant_recovery", "plateau", "unseen"],
    )
    target_forget_accuracy: float = setting(1.0, "Percent, for stop_rule round and forget_accuracy.")
    stop_delta: float = setting(1.0, "For stop_rule loss_drop and irrelevant_recovery.")
    fast_double_backward: bool = setting(
        True,
        "For methods that differentiate twice: by this library's own operations. Off: by torch's, slower, with the "
        "same gradients up to rounding, which tells where a fault lies.",
    )
    stop_window: int = setting(256, "Stop rules look at a mean over this many of the latest forget samples.")
    max_grad_norm: float = field(default=0.0, metadata={"help": "Clip gradients (step_rule optim); 0: do not."})
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Keep False: every parameter takes part in the loss."}
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "Keep False: it drops the images."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hide non-finite losses in the logs."})
    logging_steps: float = field(default=1, metadata={"help": "Log every so many steps."})
    save_strategy: str = field(default="no", metadata={"help": "When to save checkpoints: no, steps, epoch."})
    hub_strategy: str = field(default="end", metadata={"help": "When to push: end, or every_save."})
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "On resuming, restore the state of the stop rules."}
    )

    def __post_init__(self) -> None:
        refuse_unserved(self)
        with in_words("these settings cannot be used"):
            super().__post_init__()
        # A loss may need two forward passes for one backward, and older releases of torch write to the buffers before
        # each: the first pass could not be differentiated any more. They are frozen, there is nothing to send.
        renamed = "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
        if self.ddp_broadcast_buffers is None and not renamed:
            self.ddp_broadcast_buffers = False
        self.check()

    def check(self) -> None:
        """Refuse values outside their range. A method's config that has settings of its own looks at these, too.

        Called when the config is made, and once more when what was left at None is known (see [`for_request`]).

        Raises:
            UnlearningError: one is.
        """
        # A method's config may leave it open, too.
        if (self.num_rounds or 0) < 0:
            raise UnlearningError(f"num_rounds is {self.num_rounds}; expected 0 (one for every 60 steps) or more")
        self._check_rounds()
        if self.max_steps is not None and self.max_steps < 1 and self.max_steps != -1:
            raise UnlearningError(f"max_steps is {self.max_steps}; expected at least 1, or -1 for num_train_epochs")
        if self.max_steps == -1 and self.stop_rule == "round":
            raise UnlearningError("max_steps is -1; expected at least 1 with stop_rule 'round', which parts it")
        if not self.num_train_epochs > 0:
            raise UnlearningError(f"num_train_epochs is {self.num_train_epochs}; expected a number above 0")
        if self.per_device_train_batch_size < 1:
            raise UnlearningError(
                f"per_device_train_batch_size is {self.per_device_train_batch_size}; expected at least 1 sample"
            )
        if not 0 <= self.target_forget_accuracy <= 100:
            raise UnlearningError(f"target_forget_accuracy is {self.target_forget_accuracy}; expected 0 to 100 percent")
        if self.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
            raise UnlearningError(
                f"hub_strategy is {HubStrategy(self.hub_strategy).value!r}; expected 'end' or 'every_save', since "
                "checkpoints hold pickles, which are not published"
            )
        if (
            self.push_to_hub
            and self.hub_strategy != HubStrategy.END
            and not (self.hub_private_repo or self.push_anyway)
        ):
            raise UnlearningError(
                "hub_strategy 'every_save' publishes models that still remember; expected --hub_private_repo or "
                "--push_anyway with it"
            )
        # A method's config may leave it open, too.
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise UnlearningError(f"learning_rate is {self.learning_rate}; expected a number above 0")
        if self.step_rule not in (None, *STEP_RULES, "optim"):
            raise UnlearningError(f"step_rule is {self.step_rule!r}; expected one of {', '.join(STEP_RULES)}, optim")
        # A method's config may leave this open, too, between the relative ones.
        if self.step_rule != "optim":
            self._refuse_settings_of_an_optimizer()
        if self.label_smoothing_factor:
            raise UnlearningError(
                f"label_smoothing_factor is {self.label_smoothing_factor}, but the loss is the method's own; expected 0"
            )
        if self.auto_find_batch_size:
            raise UnlearningError(
                "auto_find_batch_size is True, but how many samples a step has is part of the method; expected smaller "
                "batches with more gradient_accumulation_steps"
            )
        if not self.head_scale > 0:
            raise UnlearningError(f"head_scale is {self.head_scale}; expected a factor above 0")
        self.expect("stop_delta", 0 < self.stop_delta < math.inf, "a number above 0")
        if self.stop_window < 1:
            raise UnlearningError(f"stop_window is {self.stop_window}; expected at least 1 sample")
        if self.remove_unused_columns:
            raise UnlearningError("remove_unused_columns is True; expected False, since it drops the image column")

    def settings_of_request(self, forget_kind: str) -> dict[str, Any]:
        """What the settings that depend on the request come to, by name, for one of its kinds.

        Such a setting is None in a method's config until somebody sets it; the trainer fills in what is None then.

        Args:
            forget_kind: what becomes of the forgotten samples' classes: `"class"` (they vanish), `"subclass"` (a part
                of a class goes, its label stays), `"subset"` (other samples like them stay).
        """
        # The defaults of the class, for who set them to None.
        return {name: getattr(type(self), name) for name in ("max_steps", "stop_rule", "step_rule", "learning_rate")}

    def for_request(self, forget_kind: str) -> tuple[Self, dict[str, Any]]:
        """A copy in which nothing that depends on the request is left open, and what was filled in, by name.

        Raises:
            UnlearningError: what was filled in does not go with what was set.
        """
        settled = copy.copy(self)
        filled = {
            name: value for name, value in self.settings_of_request(forget_kind).items() if getattr(self, name) is None
        }
        for name, value in filled.items():
            setattr(settled, name, value)
        # Without a GPU torch warns of it at every pass.
        settled.dataloader_pin_memory = self.dataloader_pin_memory and self.device.type == "cuda"
        settled.check()
        if settled.max_steps > 0 and SchedulerType(settled.lr_scheduler_type) == SchedulerType.COSINE_WITH_RESTARTS:
            settled.round_ends(settled.max_steps)
        return settled, filled

    def _refuse_settings_of_an_optimizer(self) -> None:
        names = ("optim", "optim_args", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm")
        usual = {field.name: field.default for field in fields(self)}
        for name in names:
            value = getattr(self, name)
            if value != usual[name]:
                shown, rule = getattr(value, "value", value), self.step_rule or "relative"
                raise UnlearningError(
                    f"{name} is {shown!r}, but step_rule {rule!r} makes its own steps; expected step_rule 'optim' "
                    "with it"
                )

    def expect(self, name: str, holds: bool, expected: str) -> None:
        """Refuse the value of the field `name` unless it `holds`.

        Raises:
            UnlearningError: it does not.
        """
        if not holds:
            raise UnlearningError(f"{name} is {getattr(self, name)!r}; expected {expected}")

    def _check_rounds(self) -> None:
        schedule, given = SchedulerType(self.lr_scheduler_type), dict(self.lr_scheduler_kwargs or {})  # type: ignore[arg-type]
        if schedule == SchedulerType.COSINE_WITH_RESTARTS:
            cycles = given.pop("num_cycles", None)
            if given or (cycles is not None and self.num_rounds not in (None, 0, cycles)):
                raise UnlearningError(
                    f"lr_scheduler_kwargs is {self.lr_scheduler_kwargs!r}; expected num_rounds alone to say into how "
                    "many rounds 'cosine_with_restarts' parts the steps"
                )
            if cycles is not None:
                self.num_rounds = int(cycles)
        elif (self.num_rounds or 0) > 1 and schedule not in CONSTANT:
            raise UnlearningError(
                f"num_rounds is {self.num_rounds}, but with lr_scheduler_type {schedule.value!r} the length of the "
                "steps falls once; expected 'cosine_with_restarts', or one round"
            )

    def round_ends(self, num_steps: int) -> list[int]:
        """How many of a run's `num_steps` steps were made at the end of each round, increasing.

        Where the length of the steps falls once, in a schedule without restarts, there is one round.

        Raises:
            UnlearningError: the warm-up leaves no step.
        """
        rounds = self.num_rounds or max(1, round(num_steps / STEPS_OF_A_ROUND))
        if SchedulerType(self.lr_scheduler_type) not in (SchedulerType.COSINE_WITH_RESTARTS, *CONSTANT):
            rounds = 1
        return round_ends(num_steps, rounds, self.get_warmup_steps(num_steps))


@dataclass
class PassesConfig(UnlearningConfig):
    r"""[`UnlearningConfig`] of methods that make passes over their samples with an ordinary optimizer.

    Their defaults are those of the papers or of their authors' code where these give one for classifiers of this kind,
    with AdamW in the place of SGD with momentum, which does not serve transformers. The papers tune them for each task.
    """

    max_steps: int = setting(-1, "This many steps instead of num_train_epochs; -1: num_train_epochs says it.")
    num_train_epochs: float = setting(5.0, "Passes over the samples that the method trains on.")
    learning_rate: float = setting(1e-4, "Of the optimizer named by --optim (step_rule optim).")
    lr_scheduler_type: str = setting("constant", "How the learning rate falls.")
    step_rule: str = setting(
        "optim",
        "optim: the optimizer named by --optim; relative: w <- w - lr * |w| * g / |g|, with lr a fraction; "
        "relative_adam: the same in Adam's direction.",
        choices=["relative", "relative_adam", "optim"],
    )
    stop_rule: str = setting(
        "steps",
        "When to stop early. steps: not; forget_accuracy: at target_forget_accuracy; loss_drop: once the loss fell by "
        "stop_delta; plateau: once the confidence in the forgotten labels stopped falling; unseen: once the forget "
        "set looks like the unseen data that the trainer was given; round: see MU-Mis (needs max_steps).",
        choices=["round", "steps", "forget_accuracy", "loss_drop", "irrelevant_recovery", "plateau", "unseen"],
    )

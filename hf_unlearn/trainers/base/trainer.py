"""The base of every method: a `transformers.Trainer` that unlearns safely."""

from __future__ import annotations

import copy
import logging
import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerState, enable_full_determinism, set_seed
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import TrainOutput

from hf_unlearn.data.exact_batches import ExactBatches, split_ignored
from hf_unlearn.data.pixels import PixelDataset, collate, try_forward
from hf_unlearn.errors import DivergenceError, UnlearningError
from hf_unlearn.models.adapter_checks import refuse_unverified_adapter
from hf_unlearn.models.adapters import is_adapter
from hf_unlearn.objectives import double_backward
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.label_mapping import LabelMapping
from hf_unlearn.trainers.base.checkpoints import Elapsed, WholeCheckpoints, last_whole_checkpoint
from hf_unlearn.trainers.base.config import UnlearningConfig
from hf_unlearn.trainers.base.inputs import (
    FORGET_KINDS,
    find_earlier,
    find_kind,
    find_processor,
    part_of,
    read,
    read_references,
    refuse_empty,
    refuse_other_types,
    without_earlier,
)
from hf_unlearn.trainers.base.method import UnlearningMethod
from hf_unlearn.trainers.base.origin import find_model, with_origin
from hf_unlearn.trainers.base.publishing import FAILED, FINISHED, RUNNING, Publishes
from hf_unlearn.trainers.base.rounds import StepsInRounds
from hf_unlearn.trainers.base.sampling import LoopsOverSamples
from hf_unlearn.trainers.base.settings import settled_in_words
from hf_unlearn.trainers.base.step_sums import batch_sums, logged_means
from hf_unlearn.trainers.base.unserved import PlainRefusals
from hf_unlearn.trainers.safety.idle_rules import refuse_idle_rule
from hf_unlearn.trainers.safety.mismatch import find_mismatch
from hf_unlearn.trainers.safety.outcome import surroundings_agreement
from hf_unlearn.trainers.safety.preflight import (
    mend,
    refuse,
    refuse_problems,
    refuse_unverified_distribution,
    take_one_gpu,
)
from hf_unlearn.trainers.safety.probe import probe_double_backward
from hf_unlearn.trainers.safety.reference import check_references, take_references
from hf_unlearn.trainers.safety.samples import CHECKED_SAMPLES, Sample
from hf_unlearn.trainers.safety.stopping import BeforeStep, StopRule, attach_figures, had_stopped, make_stop_rule

logger = logging.getLogger(__name__)


class UnlearningTrainer(
    UnlearningMethod, LoopsOverSamples, StepsInRounds, ExactBatches, WholeCheckpoints, Publishes, PlainRefusals, Trainer
):
    """A `Trainer` whose training set is the forget set.

    While it trains, the model is in eval mode (BatchNorm statistics frozen, no dropout; but see `train_mode` of the
    methods that have it), and the loss is the method's; in evaluation the loss is the ordinary one. A method
    overrides [`unlearning_loss`], and says with class attributes what it needs: see [`UnlearningMethod`].

    Args:
        model: an image classifier, or its name on the Hub or folder. Of a `peft.PeftModel` around one, or the name of
            an adapter, the adapter alone is unlearned.
        args: the method's config; by default with all its defaults and `output_dir="trainer_output"`. What it leaves
            open is settled by the kind of request in a copy of it, `trainer.args` (see `trainer.settled`).
        splits: of the request, from [`make_splits`] or [`forget_splits`]: forget and retain set, columns, labels and
            what becomes of the forgotten classes follow from them.
        train_dataset: the forget set, where there are no splits: a `datasets` dataset with an image and a label column
            (found from the features, labels matched to the model's by name), streaming or not; or any map-style
            dataset, such as a `Subset` or a list, of images and labels or of `{"pixel_values", "labels"}` with model
            class ids (see [`MapStylePixels`]). With splits it may be theirs, read already.
        eval_dataset: as for `Trainer`; of `datasets` datasets, too, and a dict of them.
        processing_class: the image processor; by default the one that comes with the model.
        retain_dataset: the rest of the training set, as `train_dataset`, for methods that need it; others never look
            at it.
        reference_dataset: samples like the forget set's that are not to be forgotten, best such as the model was not
            trained on, labelled or not; at most 1,000 are looked at. Of a sub-class: samples of its siblings.
        forget_kind: without splits, what becomes of the forget samples' classes: `"class"` (they vanish),
            `"subclass"` (a part of a class goes, its label stays) or `"subset"` (other samples like them stay).
        image_column_name, label_column_name: columns of `datasets` datasets, where they cannot be found.
        label_mapping: their labels as the model names them, where these differ; by default that of the splits. See
            [`hf_unlearn.request.match_labels`].
        trust_remote_code: run code that comes with a model by name, or with its image processor. That of a model that
            was loaded already was trusted then: its checkpoints and a push read it back.
        provenance: for the record, if known: the model's `name`, `revision`, `from_hub`, `license`, the requests that
            it met (`earlier`); `dataset_commit`.
        data_collator, compute_metrics, callbacks, optimizers, optimizer_cls_and_kwargs, preprocess_logits_for_metrics:
            as for `Trainer`.

    Raises:
        UnlearningError: model or columns cannot be found, labels do not match, nothing says what becomes of the
            forgotten classes, a method that needs retained samples has none, or a combination of model, method and
            arguments that is known to go wrong.
    """

    # The loss below is divided by the number of samples of the whole accumulated batch already.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel | str | os.PathLike,
        args: UnlearningConfig | None = None,
        splits: UnlearningSplits | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        retain_dataset: Any = None,
        reference_dataset: Any = None,
        forget_kind: str | None = None,
        image_column_name: str | None = None,
        label_column_name: str | None = None,
        label_mapping: LabelMapping | os.PathLike | None = None,
        trust_remote_code: bool = False,
        provenance: dict[str, Any] | None = None,
        data_collator: Callable[..., Any] | None = None,
        compute_metrics: Callable[..., dict] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, torch.optim.lr_scheduler.LambdaLR | None] = (None, None),
        optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ):
        args = args if args is not None else self.config_class(output_dir="trainer_output")
        refuse_other_types(args, self.config_class, splits)
        # Before the parent, which asks for the place on the Hub.
        self.splits = splits
        train_dataset = part_of(splits, "forget", train_dataset)
        self.forget_kind = find_kind(splits, forget_kind)
        retain_dataset = part_of(splits, "retain", retain_dataset)
        if self.retain_free:
            # It cannot look at them.
            retain_dataset = None
        if not self.retain_free and retain_dataset is None:
            raise UnlearningError(
                f"method {self.method_name!r} needs the samples that stay, but there are none; expected splits with a "
                "retain set, or retain_dataset"
            )
        refuse_empty(forget=train_dataset, retain=retain_dataset, unseen=reference_dataset)
        args, filled = args.for_request(self.forget_kind)
        model, named, self.provenance = find_model(model, provenance, trust_remote_code)
        self.earlier = find_earlier(model, self.provenance, splits)
        one_gpu = take_one_gpu(args)
        refuse_problems(model, args)
        self.provenance = with_origin(self.provenance, model, splits, args.hub_token)
        refuse_unverified_adapter(model, bool(getattr(args, "train_mode", False)))
        if is_adapter(model) and not self.unlearns_adapters:
            raise UnlearningError(
                f"method {self.method_name!r} needs all weights of a model; expected no adapter (PEFT)"
            )
        processor = find_processor(processing_class, model, named, (train_dataset, retain_dataset), trust_remote_code)
        columns = (image_column_name, label_column_name)
        eat = partial(read, model=model, processor=processor, splits=splits, columns=columns, mapping=label_mapping)
        forget, retain = eat(train_dataset), eat(retain_dataset)
        unseen = read_references(reference_dataset, model, processor, splits, columns, label_mapping)
        self.retain_dataset = without_earlier(retain, self.earlier, splits, model, processor)
        refuse_idle_rule(args, self, len(forget), 0 if unseen is None else len(unseen))
        super().__init__(
            model=model,
            args=args,
            train_dataset=forget,
            eval_dataset=eat(eval_dataset),
            processing_class=processor,
            data_collator=data_collator or collate,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
        )
        refuse_unverified_distribution(self.accelerator, self.mixes_samples)
        self.filled_settings = filled
        self.mended = [*one_gpu, *mend(self.model, self.second_order, bool(getattr(args, "train_mode", False)))]
        # The Trainer counts samples only for models whose forward takes loss kwargs. Our loss always wants the count.
        self.model_accepts_loss_kwargs = True
        # What the model said before: guards ask for it during a run, the outcome is held against it, and a run that
        # fails gives it back.
        self.original_model = copy.deepcopy(self.model).requires_grad_(False).eval()
        self._given_optimizer = self.optimizer is not None
        self._start_anew()
        self.add_callback(BeforeStep(lambda: self.finish_step()))
        self.add_callback(Elapsed())
        self.mismatch: str | None = None
        self.references = None if unseen is None else take_references(unseen, self.original_model, self.earlier_labels)
        self.unseen_odds = None if self.references is None else self.references.odds
        self._rule: StopRule | None = None
        self._renew_stop_rule()
        self.refuse_no_class_left()
        self.prepare()
        for line in (*one_gpu, *self.unkept):
            logger.warning("%s", line)
        for line in (*self.settled, *self.mended):
            logger.info("%s", line)

    @property
    def settled(self) -> list[str]:
        """The settings that followed from the kind of request or the model, since nobody had set them, in words."""
        values = {name: value for name, value in self.followed_settings.items() if value is not None}
        return settled_in_words(values, FORGET_KINDS[self.forget_kind])

    # What the Trainer asks

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The method's loss while training; the model's ordinary loss otherwise, as in evaluation."""
        if not (model.training and torch.is_grad_enabled()):
            inputs = {name: value for name, value in inputs.items() if name != "index"}
            outputs = model(**{**inputs, "pixel_values": inputs["pixel_values"].to(self.model.dtype)})
            loss = outputs["loss"] if isinstance(outputs, dict) else outputs[0]
            return (loss, outputs) if return_outputs else loss

        model.train(bool(getattr(self.args, "train_mode", False)))
        inputs, counted = split_ignored({**inputs, "pixel_values": inputs["pixel_values"].to(self.model.dtype)})
        losses, outputs, figures = self.unlearning_loss(model, inputs)
        losses = losses * counted
        kept = self.is_retained(inputs)
        for name, value in batch_sums(inputs["labels"], counted, kept, losses, outputs["logits"], figures).items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        if num_items_in_batch is None:
            loss = losses.mean()
        else:
            # A mean over the samples of all processes and accumulated batches. DistributedDataParallel averages
            # gradients over processes, hence their number.
            loss = losses.sum() * self.accelerator.num_processes / num_items_in_batch
        # Every parameter takes part, or DistributedDataParallel waits for the gradient of, say, the head's bias,
        # on which no sensitivity depends.
        loss = loss + self.zero_of_all_weights(outputs["logits"])
        return (loss, outputs) if return_outputs else loss

    def compute_loss_context_manager(self) -> ExitStack:
        stack = super().compute_loss_context_manager()
        if self.second_order:
            stack.enter_context(double_backward(self.args.fast_double_backward))
        return stack

    def train(  # type: ignore[override]
        self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any
    ) -> Any:
        """Unlearn. As `Trainer.train`; afterwards [`stop_reason`] says why it ended.

        From a checkpoint of a run that had stopped by a rule nothing more is unlearned. Called again it goes on from
        the weights as they are, and nothing else is left of the run before: seeds, optimizer, rules and figures start
        anew. The original stays what the trainer was given.

        Raises:
            UnlearningError: the loss of this model cannot be differentiated (see [`probe_double_backward`]).
            DivergenceError: the loss or its gradient was not finite, or the run led away from forgetting, or the rest
                of the model collapsed; the model has its original weights.
        """
        if isinstance(self.train_dataset, PixelDataset):
            self.train_dataset.preload("Reading the forget set")
            try_forward(self.model, self.train_dataset)
        if isinstance(self.retain_dataset, PixelDataset):
            self.retain_dataset.preload("Reading the retain set")
            try_forward(self.model, self.retain_dataset)
        self.verify_images()
        if self.second_order:
            refuse(probe_double_backward(self.model, self.forget_sample(2), self.args.fast_double_backward))
        check_references(self.references, self.train_dataset, self.num_forget_samples, self.model)
        self._start_anew()
        self.progress = RUNNING
        self.mismatch = find_mismatch(self.original_model, self.forget_sample())
        if self.mismatch is not None and self.is_world_process_zero():
            logger.warning("%s", self.mismatch)
        self.before_first_step()
        self._renew_stop_rule()
        for rule in self._stop_rules:
            rule.reset()
        self.remove_callback(Elapsed)
        elapsed = Elapsed()
        self.add_callback(elapsed)
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_whole_checkpoint(str(self.args.output_dir))
        if isinstance(resume_from_checkpoint, str) and had_stopped(resume_from_checkpoint):
            self._load_from_checkpoint(resume_from_checkpoint)
            self.state = TrainerState.load_from_json(os.path.join(resume_from_checkpoint, TRAINER_STATE_NAME))
            self._load_callback_state()
            output = TrainOutput(self.state.global_step, 0.0, {})
        else:
            # What comes before the first step is part of the run, too; the Trainer tells of the steps alone.
            elapsed.on_train_begin()
            output = self.unlearning_run(resume_from_checkpoint, **kwargs)
            elapsed.on_train_end()
        self.check_outcome()
        self.progress = FINISHED
        return output

    def unlearning_run(self, resume_from_checkpoint: str | bool | None, **kwargs: Any) -> TrainOutput:
        """The run itself, without the checks before and after it. A method may do something before its steps, or other
        than steps.
        """
        given = self.args.max_steps
        try:
            self.args.max_steps = self.num_steps()
            return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)
        finally:
            self.args.max_steps = given

    def _start_anew(self) -> None:
        """Leave nothing of an earlier run but the weights."""
        self.forget_last_run()
        self._sums: dict[str, torch.Tensor] = {}
        self._figures: dict[str, float] = {}
        self.forward_equivalents = 0.0
        self.agreement: float | None = None
        # The Trainer's own count, which a run that was cut short leaves.
        self.current_flos = 0
        if not self._given_optimizer:
            self.optimizer = None
        (enable_full_determinism if self.args.full_determinism else set_seed)(self.args.seed)

    def _renew_stop_rule(self) -> None:
        """Put in place the rule that the arguments name now."""
        num_unseen = 0 if self.unseen_odds is None else len(self.unseen_odds)
        refuse_idle_rule(self.args, self, self.num_forget_samples, num_unseen)
        if self._rule is not None:
            self.remove_callback(type(self._rule))
        level = None if self.unseen_odds is None else float(self.unseen_odds.sigmoid().mean())
        self._rule = make_stop_rule(self.args, self.num_forget_samples, level)
        if self._rule is not None:
            self.add_callback(self._rule)

    @property
    def _stop_rules(self) -> list[StopRule]:
        # Looked up each time: a resumed Trainer puts others in their place.
        return [callback for callback in self.callback_handler.callbacks if isinstance(callback, StopRule)]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs and self._figures:
            logs.update(logged_means(self._figures))
        super().log(logs, *args, **kwargs)

    @property
    def stop_reason(self) -> str:
        """Why the last run ended, in words."""
        for rule in self._stop_rules:
            if rule.reason is not None:
                return rule.reason
        return f"all {self.state.global_step} steps were made"

    def forget_sample(self, most: int = CHECKED_SAMPLES) -> Sample:
        """At most so many of the forget samples, evenly spaced."""
        return Sample.of(cast(Any, self.train_dataset), self.num_forget_samples, self.model, most)

    def check_outcome(self) -> None:
        """Put the original weights back and raise if the run went the wrong way or the rest of the model is gone."""
        self.model.eval()
        sample = self.forget_sample()
        self.agreement = surroundings_agreement(
            self.original_model, self.model, sample, self.num_forget_samples, self.args.seed, self.classes_that_go()
        )
        wrong_way = next((rule.reason for rule in self._stop_rules if rule.fatal and rule.reason), None)
        if failed := wrong_way or self.find_damage():
            self._fail(f"unlearning failed after {self.state.global_step} steps: {failed}")

    def _fail(self, why: str, advice: str = "") -> None:
        self.model.load_state_dict(self.original_model.state_dict())
        self.progress = FAILED
        self.remove_pushes_on_the_way()
        raise DivergenceError(f"{why}; the original weights were put back{advice}")

    # Figures of a step, and divergence

    def finish_step(self) -> None:
        """Before the optimizer's step: gather the figures, and stop here if they are not finite."""
        names = sorted(self._sums)
        sums = self.accelerator.reduce(torch.stack([self._sums[name] for name in names]), "sum")
        self._sums = {}
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        # One transfer from the device.
        *values, gradient_norm = torch.cat([sums, norm.to(sums).reshape(1)]).tolist()
        figures = dict(zip(names, values, strict=True))
        seen = figures["samples"] + figures["retain_samples"]
        if not all(map(math.isfinite, [*values, gradient_norm])):
            mean = (figures["loss"] + figures["retain_loss"]) / seen
            what = f"the loss is {mean:.3g}, its gradient's norm {gradient_norm:.3g}"
            advice = ". Try a smaller learning_rate"
            self._fail(f"unlearning ran away at step {self.state.global_step}: {what}", advice)
        self._figures = figures
        self.forward_equivalents += seen * self.forward_equivalents_per_sample
        attach_figures(self.state, figures)

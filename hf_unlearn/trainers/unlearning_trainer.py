"""The base of every method: a `transformers.Trainer` that unlearns safely."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import datasets
import torch
from torch import nn
from transformers import PreTrainedModel, Trainer, TrainerCallback

from hf_unlearn.errors import DivergenceError, UnlearningError
from hf_unlearn.models.pixels import PixelDataset, collate
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from hf_unlearn.objectives import RelativeSGD, double_backward_attention
from hf_unlearn.request import find_image_column, find_label_column, label_names
from hf_unlearn.trainers.checkpoints import WholeCheckpoints
from hf_unlearn.trainers.guards import refuse_problems
from hf_unlearn.trainers.stopping import ForgetAccuracyStop, StopRule, attach_figures
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


class UnlearningTrainer(WholeCheckpoints, Trainer):
    """A `Trainer` whose training set is the forget set.

    While it trains, the model is in eval mode (BatchNorm statistics frozen, no dropout), attention can be
    differentiated twice, and the loss is the method's; in evaluation the loss is the ordinary one. A method
    overrides [`unlearning_loss`].

    Args:
        model: an image classifier, or its name on the Hub or folder.
        args: the method's config.
        train_dataset: the forget set: a `datasets` dataset with an image and a label column (found from the
            features, labels matched to the model's by name), or any dataset of
            `{"pixel_values", "labels", "index"}` with model class ids as labels.
        processing_class: the image processor; by default the one that comes with the model.
        image_column_name, label_column_name: columns of `datasets` datasets, where they cannot be found.
        **kwargs: as for `Trainer` (`eval_dataset` may be a dict of `datasets` datasets, too).

    Raises:
        UnlearningError: model or columns cannot be found, labels do not match, or a combination of model and
            arguments that is known to go wrong.
    """

    # The loss below is divided by the number of samples of the whole accumulated batch already.
    loss_is_scaled_for_ga = True

    config_class: type[UnlearningConfig] = UnlearningConfig
    args: UnlearningConfig
    model: PreTrainedModel

    def __init__(
        self,
        model: PreTrainedModel | str | os.PathLike,
        args: UnlearningConfig | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        image_column_name: str | None = None,
        label_column_name: str | None = None,
        callbacks: list[TrainerCallback] | None = None,
        data_collator: Callable | None = None,
        **kwargs: Any,
    ):
        args = args if args is not None else self.config_class(output_dir="trainer_output")
        if isinstance(model, (str, os.PathLike)):
            name = os.fspath(model)
            model = load_image_classifier(name)
            processing_class = processing_class or load_image_processor(name)
        refuse_problems(model, args)
        columns = (image_column_name, label_column_name)
        if train_dataset is not None and len(train_dataset) == 0:
            raise UnlearningError("the forget set is empty; expected at least one sample")
        super().__init__(
            model=model,
            args=args,
            train_dataset=_as_pixels(train_dataset, model, processing_class, *columns),
            eval_dataset=(
                {name: _as_pixels(split, model, processing_class, *columns) for name, split in eval_dataset.items()}
                if isinstance(eval_dataset, dict)
                else _as_pixels(eval_dataset, model, processing_class, *columns)
            ),
            processing_class=processing_class,
            data_collator=data_collator or collate,
            callbacks=callbacks,
            **kwargs,
        )
        # The Trainer counts the samples of an accumulated batch only for models whose forward takes loss kwargs.
        # The loss here is always ours, so it always wants the count.
        self.model_accepts_loss_kwargs = True
        self._sums: dict[str, torch.Tensor] = {}
        self._last_good: dict[str, torch.Tensor] = {}
        self._figures: dict[str, float] = {}
        self.add_callback(_StepFigures(self))
        if args.target_forget_accuracy is not None and args.target_forget_accuracy >= 0 and train_dataset is not None:
            window = min(args.stop_window, len(train_dataset))
            self.add_callback(ForgetAccuracyStop(args.target_forget_accuracy, window))

    # What a method says

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        """The method's loss, one value a sample.

        Args:
            model: the model as the Trainer wrapped it; forward this one, or no gradient is synchronised.
            inputs: `pixel_values` `(batch, channels, height, width)`, `labels` `(batch,)`, `index` `(batch,)`.

        Returns:
            The loss `(batch,)`, the model's outputs, and figures `(batch,)` to follow, by name.
        """
        raise NotImplementedError

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
            outputs = model(**{name: value for name, value in inputs.items() if name != "index"})
            loss = outputs["loss"] if isinstance(outputs, dict) else outputs[0]
            return (loss, outputs) if return_outputs else loss

        # Left in eval mode afterwards: the backward pass of checkpointed layers runs their forward again.
        model.eval()
        losses, outputs, figures = self.unlearning_loss(model, inputs)
        self._note(inputs["labels"], losses, outputs, figures)
        if num_items_in_batch is None:
            loss = losses.mean()
        else:
            # A mean over the samples of all processes and accumulated batches. DistributedDataParallel averages
            # gradients over processes, hence their number.
            loss = losses.sum() * self.accelerator.num_processes / num_items_in_batch
        # Every parameter takes part, or DistributedDataParallel waits for the gradient of, say, the head's bias,
        # on which no sensitivity depends.
        loss = loss + 0.0 * outputs["logits"].sum()
        return (loss, outputs) if return_outputs else loss

    def compute_loss_context_manager(self) -> ExitStack:
        stack = super().compute_loss_context_manager()
        stack.enter_context(double_backward_attention())
        return stack

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None and self.args.step_rule == "relative":
            parameters = [p for p in (self.model if model is None else model).parameters() if p.requires_grad]
            self.optimizer = RelativeSGD(parameters, lr=self.args.learning_rate)
        return super().create_optimizer(model)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Unlearn. As `Trainer.train`; afterwards [`stop_reason`] says why it ended.

        Raises:
            DivergenceError: the loss or its gradient was not finite; the model has its last good weights.
        """
        if self.train_dataset is None:
            raise UnlearningError("there is nothing to forget: train_dataset is None; expected the forget set")
        if isinstance(self.train_dataset, PixelDataset):
            self.train_dataset.preload("Reading the forget set")
        return super().train(*args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs and self._figures:
            samples = self._figures["samples"]
            means = {name: value / samples for name, value in self._figures.items() if name != "samples"}
            logs["forget_accuracy"] = 100 * means.pop("correct")
            means.pop("loss")
            logs.update(means)
        super().log(logs, *args, **kwargs)

    @property
    def stop_reason(self) -> str:
        """Why the last run ended, in words."""
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, StopRule) and callback.reason is not None:
                return callback.reason
        return f"all {self.state.global_step} steps were made"

    # Figures of a step, and divergence

    def _note(self, labels: torch.Tensor, losses: torch.Tensor, outputs: Any, figures: dict[str, torch.Tensor]) -> None:
        correct = outputs["logits"].argmax(-1) == labels
        noted = {"samples": torch.ones_like(losses), "correct": correct, "loss": losses, **figures}
        for name, values in noted.items():
            total = values.detach().to(torch.float64 if values.device.type != "mps" else torch.float32).sum()
            self._sums[name] = self._sums[name] + total if name in self._sums else total

    def _finish_step(self) -> None:
        """Before the optimizer's step: gather the figures, and stop here if they are not finite."""
        names = sorted(self._sums)
        sums = self.accelerator.reduce(torch.stack([self._sums[name] for name in names]), "sum")
        self._sums = {}
        figures = dict(zip(names, sums.tolist(), strict=True))
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        gradient_norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not (torch.isfinite(sums).all() and torch.isfinite(gradient_norm)):
            step = self.state.global_step
            if self._last_good:
                self.model.load_state_dict(self._last_good)
            raise DivergenceError(
                f"unlearning ran away at step {step}: the loss is {figures['loss'] / figures['samples']:.3g}, its "
                f"gradient's norm {float(gradient_norm):.3g}; the weights of step {max(step - 1, 0)} were kept. "
                "Try a smaller learning_rate"
            )
        # The weights that gave these finite figures. The step about to be made may give others.
        self._last_good = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self._figures = figures
        attach_figures(self.state, figures)


class _StepFigures(TrainerCallback):
    def __init__(self, trainer: UnlearningTrainer):
        self.trainer = trainer

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.trainer._finish_step()


def _as_pixels(
    dataset: Any, model: PreTrainedModel, processing_class: Any, image_column: str | None, label_column: str | None
) -> Any:
    if not isinstance(dataset, datasets.Dataset) or "pixel_values" in dataset.column_names:
        return dataset
    if processing_class is None:
        raise UnlearningError("processing_class is None; expected the model's image processor")
    image = find_image_column(dataset, image_column)
    label = find_label_column(dataset, label_column)
    return PixelDataset.for_model(dataset, model.config, processing_class, image, label, label_names(dataset, label))

"""What a method says of itself: the whole of what its author writes."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PreTrainedModel, Trainer

from hf_unlearn.errors import UnlearningError
from hf_unlearn.publishing.earlier import first_model, ids_forgotten
from hf_unlearn.trainers.base.config import UnlearningConfig
from hf_unlearn.trainers.base.inputs import refuse_none_left
from hf_unlearn.trainers.safety.outcome import LEAST_AGREEMENT
from hf_unlearn.trainers.safety.reference import References

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    _Base = Trainer
else:
    _Base = object


class UnlearningMethod(_Base):
    """The part of [`UnlearningTrainer`] that a method fills in: its loss, and class attributes that say what it needs.

    Everything else has a default. Which samples a run loops over, and the run itself, can be changed as well: see
    `training_set`, `sample_order`, `num_steps`, `unlearning_run` and `find_damage` of the trainer.

    Attributes:
        method_name: its name in records and on the command line, such as `"scrub"`.
        title: its name for people, on the card.
        paper: `title`, `id` (the arXiv number) and `citation` (BibTeX) of its paper; see [`cite`].
        config_class: the class of its settings.
        retain_free: whether it gets by without retained samples. Then it is not shown any.
        needs_references: whether it needs labelled samples that are not to be forgotten (`reference_dataset`).
        trains_on: `"forget"`, `"retain"` or `"both"`. Unless `sample_order` says otherwise a pass is one over all of
            them, shuffled as in any `Trainer`.
        judged_by: what shows that the rest of the model is gone: `"surroundings"` (inputs near the forget samples),
            `"retained"` (accuracy on retained samples), or `"nothing"`.
        least_agreement: below this share of what it was, 0 to 1, the rest of the model is taken for gone.
        second_order: whether the loss holds derivatives with respect to the input, which are differentiated again.
        mixes_samples: whether a sample's loss depends on the others of its batch. Then a run depends on how steps are
            parted into batches, and takes one process.
        keeps_earlier: whether its loss keeps away the classes that went with earlier requests.
        leaves_a_class: whether it makes no sense where whole classes go and none is left.
        unlearns_adapters: whether it makes sense for a part of the weights alone, as an adapter (PEFT) is.
    """

    method_name = "unlearning"
    title = "Machine unlearning"
    paper: dict[str, str] = {"title": "", "id": ""}
    config_class: type[UnlearningConfig] = UnlearningConfig
    retain_free = True
    needs_references = False
    trains_on = "forget"
    judged_by = "surroundings"
    least_agreement = LEAST_AGREEMENT
    second_order = False
    mixes_samples = False
    keeps_earlier = False
    leaves_a_class = True
    unlearns_adapters = True

    # What the trainer has.
    args: UnlearningConfig
    model: PreTrainedModel
    original_model: PreTrainedModel
    references: References | None
    earlier: list[dict[str, Any]]
    forget_kind: str

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        """The method's loss, one value a sample.

        Args:
            model: the model as the Trainer wrapped it; forward this one, or no gradient is synchronised.
            inputs: `pixel_values` `(batch, channels, height, width)`, `labels` `(batch,)`, `index` `(batch,)`: the
                position in the forget set, or for a retained sample the forget set's size and more.

        Returns:
            The loss `(batch,)`, the model's outputs, and figures `(batch,)` to follow, by name. What is minimised is
            the mean loss over the samples of a step, whatever batches and processes they are parted into.
        """
        raise NotImplementedError

    @classmethod
    def figures(cls, args: UnlearningConfig) -> tuple[str, ...]:
        """Names of what [`unlearning_loss`] follows with these settings: some stop rules look at one."""
        return ()

    def prepare(self) -> None:
        """What the method sets up once the trainer is made: its model, settings and samples are known.

        Raises:
            UnlearningError: it needs reference samples, and there are none.
        """
        if self.needs_references and (self.references is None or not self.references.labelled):
            found = "" if self.references is None else ", and the reference samples have no labels"
            raise UnlearningError(
                f"method {self.method_name!r} needs labelled samples that are not to be forgotten{found}; expected "
                "reference_dataset, or --reference_split"
            )

    def forget_last_run(self) -> None:
        """Let go of what the method keeps of a run, as before the next one of the same trainer."""

    def before_first_step(self) -> None:
        """What the method looks at before its first step, of a model that is known to be sound."""

    def zero_of_all_weights(self, logits: torch.Tensor) -> torch.Tensor:
        """A scalar 0 that depends on every weight, to be added to the loss.

        With several processes a gradient is waited for from each. A method whose loss goes through the logits
        `(batch, num_labels)`, as here, has this for nothing.
        """
        return 0.0 * logits.sum()

    @property
    def forward_equivalents_per_sample(self) -> float:
        """Cost of the loss and its gradient, in forward passes of one sample."""
        return 3.0

    @cached_property
    def forgotten_labels(self) -> torch.Tensor:
        """The classes of the forget set, where they are known without reading it; they may be more than one."""
        labels = getattr(self.train_dataset, "labels", None)
        return torch.empty(0, dtype=torch.long) if labels is None else torch.as_tensor(labels).unique()

    @cached_property
    def earlier_labels(self) -> torch.Tensor:
        """The classes that went with the requests that the model met before: they are to stay away."""
        return torch.tensor(ids_forgotten(self.earlier), dtype=torch.long)

    @property
    def unkept(self) -> list[str]:
        """That nothing keeps away the classes of earlier requests, in words, where it is so."""
        if self.keeps_earlier or not self.retain_free or not len(self.earlier_labels):
            return []
        known = "this run only looks whether they came back" if getattr(self, "splits", None) else "look at them after"
        return [
            f"{self.title} has nothing that keeps away the {len(self.earlier_labels)} classes that this model forgot "
            f"before; {known} (hf-unlearn evaluate)"
        ]

    @cached_property
    def guide(self) -> PreTrainedModel:
        """What the guard holds the model to, beside what goes.

        It is the original. After earlier requests it is the first model of all if that can be had: what one run lost
        the next would keep as it is, and over ten of them that adds up to much. The first model remembers the samples
        of all of them; but it is asked beside those of this request alone, and the classes that went are masked. Where
        reference samples are held, too, it is the model as it came: who went before may be among them.
        """
        if not self.earlier or (self.references is not None and self.forget_kind != "class"):
            return self.original_model
        found, why_not = first_model(self.earlier, self.original_model)
        if found is None:
            logger.warning("the guard is the model as the earlier requests left it, not the first one: %s", why_not)
            return self.original_model
        return found

    def refuse_no_class_left(self) -> None:
        """Refuse a request for whole classes after which none is left, as far as they are known without reading.

        Raises:
            UnlearningError: none is left.
        """
        if self.leaves_a_class and self.forget_kind == "class":
            refuse_none_left(self.forgotten_labels, self.earlier_labels, int(self.model.config.num_labels or 0))

    def classes_that_go(self) -> torch.Tensor:
        """Classes whose loss is no damage: those of the forget set and of earlier requests, unless these are all."""
        gone = torch.cat([self.forgotten_labels, self.earlier_labels]).unique()
        return gone if len(gone) < int(self.model.config.num_labels or 0) else gone[:0]

"""Which samples a method loops over: the forget set, the rest of the training set, or both."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, Subset
from transformers import PreTrainedModel, Trainer

from hf_unlearn.trainers.safety.samples import Sample, sample_accuracy

if TYPE_CHECKING:
    from hf_unlearn.trainers.base.config import UnlearningConfig

    _Base = Trainer
else:
    _Base = object


class JointDataset(Dataset):
    """Forget samples, then retained ones. A sample's `index` is its position here.

    Args:
        forget, retain: datasets of `{"pixel_values", "labels", "index"}`.
    """

    def __init__(self, forget: Dataset, retain: Dataset):
        self.parts = (forget, retain)
        self.num_forget = len(cast(Sized, forget))

    def __len__(self) -> int:
        return self.num_forget + len(cast(Sized, self.parts[1]))

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for part, start in zip(self.parts, (0, self.num_forget), strict=True):
            rows = [index - start for index in indices if (index >= self.num_forget) == bool(start)]
            fetch = getattr(part, "__getitems__", None)
            items = fetch(rows) if fetch is not None and rows else [part[row] for row in rows]
            found |= {start + row: {**item, "index": start + row} for row, item in zip(rows, items, strict=True)}
        return [found[index] for index in indices]


def part_of_retained(forget: Any, retain: Any, share: float, seed: int) -> JointDataset:
    """Forget samples, then a share of the retained ones, at least one, drawn by the seed."""
    size = len(retain)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    rows = order[: max(1, round(share * size))].sort().values.tolist()
    return JointDataset(forget, Subset(retain, rows))


class LoopsOverSamples(_Base):
    """Mixed into a `Trainer` whose `train_dataset` is the forget set: what it really loops over."""

    _order: Sampler | None = None

    # What the mixing class has.
    method_name: str
    retain_free: bool
    trains_on: str
    judged_by: str
    least_agreement: float
    original_model: PreTrainedModel
    agreement: float | None
    args: UnlearningConfig
    model: PreTrainedModel
    retain_dataset: Any

    @property
    def num_forget_samples(self) -> int:
        """Size of the forget set."""
        return 0 if self.train_dataset is None else len(cast(Sized, self.train_dataset))

    def is_retained(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Which samples of a batch are retained ones, boolean `(batch,)`."""
        if self.retain_free:
            return torch.zeros_like(inputs["labels"], dtype=torch.bool)
        return inputs["index"] >= self.num_forget_samples

    def training_set(self) -> Dataset:
        """What a pass goes over."""
        forget = cast(Dataset, self.train_dataset)
        if self.trains_on == "forget":
            return forget
        joint = JointDataset(forget, self.retain_dataset)
        return joint if self.trains_on == "both" else Subset(joint, range(self.num_forget_samples, len(joint)))

    def sample_order(self) -> Sampler | None:
        """The samples of the whole run in order, if they are not shuffled pass by pass."""
        return None

    @property
    def step_size(self) -> int:
        """Samples of a step, over all processes and accumulated batches."""
        return self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size

    def num_steps(self) -> int:
        """Steps of the run, or −1 if its passes say it."""
        order = self.sample_order() if self.args.max_steps == -1 else None
        if order is None:
            return self.args.max_steps
        # The Trainer takes the order of the whole run for a single pass.
        whole, rest = divmod(len(cast(Sized, order)), self.step_size)
        return whole + bool(rest and not self.args.dataloader_drop_last)

    @property
    def pass_number(self) -> int:
        """How many passes over the samples were finished."""
        # The state counts epochs in fractions: the whole part is the number of finished passes.
        return int(self.state.epoch or 0)

    def get_train_dataloader(self) -> DataLoader:
        forget, self._order = self.train_dataset, self.sample_order()
        try:
            self.train_dataset = self.training_set()
            return super().get_train_dataloader()
        finally:
            self.train_dataset = forget

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Sampler | None:
        return self._order if self._order is not None else super()._get_train_sampler(*args, **kwargs)

    def find_damage(self) -> str | None:
        """In words, what shows that the rest of the model is gone; None if nothing does."""
        if not all(bool(parameter.isfinite().all()) for parameter in self.model.parameters()):
            return "the weights are not finite"
        agreement = self.agreement or 0.0
        if self.judged_by == "surroundings" and agreement < self.least_agreement:
            return (
                f"the rest of the model collapsed (it agrees with the original on {100 * agreement:.0f} % of inputs "
                f"near the forget samples; expected at least {100 * self.least_agreement:.0f} %)"
            )
        if self.judged_by == "retained":
            sample = Sample.of(self.retain_dataset, len(self.retain_dataset), self.model)
            before, after = (100 * sample_accuracy(model, sample) for model in (self.original_model, self.model))
            if after < self.least_agreement * before:
                return (
                    f"the rest of the model collapsed (accuracy on retained samples {before:.0f} -> {after:.0f} %; "
                    f"expected at least {100 * self.least_agreement:.0f} % of what it was)"
                )
        return None

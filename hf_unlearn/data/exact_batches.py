"""The same steps with any number of processes: each is of the same samples, the uneven last ones of a pass included."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer

from hf_unlearn.errors import UnlearningError

# A label that no loss counts, as everywhere in transformers.
IGNORED = -100

if TYPE_CHECKING:
    _Base = Trainer
else:
    _Base = object


class StepBatches(Sampler[list[int]]):
    """This process's batches of a pass, such that the optimizer's steps are of the same samples in any layout.

    Accelerate's own sharding fills up the last batch of a pass with samples from its beginning, so that they count
    twice. Here a process that has nothing left to do gets one sample to be ignored: its position counted on from the
    end of the dataset (see [`Padded`]).

    Args:
        order: the samples of a pass, the same in all processes; reseeded by its `set_epoch`.
        size: of the dataset.
        batch_size: samples of a process and micro-batch.
        accumulation: micro-batches of a step.
        rank, num_processes: this process, of how many.
        drop_last: leave out the last samples of a pass that do not fill a step.
    """

    def __init__(
        self,
        order: Sampler[int],
        size: int,
        batch_size: int,
        accumulation: int,
        rank: int,
        num_processes: int,
        drop_last: bool = False,
    ):
        self.order = order
        self.size = size
        self.batch_size = batch_size
        self.accumulation = accumulation
        self.rank = rank
        self.num_processes = num_processes
        self.drop_last = drop_last

    def __len__(self) -> int:
        whole, rest = divmod(len(cast(Sized, self.order)), self._wide * self.accumulation)
        return whole * self.accumulation + (0 if self.drop_last else -(-rest // self._wide))

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.order)
        for start in range(0, min(len(order), len(self) * self._wide), self._wide):
            batch = order[start : start + self._wide]
            mine = batch[self.rank * self.batch_size : (self.rank + 1) * self.batch_size]
            yield mine or [self.size + batch[0]]

    @property
    def _wide(self) -> int:
        """Samples of a micro-batch over all processes."""
        return self.batch_size * self.num_processes

    @property
    def batch_sampler(self) -> StepBatches:
        """Itself: where the Trainer looks for what to tell of a new pass."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Tell the order which pass begins."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)


class Padded(Dataset):
    """A dataset whose items from its end on are its samples once more, with a label that is ignored."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.size = len(cast(Sized, dataset))

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        rows = [index % self.size for index in indices]
        fetch = getattr(self.dataset, "__getitems__", None)
        items = fetch(rows) if fetch is not None else [self.dataset[row] for row in rows]
        return [
            {**item, "labels": IGNORED} if index >= self.size else item
            for index, item in zip(indices, items, strict=True)
        ]


class ExactBatches(_Base):
    """Mixed into a `Trainer`: with several processes, batches that make the steps of one process.

    `dataloader_drop_last` leaves out what does not fill a step, so that this is the same in any layout, too.
    """

    def get_train_dataloader(self) -> DataLoader:
        prepared = super().get_train_dataloader()
        if self.accelerator.num_processes == 1 and not self.args.dataloader_drop_last:
            return prepared
        # Accelerate has made the order of one process of it, with its seed; only the sharding is replaced.
        shards = cast(Any, prepared).batch_sampler
        order = cast(Any, getattr(shards, "batch_sampler", shards)).sampler
        dataset = prepared.dataset
        batches = StepBatches(
            order,
            len(cast(Sized, dataset)),
            self._train_batch_size,
            self.args.gradient_accumulation_steps,
            self.accelerator.process_index,
            self.accelerator.num_processes,
            self.args.dataloader_drop_last,
        )
        if not len(batches):
            size = self._train_batch_size * self.args.gradient_accumulation_steps * self.accelerator.num_processes
            raise UnlearningError(
                f"dataloader_drop_last is True, and {len(cast(Sized, order))} samples do not fill a step of {size}; "
                "expected a smaller batch, or False"
            )
        workers: dict[str, Any] = {}
        if prepared.num_workers:
            workers = {
                "persistent_workers": prepared.persistent_workers,
                "prefetch_factor": prepared.prefetch_factor,
                "worker_init_fn": prepared.worker_init_fn,
                "multiprocessing_context": prepared.multiprocessing_context,
            }
        return DataLoader(
            Padded(dataset),
            batch_sampler=batches,
            collate_fn=prepared.collate_fn,
            num_workers=prepared.num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            **workers,
        )


def split_ignored(inputs: dict[str, Any]) -> tuple[dict[str, Any], torch.Tensor]:
    """Inputs with a valid label everywhere, and which of the samples count, boolean `(batch,)`."""
    counted = inputs["labels"] != IGNORED
    return {**inputs, "labels": inputs["labels"].clamp(min=0)}, counted

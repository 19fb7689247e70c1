"""Logits of models on splits: one pass for each, kept on disk as memory maps, shared by all processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast
from uuid import uuid4

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import PixelDataset, pixels_of, try_forward
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.metrics.samples import pieces
from hf_unlearn.evaluation.predict import Contestant, batches_of_logits, predict_logits
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.request import UnlearningSplits


class LogitStore:
    """Logits by model and split, each computed once: a second question about the same pair reads a file.

    A file is named by a digest of the model's weights, of how its images are processed, and of the samples. Columns are
    in the order of the dataset's labels, then the model's further labels by name, so models with other label orders
    compare. With several processes each computes every so-manieth batch and writes its rows; the result is the same.

    Args:
        folder: of the files; any of them may be deleted at any time.
        splits: of the request.
        batch_size: samples a forward pass.
        device: where models run.
    """

    def __init__(
        self, folder: str | os.PathLike, splits: UnlearningSplits, batch_size: int, device: str | torch.device
    ):
        self.folder = Path(folder)
        self.splits = splits
        self.batch_size = batch_size
        self.device = device
        self._digests: dict[int, str] = {}

    def labels(self, split: str) -> np.ndarray:
        """Columns of the true classes, `(samples,)` int64, of the `forget`, `retain` or `test` split."""
        labels = {
            "forget": self.splits.forget_labels,
            "retain": self.splits.retain_labels,
            "test": self.splits.test_labels,
        }[split]()
        return np.searchsorted(label_columns(self.splits), labels)

    def logits(self, contestants: Mapping[str, Contestant], split: str) -> dict[str, np.ndarray]:
        """For each role the logits on a split, `(samples, num_labels)` float32, as a memory map.

        Every image is decoded once for all models that see it alike and are not yet on file.

        Raises:
            UnlearningError: a model does not take the images, does not know their labels, or gives logits that are
                not finite; the folder cannot be written.
        """
        paths = {role: self.folder / f"{self._key(contestant, split)}.npy" for role, contestant in contestants.items()}
        # The same weights under two roles are one model.
        first = {path: role for role, path in reversed(paths.items())}
        missing = {role: contestants[role] for path, role in first.items() if not path.is_file()}
        # Nobody looks for files while another process moves one into place.
        state = PartialState()
        state.wait_for_everyone()
        for group in _alike(missing).values():
            self._compute({role: missing[role] for role in group}, paths, split, state)
        found = {}
        for role, path in paths.items():
            found[role] = np.load(path, mmap_mode="r")
            if not all(np.isfinite(found[role][rows]).all() for rows in pieces(len(found[role]))):
                state.wait_for_everyone()
                if state.is_main_process:
                    path.unlink(missing_ok=True)
                raise UnlearningError(f"the {role} model gives logits that are not finite on the {split} set")
        return found

    def answer_names(self, contestant: Contestant) -> list[str]:
        """What the columns stand for: the dataset's labels, then the model's further ones."""
        own = [self.splits.label_names[label] for label in label_columns(self.splits)]
        return [*own, *further_labels(contestant.model, self.splits)]

    def logits_here(self, contestant: Contestant, split: str) -> np.ndarray:
        """The logits of one more model, in this process alone and not kept: `(samples, num_labels)` float32."""
        predicted = predict_logits(
            {"m": contestant.model}, self.pixels(contestant, split), self.batch_size, self.device
        )
        return predicted["m"][:, label_order(contestant.model, self.splits)]

    def pixels(self, contestant: Contestant, split: str) -> PixelDataset:
        """A split as this model eats it."""
        return pixels_of(self.splits, split, contestant.model, contestant.image_processor)

    def _dataset(self, split: str) -> Dataset:
        found = {"forget": self.splits.forget, "retain": self.splits.retain, "test": self.splits.test}[split]
        if found is None:
            raise KeyError(f"there is no {split} set")
        return found

    def _compute(
        self, group: Mapping[str, Contestant], paths: Mapping[str, Path], split: str, state: PartialState
    ) -> None:
        pixels = self.pixels(next(iter(group.values())), split)
        orders = {role: label_order(contestant.model, self.splits) for role, contestant in group.items()}
        # One name in all processes of this run, and no other run's, wherever that is.
        (run,) = broadcast_object_list([uuid4().hex])
        parts = {role: paths[role].with_suffix(f".{run}.part") for role in group}
        try:
            if state.is_main_process:
                self._make_parts(parts, {role: (len(pixels), len(order)) for role, order in orders.items()})
            state.wait_for_everyone()
            maps = {role: np.lib.format.open_memmap(parts[role], mode="r+") for role in group}
            models = {role: contestant.model for role, contestant in group.items()}
            for model in models.values():
                model.to(torch.device(self.device))  # type: ignore[arg-type]
                try_forward(model, pixels)
            share = (state.process_index, state.num_processes)
            title = f"Evaluating on the {split} set"
            for start, batch in batches_of_logits(models, pixels, self.batch_size, self.device, title, share):
                for role, logits in batch.items():
                    maps[role][start : start + len(logits)] = logits[:, orders[role]]
            for memory in maps.values():
                memory.flush()
            state.wait_for_everyone()
            if state.is_main_process:
                for role in group:
                    os.replace(parts[role], paths[role])
        except BaseException:
            if state.is_main_process:
                for part in parts.values():
                    part.unlink(missing_ok=True)
            raise
        state.wait_for_everyone()

    def _make_parts(self, parts: Mapping[str, Path], shapes: Mapping[str, tuple[int, int]]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for role, shape in shapes.items():
                np.lib.format.open_memmap(parts[role], mode="w+", dtype=np.float32, shape=shape).flush()
        except OSError as error:
            raise UnlearningError(f"cache_dir {str(self.folder)!r} cannot be written: {error.strerror}") from error

    def _key(self, contestant: Contestant, split: str) -> str:
        if id(contestant.model) not in self._digests:
            self._digests[id(contestant.model)] = weights_digest(contestant.model)
        dataset = self._dataset(split)
        named = [
            self._digests[id(contestant.model)],
            _seen(contestant),
            self.splits.label_names,
            self.splits.fingerprint.id,
            split,
            # Changes with the pixels, which the request's own fingerprint does not read.
            dataset._fingerprint,
            self.batch_size,
        ]
        return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def label_columns(splits: UnlearningSplits) -> list[int]:
    """The dataset's label ids that have a column each, in order: those that any sample has."""
    return list(range(len(splits.label_names)) if splits.used_labels is None else splits.used_labels)


def label_order(model: PreTrainedModel, splits: UnlearningSplits) -> list[int]:
    """All of the model's class ids in the common order: that of [`label_columns`], then its other labels by name.

    Raises:
        UnlearningError: the model lacks a label of the dataset.
    """
    id2label = cast("dict[int, str]", model.config.id2label or {})
    class_ids = splits.class_ids(id2label)
    first = [class_ids[label] for label in label_columns(splits)]
    others = sorted(
        (str(name), int(class_id)) for class_id, name in id2label.items() if int(class_id) not in set(first)
    )
    return [*first, *(class_id for _, class_id in others)]


def further_labels(model: PreTrainedModel, splits: UnlearningSplits) -> list[str]:
    """The names of the model's labels that no sample of the dataset has, in the common order."""
    id2label = cast("dict[int, str]", model.config.id2label or {})
    return [str(id2label[class_id]) for class_id in label_order(model, splits)[len(label_columns(splits)) :]]


def _alike(contestants: Mapping[str, Contestant]) -> dict[str, list[str]]:
    """Roles grouped by what their models are given."""
    groups: dict[str, list[str]] = {}
    for role, contestant in contestants.items():
        groups.setdefault(_seen(contestant), []).append(role)
    return groups


def _seen(contestant: Contestant) -> str:
    """What decides the pixels and labels a model is given: image processing, channels, class ids."""
    config = contestant.model.config
    processing = sorted(contestant.image_processor.to_dict().items(), key=str)
    return repr((processing, getattr(config, "num_channels", 3), sorted((config.id2label or {}).items())))

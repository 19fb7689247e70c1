"""Logits of models on splits: one pass for each, kept on disk as memory maps, shared by all processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import PixelDataset, pixels_of, try_forward
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.cache import LogitFile, file_name, from_first, images_key, model_key
from hf_unlearn.evaluation.predict import Contestant, Remembered, batches_of_logits
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.request import UnlearningSplits, verify_images


class LogitStore:
    """Logits by model and split, each computed once: a second question about the same pair reads a file.

    A file is named by a digest of all that the logits depend on (see [`model_key`]); a damaged one is computed again.
    Columns are in the order of the dataset's labels, then the model's further labels by name, so models with other
    label orders compare. With several processes each computes every so-manieth batch and writes its rows; the result is
    the same.

    Args:
        folder: of the files; any of them may be deleted at any time.
        splits: of the request.
        batch_size: samples a forward pass.
        device: where models run.
        on_part: see [`hf_unlearn.compare`].

    Attributes:
        ended: what `on_part` raised.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        splits: UnlearningSplits,
        batch_size: int,
        device: str | torch.device,
        on_part: Callable[[str], None] | None = None,
    ):
        self.folder = Path(folder)
        self.splits = splits
        self.batch_size = batch_size
        self.device = device
        self._on_part = on_part
        self.ended: Exception | None = None
        self._remembered: dict[tuple[str, str], Remembered] = {}
        self._model_keys: dict[tuple[int, int], list[Any]] = {}

    def say(self, what: str) -> None:
        """Tell whoever wants to know what is looked at next; what they raise ends the comparison."""
        if self._on_part is not None:
            try:
                self._on_part(what)
            except Exception as error:
                self.ended = error
                raise

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
        files = self._files(contestants, split)
        # The same weights under two roles are one model.
        first = {file.path: role for role, file in reversed(files.items())}
        missing = from_first(lambda: [role for role in first.values() if not files[role].is_whole()])
        for group in _alike({role: contestants[role] for role in missing}).values():
            self._compute({role: contestants[role] for role in group}, files, split)
        found = {role: file.read() for role, file in files.items()}
        # Nobody takes the folder away before all have opened its files.
        PartialState().wait_for_everyone()
        return found

    def verify_images(self, contestants: Mapping[str, Contestant], splits: Sequence[str]) -> None:
        """Decode every image of the splits of which some logits are not on file, so that what is broken is found first.

        Raises:
            UnlearningError: an image cannot be read; the message names its split and index, in all processes.
        """
        state = PartialState()
        fault = None
        for split in splits:
            self.say(f"the images of the {split} set")
            there = all(file.path.is_file() for file in self._files(contestants, split).values())
            if fault is None and not there:
                what, indices = self.splits.origin(split)
                mine = np.arange(state.process_index, len(indices), state.num_processes)
                part = self._dataset(split).select(mine)
                try:
                    verify_images(part, self.splits.image_column, indices[mine], what)
                except UnlearningError as error:
                    fault = str(error)
        for found in gather_object([fault]):
            if found is not None:
                raise UnlearningError(found)

    def twins(self, contestants: Mapping[str, Contestant]) -> tuple[str, str] | None:
        """Two roles of one model: with the same weights, configuration and image processing; None if there are none."""
        seen: dict[Path, str] = {}
        for role, file in self._files(contestants, "forget").items():
            if file.path in seen:
                return seen[file.path], role
            seen[file.path] = role
        return None

    def answer_names(self, contestant: Contestant) -> list[str]:
        """What the columns stand for: the dataset's labels, then the model's further ones."""
        own = [self.splits.label_names[label] for label in label_columns(self.splits)]
        return [*own, *further_labels(contestant.model, self.splits)]

    def pixels(self, contestant: Contestant, split: str) -> PixelDataset:
        """A split as this model eats it."""
        return pixels_of(self.splits, split, contestant.model, contestant.image_processor)

    def remembered(self, contestant: Contestant, split: str) -> Remembered:
        """The same, for looking at some samples again and again: all models that see them alike share them."""
        key = (_seen(contestant), split)
        if key not in self._remembered:
            self._remembered[key] = Remembered(self.pixels(contestant, split))
        return self._remembered[key]

    def _dataset(self, split: str) -> Dataset:
        found = {"forget": self.splits.forget, "retain": self.splits.retain, "test": self.splits.test}[split]
        if found is None:
            raise KeyError(f"there is no {split} set")
        return found

    def _files(self, contestants: Mapping[str, Contestant], split: str) -> dict[str, LogitFile]:
        """For each role the file of its logits, which may not be there yet."""
        dataset = self._dataset(split)
        orders = {role: label_order(each.model, self.splits) for role, each in contestants.items()}

        def name(role: str) -> str:
            contestant = contestants[role]
            both = (id(contestant.model), id(contestant.image_processor))
            if both not in self._model_keys:
                self._model_keys[both] = model_key(contestant)
            model = self._model_keys[both]
            images = images_key(dataset, self.splits.image_column)
            return file_name(model, images, orders[role], device=self.device, batch_size=self.batch_size)

        names = from_first(lambda: {role: name(role) for role in contestants})
        return {
            role: LogitFile(self.folder / f"{names[role]}.npy", (len(dataset), len(order)))
            for role, order in orders.items()
        }

    def _compute(self, group: Mapping[str, Contestant], files: Mapping[str, LogitFile], split: str) -> None:
        pixels = self.pixels(next(iter(group.values())), split)
        orders = {role: label_order(contestant.model, self.splits) for role, contestant in group.items()}
        models = {role: contestant.model for role, contestant in group.items()}
        for model in models.values():
            model.to(torch.device(self.device))  # type: ignore[arg-type]
            try_forward(model, pixels)
        state = PartialState()
        share = (state.process_index, state.num_processes)
        title = f"Evaluating on the {split} set"
        try:
            for role in group:
                files[role].begin()
            for start, batch in batches_of_logits(models, pixels, self.batch_size, self.device, title, share):
                self.say(f"the answers on the {split} set")
                for role, logits in batch.items():
                    files[role].write(start, logits[:, orders[role]])
            state.wait_for_everyone()
            problems = from_first(lambda: {role: files[role].finish() for role in group})
        finally:
            if state.is_main_process:
                for role in group:
                    files[role].discard()
        for role, problem in problems.items():
            if problem is not None:
                raise UnlearningError(f"the {role} model's logits on the {split} set {problem}")


def label_columns(splits: UnlearningSplits) -> list[int]:
    """The dataset's label ids that have a column each, in order: those that any sample has."""
    return list(range(len(splits.label_names)) if splits.used_labels is None else splits.used_labels)


def label_order(model: PreTrainedModel, splits: UnlearningSplits) -> list[int]:
    """All of the model's class ids in the common order: that of [`label_columns`], then its other labels by name.

    Raises:
        UnlearningError: the model lacks a label of the dataset.
    """
    class_ids = splits.class_ids(id2label_of(model.config))
    first = [class_ids[label] for label in label_columns(splits)]
    names = _output_names(model)
    others = sorted(set(range(len(names))) - set(first), key=lambda class_id: (names[class_id], class_id))
    return [*first, *others]


def further_labels(model: PreTrainedModel, splits: UnlearningSplits) -> list[str]:
    """The names of the model's labels that no sample of the dataset has, in the common order."""
    names = _output_names(model)
    return [names[class_id] for class_id in label_order(model, splits)[len(label_columns(splits)) :]]


def _output_names(model: PreTrainedModel) -> list[str]:
    """The name of each of the model's outputs, its number where the configuration has none."""
    id2label = id2label_of(model.config)
    return [id2label.get(class_id, str(class_id)) for class_id in range(len(id2label))]


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
    return repr((processing, getattr(config, "num_channels", 3), sorted(id2label_of(config).items())))

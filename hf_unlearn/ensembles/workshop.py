"""Where the models of an ensemble are made and asked: each once, kept in a cache."""

from __future__ import annotations

import contextlib
import hashlib
import math
import tempfile
import time
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import concatenate_datasets
from torch.utils.data import Subset
from transformers import BaseImageProcessor, PreTrainedModel, PrinterCallback

import hf_unlearn.trainers
from hf_unlearn.data.pixels import PixelDataset, collate, pixels_like, pixels_of, try_forward
from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.ensembles.ensemble import METHODS, TRAINED, Ensemble
from hf_unlearn.errors import DivergenceError, UnlearningError
from hf_unlearn.evaluation.audits.answers import Answers
from hf_unlearn.evaluation.predict import Chosen, predict_logits
from hf_unlearn.models.model_cache import ModelCache
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.trainers.base.classifier import ClassifierConfig, ClassifierTrainer

# Images by which a training set is recognised, beside all its labels.
RECOGNISED_BY = 32
# Steps of a rehearsal that are timed, after as many that are not.
REHEARSED = 4


class Told(NamedTuple):
    """What the models of one number answered.

    Attributes:
        unlearned, retrained: on the forget, the retain and the test set.
        half: the unlearned model of a random half, on the forget and the retain set; None where there are none.
        members: whether that half held the samples, boolean `(samples,)` by part.
        unchanged: of the models that were to be unlearned, how many are as they were before.
    """

    unlearned: Answers
    retrained: Answers
    half: Answers | None
    members: dict[str, np.ndarray]
    unchanged: int


class Workshop:
    """Makes and asks the models of an ensemble.

    Args:
        ensemble: what they are.
        folder: of the cache.
    """

    def __init__(self, ensemble: Ensemble, folder: str | Path):
        self.ensemble = ensemble
        self.cache = ModelCache(folder)

    @property
    def columns(self) -> tuple[Any, ...]:
        """Names of labels, the label mapping, and the integers that they stand for, as [`Start`] takes them."""
        splits = self.ensemble.splits
        return splits.label_names, splits.label_mapping, splits.label_values

    def begin(self, seed: int) -> tuple[PreTrainedModel, BaseImageProcessor]:
        """An untrained model. The global random state is left as it was."""
        with torch.random.fork_rng(devices=[]):
            # Of the head that a trained model gets.
            torch.manual_seed(seed)
            return self.ensemble.start.classifier(self.columns, seed)

    @cached_property
    def _first(self) -> tuple[PreTrainedModel, BaseImageProcessor]:
        return self.begin(self.ensemble.seed_of("original"))

    @cached_property
    def training_set(self) -> PixelDataset:
        """The training set by place, as the models eat it; every image is read."""
        ensemble, (model, processor) = self.ensemble, self._first
        assert ensemble.splits.retain is not None
        both = concatenate_datasets([ensemble.splits.forget, ensemble.splits.retain])
        order = np.argsort(np.concatenate([ensemble.places("forget"), ensemble.places("retain")]))
        names: dict[str, Any] = {"index_names": ensemble.indices.tolist(), "split_name": ensemble.splits.train_split}
        pixels = pixels_like(ensemble.splits, both.select(order), model, processor, **names)
        return pixels.preload("Reading the training set")

    @cached_property
    def test_set(self) -> PixelDataset | None:
        """The test set, every image read; None where there is none."""
        if self.ensemble.splits.test is None:
            return None
        return pixels_of(self.ensemble.splits, "test", *self._first).preload("Reading the test set")

    @cached_property
    def digests(self) -> dict[str, str]:
        """Of the training set (its labels, and some images as they are eaten), and of the weights that training starts
        from where these are not random."""
        some = collate(self.training_set.__getitems__(evenly_spaced(len(self.training_set), RECOGNISED_BY).tolist()))
        labels = self.training_set.labels.numpy().astype("<i8").tobytes()
        data = hashlib.sha256(labels + some["pixel_values"].numpy().tobytes()).hexdigest()[:16]
        if self.ensemble.start.model_name_or_path is None:
            return {"data": data}
        return {"data": data, "start_weights": weights_digest(self._first[0])[:16]}

    def name(self, kind: str, number: int) -> str:
        """A model's place in the cache."""
        return f"{self.ensemble.kinds()[kind][0]}/{number:04}"

    def is_there(self, kind: str, number: int) -> bool:
        """Whether a model was made already."""
        return (self.cache.folder / self.name(kind, number)).is_dir()

    def model(self, kind: str, number: int) -> PreTrainedModel:
        """A model, from the cache if it is there.

        Raises:
            UnlearningError: the one that is there was made by another recipe, or a run failed.
        """
        recipe = self.ensemble.recipe(kind, number, self.digests)
        make = self._trained if kind in TRAINED else self._unlearned
        try:
            return self.cache.model(self.name(kind, number), recipe, partial(make, kind, number))
        except UnlearningError as error:
            raise UnlearningError(f"model {number} ({kind.replace('_', ' ')}): {error}") from error

    def told(self, number: int) -> Told:
        """Make, if need be, and ask all models of one number."""
        ensemble, splits = self.ensemble, self.ensemble.splits
        places = {part: ensemble.places(part) for part in ("forget", "retain")}
        places["retain"] = places["retain"][ensemble.retain_rows()]
        kinds = [ensemble.judged(half=False), *([ensemble.judged(half=True)] if ensemble.halves else [])]
        unlearned = [self.model(kind, number) for kind in kinds]
        retrained = self.model("retrained", number)
        half, members = None, {}
        if ensemble.halves:
            half = self._answers(unlearned[1], places, with_test=False)
            members = {part: ensemble.held(number)[at] for part, at in places.items()}
        befores = [before for before in ("original", "half") if before in ensemble.kinds()]
        unchanged = sum(
            same_weights(model, self.model(before, number)) for model, before in zip(unlearned, befores, strict=False)
        )
        with_test = splits.test is not None
        return Told(
            self._answers(unlearned[0], places, with_test),
            self._answers(retrained, places, with_test),
            half,
            members,
            unchanged,
        )

    def rehearse(self) -> float:
        """Seconds that a step of training takes, from a few steps of a model that is thrown away."""
        model, _ = self.begin(0)
        args = self._training_args("unused", 0)
        size = min(args.train_batch_size, len(self.training_set))
        batch = {
            name: values.to(args.device)
            for name, values in collate(self.training_set.__getitems__(list(range(size)))).items()
            if name != "index"
        }
        try_forward(model, self.training_set)
        model.to(args.device).train()  # type: ignore[arg-type]
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
        for step in range(2 * REHEARSED):
            if step == REHEARSED:
                started = time.monotonic()
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
        return (time.monotonic() - started) / REHEARSED

    def steps(self, kind: str) -> int:
        """Steps of training of one model of a kind."""
        args = self._training_args("unused", 0)
        a_pass = math.ceil(len(self.ensemble.seen(kind, 0)) / args.train_batch_size)
        return args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * a_pass)

    def _answers(self, model: PreTrainedModel, places: dict[str, np.ndarray], with_test: bool) -> Answers:
        device = self._training_args("unused", 0).device
        logits, labels = {}, {}
        for part, at in places.items():
            logits[part] = predict_logits({"model": model}, Chosen(self.training_set, at), device=device)["model"]
            labels[part] = self.training_set.labels[at].numpy()
        if with_test and self.test_set is not None:
            logits["test"] = predict_logits({"model": model}, self.test_set, device=device)["model"]
            labels["test"] = self.test_set.labels.numpy()
        return Answers.of(logits, labels)

    def _training_args(self, folder: str, seed: int) -> ClassifierConfig:
        return ClassifierConfig(**{**_quiet(folder, seed, self.ensemble.use_cpu), **self.ensemble.training})

    def _trained(self, kind: str, number: int) -> tuple[PreTrainedModel, BaseImageProcessor, float]:
        seed = self.ensemble.seed_of(kind, number)
        model, processor = self.begin(seed)
        with tempfile.TemporaryDirectory() as folder:
            some: Any = Subset(self.training_set, self.ensemble.seen(kind, number).tolist())
            trainer = ClassifierTrainer(model, self._training_args(folder, seed), some, processor)
            trainer.remove_callback(PrinterCallback)
            started = time.monotonic()
            trainer.train()
        if not all(parameter.isfinite().all() for parameter in model.parameters()):
            raise DivergenceError("training ran away: weights are not finite; try a smaller learning_rate")
        return model.cpu(), processor, time.monotonic() - started

    def _unlearned(self, kind: str, number: int) -> tuple[PreTrainedModel, BaseImageProcessor, float]:
        ensemble = self.ensemble
        half = kind.startswith("half")
        splits = ensemble.splits_of_half(number) if half else ensemble.splits
        model, processor = self.model("half" if half else "original", number), self._first[1]
        if not len(splits.forget):
            # Nothing of the forget set fell into this half.
            return model, processor, 0.0
        method = METHODS[ensemble.method]
        with tempfile.TemporaryDirectory() as folder:
            quiet = _quiet(folder, ensemble.seed_of(kind, number), ensemble.use_cpu)
            args = ensemble.method_config(**{**quiet, **ensemble.method_settings})
            trainer = getattr(hf_unlearn.trainers, method.trainer)(
                model=model, args=args, splits=splits, processing_class=processor
            )
            trainer.remove_callback(PrinterCallback)
            started = time.monotonic()
            # The weights are put back then: whoever asks for unlearning is left with what there was before.
            with contextlib.suppress(DivergenceError):
                trainer.train()
        return trainer.model.cpu(), processor, time.monotonic() - started


def same_weights(one: PreTrainedModel, other: PreTrainedModel) -> bool:
    """Whether two models of one architecture have the same weights and buffers."""
    theirs = other.state_dict()
    return all(torch.equal(value.cpu(), theirs[name].cpu()) for name, value in one.state_dict().items())


def _quiet(folder: str, seed: int, use_cpu: bool) -> dict[str, Any]:
    """Of a run that says nothing and leaves nothing."""
    said: dict[str, Any] = {"report_to": [], "logging_strategy": "no", "disable_tqdm": True}
    return {"output_dir": folder, "seed": seed, "use_cpu": use_cpu, "dataloader_pin_memory": False, **said}

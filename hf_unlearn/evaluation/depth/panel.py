"""The depth panel: every probe on every model of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import collate
from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.evaluation.attacks.membership import TooFewSamples
from hf_unlearn.evaluation.attacks.probing import RELEARN_SHARE, unseen_rows
from hf_unlearn.evaluation.attacks.relearning import MOST_STEPS, Relearning, relearn, remembered
from hf_unlearn.evaluation.controls import forgotten_columns
from hf_unlearn.evaluation.depth.features import Head, NoLinearHead, features_of
from hf_unlearn.evaluation.depth.jitter import Jittered, jitter_gap
from hf_unlearn.evaluation.depth.probes import (
    SHOTS,
    intra_class_cosine,
    linear_probe,
    mlp_probe,
    over_classes,
    prototype_recall,
    shifted_recall,
)
from hf_unlearn.evaluation.depth.weights import barrier, straight_line, weight_distance
from hf_unlearn.evaluation.logits import LogitStore, label_order
from hf_unlearn.evaluation.metrics.accuracies import accuracy
from hf_unlearn.evaluation.predict import Chosen, Contestant, Items, predict_logits

# So much is looked at, drawn by the seed; the rest would not change what is found.
FORGET_SAMPLES = 1_000
RETAIN_SAMPLES = 2_000
SHIFTED_SAMPLES = 10_000
LINE_SAMPLES = 500
MOST_CLASSES = 10

WHOLE_CLASSES_ONLY = "it is of classes that vanish, and the label of these samples stays"
NO_RETAINED = "it takes retained samples, and the samples to forget came without"
NO_ORIGINAL = "it takes the original model"


@dataclass
class Sample:
    """What is looked at of every model.

    Attributes:
        columns: of all forgotten classes, in logits of the store.
        classes: those of them that are looked at.
        forget: rows of the forget set, of these classes.
        labels: their columns.
        retain: rows of the retain set, none where there is none.
    """

    columns: list[int]
    classes: list[int]
    forget: np.ndarray
    labels: np.ndarray
    retain: np.ndarray

    @classmethod
    def of(cls, store: LogitStore, seed: int) -> Sample:
        columns = forgotten_columns(store.splits)
        classes = [columns[place] for place in evenly_spaced(len(columns), MOST_CLASSES)] if columns else []
        labels = store.labels("forget")
        rows = np.flatnonzero(np.isin(labels, classes)) if columns else np.arange(len(labels))
        forget = _drawn(rows, FORGET_SAMPLES, seed)
        has_retain = store.splits.retain is not None
        retain = np.arange(len(store.labels("retain")) if has_retain else 0)
        return cls(columns, classes, forget, labels[forget], _drawn(retain, RETAIN_SAMPLES, seed))


@dataclass
class Probing:
    """One model under the probes.

    Attributes:
        figures: what is found is put in here, None where it could not be.
        left_out: why not.
    """

    store: LogitStore
    role: str
    contestant: Contestant
    sample: Sample
    seed: int
    figures: dict[str, float | None]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def model(self) -> PreTrainedModel:
        return self.contestant.model

    def take(self, key: str, probe: Callable[[], float]) -> None:
        """Put what `probe` says under `key`, or None and why not."""
        self.say()
        try:
            self.figures[key] = probe()
        except ValueError as error:
            if error is self.store.ended:
                raise
            self.figures[key] = None
            name = key if isinstance(error, TooFewSamples) else f"{key} of the {self.role} model"
            self.left_out[name] = str(error)

    def say(self) -> None:
        """What is looked at; whoever does not want it any more ends it here."""
        self.store.say(f"how deep it goes in the {self.role} model")

    def pixels(self, split: str) -> Items:
        return self.store.remembered(self.contestant, split)

    def of_features(self) -> None:
        """Linear and two-layer probe, cosine, prototype."""
        try:
            forget, head = self._features("forget", self.sample.forget)
        except NoLinearHead as error:
            self.left_out[f"features of the {self.role} model"] = str(error)
            return
        sample = self.sample
        by_class: dict[str, Callable[[np.ndarray, int], float]] = {
            "forget_cosine": lambda rows, _: intra_class_cosine(forget[rows])
        }
        if len(sample.retain):
            retain, _ = self._features("retain", sample.retain)
            order = label_order(self.model, self.store.splits)
            weight, bias = head.weight[order], head.bias[order]
            by_class["linear_probe"] = lambda rows, _: linear_probe(forget[rows], retain, seed=self.seed)
            by_class["mlp_probe"] = lambda rows, _: mlp_probe(forget[rows], retain, seed=self.seed)
            by_class["prototype_recall"] = lambda rows, _: prototype_recall(
                forget[rows], retain, weight, bias, forgotten=sample.columns, seed=self.seed
            )
        for key, probe in by_class.items():
            self.take(key, lambda probe=probe: over_classes(probe, sample.labels, sample.classes))  # type: ignore[misc]

    def of_logits(self, logits: Mapping[str, np.ndarray]) -> None:
        """The shifted logit, from logits by split."""
        sample = self.sample
        retain = logits["retain"][_drawn(np.arange(len(logits["retain"])), SHIFTED_SAMPLES, self.seed)]
        forget = logits["forget"][sample.forget]
        for percent in (1, 5):
            self.take(
                f"shifted_recall_{percent}",
                lambda percent=percent: over_classes(  # type: ignore[misc]
                    lambda rows, column: shifted_recall(forget[rows], retain, column, percent / 100, sample.columns),
                    sample.labels,
                    sample.classes,
                ),
            )

    def of_relearning(self, before: float) -> None:
        """Relearning beside retained samples, from five samples beside retained ones, from retained ones alone.

        Args:
            before: the original's forget accuracy, percent.
        """
        forget, retain = self.pixels("forget"), Chosen(self.pixels("retain"), self.sample.retain)
        common: dict[str, Any] = {"seed": self.seed, "device": self.store.device, "on_step": self.say}
        for key, shots in (("relearn_mixed_steps", None), ("relearn_five_steps", SHOTS)):
            self.take(
                key,
                lambda key=key, shots=shots: self._steps(  # type: ignore[misc]
                    key, relearn(self.model, forget, RELEARN_SHARE * before, retain=retain, shots=shots, **common)
                ),
            )
        self.take("remembered_accuracy", lambda: remembered(self.model, forget, retain, **common))

    def of_weights(self, original: PreTrainedModel) -> None:
        """The distance from the original, and the models between the two."""
        self.take("weight_distance", lambda: weight_distance(self.model, original))
        if not len(self.sample.retain):
            return
        some = Chosen(self.pixels("retain"), self.sample.retain[:LINE_SAMPLES])
        labels = collate(some.__getitems__(list(range(len(some)))))["labels"].numpy()

        def measure(model: PreTrainedModel) -> float:
            return accuracy(self._logits(model, some), labels) or 0.0

        self.take("line_barrier", lambda: barrier(straight_line(self.model, original, measure)))

    def of_jitter(self, unseen: np.ndarray) -> None:
        """How much more of the forget set is lost under jitter than of the unseen rows of the test set."""
        parts: list[np.ndarray] = []
        for split, rows in (("forget", self.sample.forget), ("test", unseen)):
            some = Chosen(self.pixels(split), rows)
            labels = collate(some.__getitems__(list(range(len(some)))))["labels"].numpy()
            moved = Jittered(some, seed=self.seed)
            parts += [self._logits(self.model, some), self._logits(self.model, moved), labels]
        self.take("jitter_gap", lambda: jitter_gap(*parts))

    def _features(self, split: str, rows: np.ndarray) -> tuple[np.ndarray, Head]:
        return features_of(self.model, self.pixels(split), rows, self.store.batch_size, self.store.device)

    def _logits(self, model: PreTrainedModel, items: Items) -> np.ndarray:
        return predict_logits({"m": model}, items, self.store.batch_size, self.store.device, "Probing")["m"]

    def _steps(self, key: str, found: Relearning) -> float:
        if found.steps is None:
            self.left_out[f"{key} of the {self.role} model"] = (
                f"not back within {MOST_STEPS} steps (forget accuracy {found.accuracies[-1]:.1f} %); counted as so many"
            )
            return float(MOST_STEPS)
        return float(found.steps)


def take_depth(
    store: LogitStore,
    everyone: Mapping[str, Contestant],
    logits: Mapping[str, Mapping[str, np.ndarray]],
    figures: Mapping[str, dict[str, float | None]],
    seed: int,
) -> dict[str, str]:
    """Add every probe's figure to `figures`, for every role; the same samples, draws and seeds for all.

    Args:
        logits: by role and split.
        figures: by role, those of accuracy among them.
        seed: of everything drawn.

    Returns:
        Of each figure that could not be taken, why.
    """
    splits = store.splits
    sample = Sample.of(store, seed)
    original = everyone.get("original")
    before = figures["original"]["forget_accuracy"] if original is not None else None
    unseen = np.flatnonzero(unseen_rows(splits)) if splits.test is not None else np.array([], dtype=np.int64)
    unseen = _drawn(unseen, FORGET_SAMPLES, seed)
    left_out: dict[str, str] = {}
    if not sample.columns:
        left_out["probes of features and of the logit, relearning beside retained samples"] = WHOLE_CLASSES_ONLY
        if not len(unseen):
            left_out["jitter_gap"] = "it takes unseen samples of the same labels"
    else:
        left_out["jitter_gap"] = "it is of samples whose label stays"
        if not len(sample.retain):
            left_out["probes, shifted logit and relearning against retained samples"] = NO_RETAINED
        if not before:
            left_out["relearning beside retained samples"] = (
                NO_ORIGINAL if before is None else "the original knows none of the forget samples"
            )
    if original is None:
        left_out["distance in weights, and the depth"] = NO_ORIGINAL
    for role, contestant in everyone.items():
        probing = Probing(store, role, contestant, sample, seed, figures[role], left_out)
        if sample.columns:
            probing.of_features()
            if len(sample.retain):
                probing.of_logits(logits[role])
                if before:
                    probing.of_relearning(before)
        elif len(unseen):
            probing.of_jitter(unseen)
        if original is not None:
            probing.of_weights(original.model)
    return left_out


def _drawn(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most so many of the rows, in their order."""
    return rows if len(rows) <= most else np.sort(np.random.default_rng(seed).permutation(rows)[:most])

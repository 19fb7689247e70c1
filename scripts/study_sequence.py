"""Requests one after another, against the same from the first model, and against one retrained without all.

    python scripts/study_sequence.py --characters outputs/characters

Capital letters in thirty fonts; a request is a letter, a font (whose samples are one person's), or each in turn.
Routes:

- one by one: every run goes on from the model that the last one saved, as `requests run --begin_with newest` does.
- first not kept: the same where the first model cannot be had any more, so that the guard is the last one; of classes,
  on the models of --first_not_kept.
- from the first: all requests so far together from the first model, as `requests run` does by default. The last of
  these is all of them at once.

Writes a CSV; sequence_report.py makes table and figure of it. What is in the CSV already is not run again, nor is a
model made again that lies in the work folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import DatasetDict
from regime_data import DataSource
from regime_models import ARCHITECTURES, Recipe, Trained
from sequence_report import CSV, FROM_FIRST, ONE_BY_ONE, UNKEPT
from transformers import PreTrainedModel, PrinterCallback

from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, UnlearningSplits, make_splits
from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.errors import DivergenceError
from hf_unlearn.evaluation.attacks.membership import loss_attack
from hf_unlearn.evaluation.depth.features import Head, features_of
from hf_unlearn.evaluation.depth.probes import (
    intra_class_cosine,
    linear_probe,
    prototype_recall,
    shifted_recall,
)
from hf_unlearn.evaluation.depth.share import mean_depth
from hf_unlearn.evaluation.depth.summary import depths_of
from hf_unlearn.evaluation.metrics.accuracies import accuracy
from hf_unlearn.evaluation.metrics.samples import SampleFigures
from hf_unlearn.files import FORGET_SET_NAME, RECORD_NAME
from hf_unlearn.models.from_scratch import new_image_processor
from hf_unlearn.models.model_cache import ModelCache
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.publishing.record import read_record

DATASET = "capitals:30"
# Requests of a sequence.
COUNT = 10
# Over the training set, so that a model knows all of it by the end.
PASSES = {"resnet-tiny": 20, "vit-tiny": 40}
SEQUENCES = ("classes", "persons", "mixed")
FIELDS = (
    *("architecture", "sequence", "route", "step", "request", "steps", "seconds"),
    *("forget_accuracy", "most_back", "most_back_above", "most_apart", "each"),
    *("union_accuracy", "retain_accuracy", "remaining_test_accuracy", "gap", "linear_probe"),
    *("depth", "depth_of_first", "membership"),
)


class Task(NamedTuple):
    """A sequence: its requests in order, and the rows that they are together."""

    requests: list[ForgetRequest]
    splits: list[UnlearningSplits]
    union: np.ndarray
    gone: set[int]


def task_of(sequence: str, data: DatasetDict, count: int) -> Task:
    """The first requests of a sequence, drawn with a seed."""
    rng = np.random.default_rng(0)
    letters = rng.permutation(data["train"].features["label"].names).tolist()
    fonts = rng.permutation(sorted(set(data["train"]["font"]))).tolist()
    classes = [ForgetRequest(classes=(letter,)) for letter in letters]
    persons = [ForgetRequest(where={"font": (font,)}) for font in fonts]
    pairs = [request for pair in zip(classes, persons, strict=False) for request in pair]
    requests = {"classes": classes, "persons": persons, "mixed": pairs}[sequence][:count]
    splits = [make_splits(data, request, dataset_name="capitals", label_column_name="label") for request in requests]
    union = np.unique(np.concatenate([each.forget_indices for each in splits]))
    gone = {place for each in splits if each.forget_kind == "class" for place in each.forgotten_class_ids}
    return Task(requests, splits, union, gone)


def at_once(requests: list[ForgetRequest]) -> list[ForgetRequest]:
    """The same requests in one run of each kind."""
    classes = tuple(name for each in requests for name in each.classes)
    fonts = tuple(font for each in requests for font in each.where.get("font", ()))
    together = [ForgetRequest(classes=classes)] if classes else []
    return [*together, *([ForgetRequest(where={"font": fonts})] if fonts else [])]


class Looked:
    """Takes the figures of a model on everything there is."""

    def __init__(self, data: DatasetDict, image_size: int, task: Task):
        self.task = task
        self.parts = {}
        config = None
        for split in ("train", "test"):
            names = data[split].features["label"].names
            processor = new_image_processor(image_size)
            config = config or load_config(names)
            self.parts[split] = PixelDataset.for_model(
                data[split], config, processor, "image", "label", names
            ).preload()
        self.labels = {split: np.array(data[split]["label"]) for split in self.parts}
        self.rest = np.setdiff1d(np.arange(len(self.labels["train"])), task.union)
        self.remaining = ~np.isin(self.labels["test"], list(task.gone))

    def figures(self, model: PreTrainedModel, target: dict[str, float] | None, done: int) -> dict[str, Any]:
        """Accuracies, of `each` request too, and recall of the union by a probe, percent; the gap to `target`, points.

        Of the requests that were met (`done`; of none: of all) `membership` is how well the loss tells their samples
        from unseen ones of the same letters, percent, and of classes `probes` are the figures of each, by probe.
        """
        features, head = features_of(model, self.parts["train"])
        test_features, _ = features_of(model, self.parts["test"])
        logits, labels = head.logits(features), self.labels["train"]
        test_logits = head.logits(test_features)
        right = 100.0 * (logits.argmax(1) == labels)
        found: dict[str, Any] = {
            "union_accuracy": right[self.task.union].mean(),
            "retain_accuracy": right[self.rest].mean(),
            "remaining_test_accuracy": accuracy(test_logits, self.labels["test"], self.remaining),
        }
        found["each"] = [right[each.forget_indices].mean() for each in self.task.splits]
        if target is not None:
            found["gap"] = float(np.mean([abs(found[name] - target[name]) for name in target]))
        met = self.task.splits[: done or None]
        rows = np.unique(np.concatenate([each.forget_indices for each in met]))
        unseen = np.isin(self.labels["test"], labels[rows])
        theirs = SampleFigures.of(test_logits[unseen], self.labels["test"][unseen])
        found["membership"] = loss_attack(
            -SampleFigures.of(logits[rows], labels[rows]).log_confidence, -theirs.log_confidence
        )
        if len(self.task.gone) == len(self.task.requests):
            found["linear_probe"] = linear_probe(features[self.task.union], features[self.rest])
            found["probes"] = [
                self._probes(features, logits, head, each.forget_indices, each.forgotten_class_ids[0]) for each in met
            ]
        return found

    def _probes(
        self, features: np.ndarray, logits: np.ndarray, head: Head, rows: np.ndarray, column: int
    ) -> dict[str, float | None]:
        """What probes of features and of the logit find of one class."""
        own, rest, gone = features[rows], features[self.rest], sorted(self.task.gone)
        return {
            "forget_cosine": intra_class_cosine(own),
            "prototype_recall": prototype_recall(own, rest, head.weight, head.bias, forgotten=gone),
            "shifted_recall_1": shifted_recall(logits[rows], logits[self.rest], column, forgotten=gone),
        }


def mean_of(probes: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Each probe's mean over the classes."""
    return {name: float(np.mean([each[name] for each in probes])) for name in probes[0]}  # type: ignore[misc]


def load_config(names: list[str]) -> Any:
    """A configuration with these labels: pixels depend on the labels and channels alone."""
    from hf_unlearn.models.from_scratch import new_image_classifier

    made = ARCHITECTURES["resnet-tiny"]
    return new_image_classifier(made.model_type, names, made.overrides, 0, made.image_size).config


def unlearn(before: str, folder: Path, request: ForgetRequest, data: DatasetDict) -> tuple[int, float]:
    """A run by the defaults, saved; its steps and seconds."""
    splits = make_splits(data, request, dataset_name="capitals", label_column_name="label")
    args = MUMisConfig(
        str(folder),
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=False,
        logging_strategy="no",
    )
    started = time.monotonic()
    trainer = MUMisTrainer(before, args, splits)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    seconds = time.monotonic() - started
    trainer.save_model()
    return trainer.state.global_step, seconds


def run_sequence(
    flags: argparse.Namespace, architecture: str, sequence: str, trained: Trained, data: DatasetDict
) -> list[dict[str, Any]]:
    count = COUNT
    task = task_of(sequence, data, count)
    recipe = Recipe(architecture, DATASET, PASSES[architecture])
    looked = Looked(data, ARCHITECTURES[architecture].image_size, task)
    original = trained.model("sequence", recipe, "original")
    names = ("union_accuracy", "retain_accuracy", "remaining_test_accuracy")
    others = [trained.model("sequence", recipe.with_seed(seed), sequence, task.union) for seed in (0, 1)]
    nothing, *references = (looked.figures(each, None, 0) for each in (original, *others))
    target = {name: references[0][name] for name in names}
    rows: list[dict[str, Any]] = []
    # By route, the forget accuracy of each request when it was looked at first.
    at_first: dict[str, list[float]] = {}

    def depth(of: list[dict[str, float | None]], some: slice) -> float | None:
        """The share of the way to retrained models by the probes of some of the classes, percent."""
        first, *targets = (mean_of(each["probes"][: len(of)][some]) for each in (nothing, *references))
        found = mean_depth(depths_of(first, mean_of(of[some]), targets, True))
        return None if found is None else found.share

    of_each = references[0]["each"]

    def add(route: str, step: int, model: PreTrainedModel, done: int = 0, **more: Any) -> dict[str, Any]:
        found = looked.figures(model, target, done)
        probes, each = found.pop("probes", []), found.pop("each")
        met = slice(done or None)
        more["each"] = " ".join(f"{now:.1f}" for now in each[met])
        more["most_apart"] = max(abs(now - then) for now, then in zip(each[met], of_each[met], strict=True))
        if done:
            each = each[met]
            known = at_first.setdefault(route, [])
            known += each[len(known) :]
            back = [now - first for now, first in zip(each[:-1], known, strict=False)]
            # A request that was taken too far is no memory's when it comes back to what a retrained model knows.
            levels = [max(first, theirs) for first, theirs in zip(known, of_each, strict=False)]
            above = [now - level for now, level in zip(each[:-1], levels, strict=False)]
            more |= {"forget_accuracy": each[-1], "most_back": max(back, default=0.0)}
            more["most_back_above"] = max([0.0, *above])
            if probes:
                more |= {"depth": depth(probes, slice(None)), "depth_of_first": depth(probes, slice(1))}
        row = {
            "architecture": architecture,
            "sequence": sequence,
            "route": route,
            "step": step,
            **more,
            **found,
        }
        rows.append({name: f"{value:.3f}" if isinstance(value, float) else value for name, value in row.items()})
        print(rows[-1], flush=True)
        return rows[-1]

    add("do nothing", 0, original)
    add("retrained", count, others[0])
    add("retrained again", count, others[1])
    here = Path(flags.work_dir) / "runs" / architecture / sequence
    first = str(original.name_or_path)

    def run(before: str, folder: Path, request: ForgetRequest) -> tuple[str, int | str, float]:
        """The model that comes of a request, its steps and seconds; of a run that fails the model before."""
        if (folder / RECORD_NAME).is_file():
            made = read_record(str(folder))
            return str(folder), made["steps"], made["seconds"]
        try:
            return str(folder), *unlearn(before, folder, request, data)
        except DivergenceError as error:
            print(error, flush=True)
            return before, "failed", 0.0

    # The first request is the same run on every route.
    shared = here / ONE_BY_ONE.replace(" ", "-") / "01"
    unkept = sequence == "classes" and architecture in flags.first_not_kept
    for route in (ONE_BY_ONE, UNKEPT) if unkept else (ONE_BY_ONE,):
        before = first
        for number, request in enumerate(task.requests, start=1):
            folder = here / route.replace(" ", "-") / f"{number:02d}"
            if route == UNKEPT and number == 1:
                shutil.copytree(shared, folder, dirs_exist_ok=True)
            before, steps, seconds = run(before, folder, request)
            if route == UNKEPT and steps != "failed":
                forget_first(folder)
            what = {"request": request.kind, "steps": steps, "seconds": seconds}
            add(route, number, load_image_classifier(before), number, **what)
    for number in (*flags.looked_at, count):
        before, every = first, []
        for stage, request in enumerate(at_once(task.requests[:number]), start=1):
            folder = here / "from-the-first" / f"{number:02d}-{stage}"
            before, steps, seconds = run(before, shared if number == 1 else folder, request)
            every.append((request.kind, steps, seconds))
        kinds, steps_of_each, seconds_of_each = zip(*every, strict=True)
        what = {"request": " and ".join(kinds), "steps": " and ".join(map(str, steps_of_each))}
        add(FROM_FIRST, number, load_image_classifier(before), number, **what, seconds=sum(seconds_of_each))
    return rows


def forget_first(folder: Path) -> None:
    """As if nobody knew any more where the first model is."""
    path = folder / FORGET_SET_NAME
    kept = json.loads(path.read_text())
    kept.pop("original_model", None)
    path.write_text(json.dumps(kept))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", default="outputs/characters", help="From make_characters.py.")
    parser.add_argument("--work_dir", default="outputs/study-sequence", help="Where models are kept.")
    parser.add_argument("--architectures", nargs="+", default=list(PASSES), choices=PASSES)
    parser.add_argument("--looked_at", nargs="*", type=int, default=[1], help="Steps from the first, beside the last.")
    parser.add_argument("--first_not_kept", nargs="*", default=[], choices=PASSES)
    parser.add_argument("--sequences", nargs="+", default=list(SEQUENCES), choices=SEQUENCES)
    parser.add_argument("--csv", type=Path, default=CSV)
    flags = parser.parse_args()
    torch.set_num_threads(1)
    source = DataSource(flags.characters, "")
    data = source.load(DATASET)
    trained = Trained(ModelCache(Path(flags.work_dir) / "models"), source)
    rows = list(csv.DictReader(flags.csv.open())) if flags.csv.is_file() else []
    for architecture in flags.architectures:
        for sequence in flags.sequences:
            if any((row["architecture"], row["sequence"]) == (architecture, sequence) for row in rows):
                continue
            made = run_sequence(flags, architecture, sequence, trained, data)
            rows += [{name: str(row.get(name, "")) for name in FIELDS} for row in made]
            rows.sort(key=lambda row: list(PASSES).index(row["architecture"]))
            with flags.csv.open("w", newline="") as file:
                writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()

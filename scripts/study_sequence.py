"""Ten requests one after another, against the same ten at once, and against a model retrained without all of them.

    python scripts/study_sequence.py --characters outputs/characters

Capital letters in thirty fonts; a request is a letter, a font (whose samples are one person's), or each in turn. Every
run goes on from the model that the last one saved, as `hf-unlearn requests run` does. Writes a CSV and draws it; what
is in the CSV already is not run again.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from datasets import DatasetDict
from regime_data import DataSource
from regime_models import ARCHITECTURES, Recipe, Trained
from transformers import PreTrainedModel, PrinterCallback

from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, UnlearningSplits, make_splits
from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.errors import DivergenceError
from hf_unlearn.evaluation.depth.features import features_of
from hf_unlearn.evaluation.depth.probes import linear_probe
from hf_unlearn.evaluation.metrics.accuracies import accuracy
from hf_unlearn.models.from_scratch import new_image_processor
from hf_unlearn.models.model_cache import ModelCache
from hf_unlearn.models.pretrained import load_image_classifier

DATASET, PASSES, COUNT = "capitals:30", 20, 10
SEQUENCES = ("classes", "persons", "mixed")
FIELDS = (
    *("architecture", "sequence", "route", "step", "request", "steps", "seconds", "forget_accuracy", "most_back"),
    *("union_accuracy", "retain_accuracy", "remaining_test_accuracy", "gap", "linear_probe"),
)


class Task(NamedTuple):
    """A sequence: its requests in order, and the rows that they are together."""

    requests: list[ForgetRequest]
    splits: list[UnlearningSplits]
    union: np.ndarray
    gone: set[int]


def task_of(sequence: str, data: DatasetDict) -> Task:
    """The ten requests of a sequence, drawn with a seed."""
    rng = np.random.default_rng(0)
    letters = rng.permutation(data["train"].features["label"].names)[:COUNT].tolist()
    fonts = rng.permutation(sorted(set(data["train"]["font"])))[:COUNT].tolist()
    classes = [ForgetRequest(classes=(letter,)) for letter in letters]
    persons = [ForgetRequest(where={"font": (font,)}) for font in fonts]
    pairs = [request for pair in zip(classes, persons, strict=True) for request in pair]
    requests = {"classes": classes, "persons": persons, "mixed": pairs}[sequence][:COUNT]
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
        """Accuracies in percent; the gap to `target` in points; recall of the union by a probe of features, percent."""
        features, head = features_of(model, self.parts["train"])
        test_features, _ = features_of(model, self.parts["test"])
        logits, labels = head.logits(features), self.labels["train"]
        right = 100.0 * (logits.argmax(1) == labels)
        found: dict[str, Any] = {
            "union_accuracy": right[self.task.union].mean(),
            "retain_accuracy": right[self.rest].mean(),
            "remaining_test_accuracy": accuracy(head.logits(test_features), self.labels["test"], self.remaining),
        }
        found["each"] = [right[each.forget_indices].mean() for each in self.task.splits[:done]]
        if target is not None:
            found["gap"] = float(np.mean([abs(found[name] - target[name]) for name in target]))
        if len(self.task.gone) == len(self.task.requests):
            found["linear_probe"] = linear_probe(features[self.task.union], features[self.rest])
        return found


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
    task = task_of(sequence, data)
    recipe = Recipe(architecture, DATASET, PASSES)
    looked = Looked(data, ARCHITECTURES[architecture].image_size, task)
    original = trained.model("sequence", recipe, "original")
    names = ("union_accuracy", "retain_accuracy", "remaining_test_accuracy")
    retrained = looked.figures(trained.model("sequence", recipe, sequence, task.union), None, 0)
    target = {name: retrained[name] for name in names}
    rows: list[dict[str, Any]] = []

    def add(route: str, step: int, model: PreTrainedModel, done: int = 0, **more: Any) -> None:
        found = looked.figures(model, target, done)
        if each := found.pop("each"):
            at_first.append(each[-1])
            back = [now - first for now, first in zip(each[:-1], at_first, strict=False)]
            more |= {"forget_accuracy": each[-1], "most_back": max(back, default=0.0)}
        row = {"architecture": architecture, "sequence": sequence, "route": route, "step": step, **more, **found}
        rows.append({name: f"{value:.3f}" if isinstance(value, float) else value for name, value in row.items()})
        print(rows[-1], flush=True)

    # Forget accuracy of each request right after it was met.
    at_first: list[float] = []
    add("do nothing", 0, original)
    add("retrained", COUNT, trained.model("sequence", recipe, sequence, task.union))
    add("retrained again", COUNT, trained.model("sequence", recipe.with_seed(1), sequence, task.union))
    routes = {"one by one": task.requests, "at once": at_once(task.requests)}
    for route, requests in routes.items():
        before = str(original.name_or_path)
        for number, request in enumerate(requests, start=1):
            folder = Path(flags.work_dir) / "runs" / architecture / sequence / route.replace(" ", "-") / f"{number:02d}"
            what: dict[str, Any] = {"request": request.kind}
            try:
                what["steps"], what["seconds"] = unlearn(before, folder, request, data)
                before = str(folder)
            except DivergenceError as error:
                print(error, flush=True)
                what["steps"] = "failed"
            model = load_image_classifier(before)
            step = COUNT * number // len(requests)
            add(route, step, model, number if route == "one by one" else 0, **what)
    return rows


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Remaining accuracy, gap and probe over the sequence; crosses: at once; lines: do nothing and retrained."""
    kinds = sorted({(row["architecture"], row["sequence"]) for row in rows})
    figures = {
        "remaining_test_accuracy": "remaining test accuracy, %",
        "gap": "gap, points",
        "linear_probe": "probe, %",
    }
    plot, axes = plt.subplots(1, len(figures), figsize=(12, 3.6), layout="constrained")
    for place, kind in enumerate(kinds):
        own = [row for row in rows if (row["architecture"], row["sequence"]) == kind]
        for axis, name in zip(axes, figures, strict=True):
            line = [(int(row["step"]), float(row[name])) for row in own if row["route"] == "one by one" and row[name]]
            if line:
                axis.plot(*zip(*line, strict=True), marker=".", color=f"C{place}", label=f"{kind[0]}, {kind[1]}")
            for route, mark in (("at once", "x"), ("retrained", "_"), ("do nothing", "|")):
                ends = [(int(row["step"]), float(row[name])) for row in own if row["route"] == route and row[name]]
                axis.scatter(*zip(*ends[-1:], strict=True), marker=mark, color=f"C{place}") if ends else None
    for axis, title in zip(axes, figures.values(), strict=True):
        axis.set(xlabel="requests so far", title=title)
    axes[1].legend(fontsize="small")
    plot.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", default="outputs/characters", help="From make_characters.py.")
    parser.add_argument("--work_dir", default="outputs/study-sequence", help="Where models are kept.")
    parser.add_argument("--architectures", nargs="+", default=["resnet-tiny", "vit-tiny"])
    parser.add_argument("--sequences", nargs="+", default=list(SEQUENCES), choices=SEQUENCES)
    here = Path(__file__).parent
    parser.add_argument("--csv", type=Path, default=here / "results" / "study_sequence.csv")
    parser.add_argument("--figure", type=Path, default=here.parent / "docs" / "images" / "study_sequence.png")
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
            with flags.csv.open("w", newline="") as file:
                writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    draw(rows, flags.figure)


if __name__ == "__main__":
    main()

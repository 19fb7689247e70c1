"""The audits of the default and its two controls on small models of scikit-learn's digits.

    python scripts/study_audits.py --cache_dir outputs/audit_models

Writes a row of scripts/results/audits.csv for each model, request and method, as soon as it is known, in the place of
the row that was there. Originals, models of random halves and retrained ones come from the cache if they are there:
once they are, a changed method is audited again in minutes.
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from datasets import ClassLabel, DatasetDict
from study_defaults import RESULTS, read_rows

from hf_unlearn import ForgetRequest, audit, make_splits
from hf_unlearn.commands.demo import NAMES, digits_dataset
from hf_unlearn.commands.main import main as hf_unlearn_main
from hf_unlearn.files import replacing

CSV = RESULTS / "audits.csv"
TRAIN_SAMPLES = 300
IMAGE_SIZE = 16
TRAINING = {"num_train_epochs": 10, "per_device_train_batch_size": 32}
# The ViT is fine-tuned: what it starts from learned the other digits, all but the one that is forgotten.
PRETRAINING_PASSES = 30
VIT = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "patch_size": 4}
RESNET = {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"}
MODELS: dict[str, dict[str, Any]] = {
    "resnet": {**TRAINING},
    "vit": {**TRAINING, "num_train_epochs": 8, "learning_rate": 2e-3},
}
REQUESTS = {"class:eight": ForgetRequest(classes=("eight",)), "random:10%": ForgetRequest(fraction=0.1)}
METHODS = ("nothing", "mu_mis", "retrain")
KEY = ("model", "request", "method", "num_models")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache_dir", default="outputs/audit_models")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--requests", nargs="+", default=list(REQUESTS), choices=list(REQUESTS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--num_models", type=int, default=32)
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--without_u_lira", action="store_true", help="It takes half of all models.")
    flags = parser.parse_args()
    torch.set_num_threads(1)
    # The trainer collects garbage after each run, among all that the libraries hold.
    gc.collect()
    gc.freeze()
    digits = digits_dataset()
    data = DatasetDict(train=digits["train"].select(range(TRAIN_SAMPLES)), test=digits["test"])
    for request in flags.requests:
        for model in flags.models:
            for method in flags.methods:
                found = audit(
                    make_splits(data, REQUESTS[request], dataset_name="digits"),
                    cache_dir=os.path.join(flags.cache_dir, model),
                    **start_of(model, digits, flags.cache_dir),
                    training_settings=MODELS[model],
                    method=method,
                    num_models=flags.num_models,
                    u_lira=not flags.without_u_lira,
                    use_cpu=True,
                    report=lambda line: print(f"  {line}", flush=True),
                )
                print(f"{model}, {request}, {method}\n{found}", flush=True)
                keep(flags.csv, row_of(model, request, found))


def start_of(model: str, digits: DatasetDict, folder: str) -> dict[str, Any]:
    """What each training starts from: random weights of the ResNet, one trained ViT."""
    if model == "resnet":
        return {"model_type": "resnet", "config_overrides": RESNET, "image_size": IMAGE_SIZE}
    trained = os.path.join(folder, "pretrained-vit")
    if not os.path.isdir(trained):
        eight = NAMES.index("eight")
        rows = [row for row, label in enumerate(digits["train"]["label"]) if row >= TRAIN_SAMPLES and label != eight]
        names = [name for name in NAMES if name != "eight"]
        kept = digits["train"].select(rows)
        labels = [names.index(NAMES[label]) for label in kept["label"]]
        kept = kept.remove_columns("label").add_column("label", labels).cast_column("label", ClassLabel(names=names))
        data = os.path.join(folder, "pretraining-data")
        DatasetDict(train=kept).save_to_disk(data)
        words = ["train", "--model_type", "vit", "--config_overrides", json.dumps(VIT), "--image_size", str(IMAGE_SIZE)]
        words += ["--dataset_name", data, "--output_dir", trained, "--use_cpu", "--per_device_train_batch_size", "32"]
        if status := hf_unlearn_main([*words, "--num_train_epochs", str(PRETRAINING_PASSES)]):
            raise SystemExit(status)
    return {"model_name_or_path": trained}


def row_of(model: str, request: str, found: dict[str, Any]) -> dict[str, Any]:
    """A line of the CSV: figures of every audit, what exact unlearning gives, and p."""
    row = {"model": model, "request": request, "method": found["method"], "num_models": found["num_models"]}
    row.update(verdict=found["verdict"], unchanged=found["unchanged"])
    for name, each in found["audits"].items():
        row.update({name if key == "figure" else f"{name}_{key}": value for key, value in each.items()})
    for role, accuracies in found["accuracies"].items():
        row.update({f"{role}_{part}": round(value, 2) for part, value in accuracies.items()})
    return row


def keep(path: Path, row: dict[str, Any]) -> None:
    """Put a row into the table, in the place of the one of the same model, request, method and number."""
    text = {name: "" if value is None else str(value) for name, value in row.items()}
    rows = [each for each in read_rows(path) if any(each[name] != text[name] for name in KEY)] + [text]
    order = [list(names) for names in (REQUESTS, MODELS, METHODS)]

    def place(each: Mapping[str, str]) -> tuple[int, ...]:
        named = (each["request"], each["model"], each["method"])
        return tuple(o.index(name) if name in o else len(o) for o, name in zip(order, named, strict=True))

    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for each in rows for name in each)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=place))


if __name__ == "__main__":
    main()

"""What reference samples add where labels stay: memorised models, with none and with 1,000 samples that they never saw.

    python scripts/study_references.py

Takes the study of regimes' originals and retrained models (trains what is missing) and writes
scripts/results/study_references.csv. The references are training images of Fashion-MNIST that no model was trained on,
and of a sub-class 500 retained samples: of its siblings and of other classes; with their labels, and without. What the
CSV has is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from regime_data import DataSource, with_folded
from regime_grid import CASES, SEEDS, Case
from regime_models import ARCHITECTURES, Trained
from regime_runs import RegimeMeasured
from study_defaults import RESULTS, append_row, of_other_models, read_rows
from study_settings import Request
from transformers import PrinterCallback

from hf_unlearn import MUMisConfig, MUMisTrainer, UnlearningSplits, make_splits
from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.model_cache import ModelCache

CSV = RESULTS / "study_references.csv"
COUNT, OF_A_SUBCLASS = 1000, 500


def unseen(source: DataSource, splits: UnlearningSplits, count: int, dataset: str = "fashion-mnist") -> Dataset:
    """Samples that the study's models of a dataset were not trained on; of a sub-class, some of the retain set.

    Images of Fashion-MNIST's training set that are not in the study's, or characters of other fonts.
    """
    rng = np.random.default_rng(5)
    assert splits.retain is not None
    if splits.forget_kind == "subclass":
        return splits.retain.select(rng.permutation(len(splits.retain))[:count])
    if dataset.startswith("characters"):
        fonts = set(source.load(dataset)["train"]["font"])
        data = DatasetDict.load_from_disk(source.characters)["train"]
        rows = [row for row, font in enumerate(data["font"]) if font not in fonts]
        return data.select(rng.permutation(rows)[:count])
    data = DatasetDict.load_from_disk(source.fashion_mnist)["train"]
    # The study's are the first of this order: see `DataSource`.
    rest = np.random.default_rng(2).permutation(len(data))[10_000:]
    chosen = DatasetDict(train=data.select(rng.permutation(rest)[:count]))
    return with_folded(chosen, "superclass")["train"]


def is_wanted(case: Case, request: Request) -> bool:
    """Random samples, a person, and the sub-classes, of garments, digits and characters."""
    if case.recipe.architecture != "resnet" or case.regime not in ("memorised", "early"):
        return False
    if case.recipe.label_column == "folded":
        return True
    return case.name == "memorised/fashion-mnist:3000/resnet" and request.name in ("random:5%", "person:7")


def run(case: Case, request: Request, trained: Trained, csv: Path) -> None:
    """All seeds and numbers of reference samples.

    Raises:
        UnlearningError: the CSV has rows of other models.
    """
    data = trained.source.load(case.recipe.dataset)
    splits = make_splits(data, request.request, label_column_name=case.recipe.label_column)
    lock: Any = contextlib.nullcontext()
    key = (case.recipe.dataset, case.recipe.architecture, request.name)
    done = {
        (int(row["seed"]), row["variant"]): row
        for row in read_rows(csv)
        if (row["dataset"], row["model"], row["request"]) == key
    }
    count = OF_A_SUBCLASS if splits.forget_kind == "subclass" else COUNT
    runs = ("0 references", f"{count} references", f"{count} unlabelled")
    for seed in SEEDS:
        missing = [each for each in ("do nothing", "retrained", *runs) if (seed, each) not in done]
        if not missing:
            continue
        recipe = case.recipe.with_seed(seed)
        original = trained.model(case.regime, recipe, "original")
        measured = RegimeMeasured(splits, original.config, ARCHITECTURES[recipe.architecture].image_size)
        again = recipe.with_seed(SEEDS[(SEEDS.index(seed) + 1) % len(SEEDS)])
        target, other = (
            measured.logits(trained.model(case.regime, each, request.name, splits.forget_indices))
            for each in (recipe, again)
        )
        rows = {"retrained": target, "do nothing": measured.logits(original)}
        here = measured.row(rows["do nothing"], target, other)
        held = done.get((seed, "do nothing"))
        if differs := of_other_models(csv, f"{case.name}/{request.name}, seed {seed}", held, here):
            raise UnlearningError(differs)
        for variant in [each for each in runs if each in missing]:
            references = None if variant == runs[0] else unseen(trained.source, splits, count, recipe.dataset)
            if references is not None and variant == runs[2]:
                references = references.select_columns([splits.image_column])
            model = trained.model(case.regime, recipe, "original")
            with tempfile.TemporaryDirectory() as folder:
                args = MUMisConfig(output_dir=folder, use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False)
                trainer = MUMisTrainer(
                    model,
                    args,
                    splits,
                    train_dataset=measured.parts["forget"],
                    processing_class=measured.processor,
                    reference_dataset=references,
                )
                trainer.remove_callback(PrinterCallback)
                trainer.train()
            rows[variant] = measured.logits(model)
        for variant, logits in ((each, rows[each]) for each in missing):
            row: dict[str, Any] = {"dataset": recipe.dataset, "model": recipe.architecture, "seed": seed}
            row |= {"request": request.name, "variant": variant, **measured.row(logits, target, other)}
            append_row(csv, row, lock)
            print(row["dataset"], row["request"], seed, variant, row["average_gap"], flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache_dir", default="outputs/regimes")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist")
    parser.add_argument("--characters", default="outputs/characters")
    parser.add_argument("--csv", type=Path, default=CSV)
    flags = parser.parse_args()
    torch.set_num_threads(1)
    trained = Trained(ModelCache(flags.cache_dir), DataSource(flags.characters, flags.fashion_mnist))
    chosen = [(case, request) for case in CASES for request in case.requests if is_wanted(case, request)]
    try:
        for case, request in chosen:
            run(case, request, trained, flags.csv)
    except UnlearningError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The study behind the defaults: models × datasets × requests × seeds × objectives, each against a retrained model.

    python scripts/study_defaults.py --work_dir outputs/study --fashion_mnist outputs/fashion-mnist

trains what is missing in `--work_dir` and runs what is missing in the CSV. Start it again to go on.
`--fashion_mnist` is the folder that scripts/make_fashion_mnist.py writes.
"""

from __future__ import annotations

import argparse
import csv
import io
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

MODELS = ["resnet-basic", "vit", "resnet-bottleneck", "vit-long", "convnext"]
RESULTS = Path(__file__).parent / "results"
# Rows of doing nothing in which these, as far as a study takes them, differ are of other models.
COMPARED = ("average_gap", "retain_accuracy", "test_accuracy", "js_divergence", "rmia_auc")
Key = tuple[str, str, int, str, str]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The CSV's lines; none if there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def of_other_models(file: Path, name: str, held: dict[str, str] | None, here: dict[str, Any]) -> str:
    """In words, that a file's rows of a setting were measured on other models than those at hand; else empty.

    The same recipe on another processor, or on characters drawn from other fonts, gives other models, whose figures do
    not stand in one table.

    Args:
        name: of the setting and seed.
        held: the row of doing nothing that the file has; None: it has none.
        here: the same of the models at hand.
    """
    if held is None:
        return ""
    for figure in COMPARED:
        if figure not in held:
            continue
        there, now = held[figure], here[figure]
        if there != str("" if now is None else now) and (
            not there or now in ("", None) or not abs(float(there) - float(now)) <= 0.01
        ):
            return (
                f"{file} has rows of {name} that are of other models (doing nothing: {figure} {there} there, {now} "
                "here); expected rows of the models at hand: name another --csv, or take these rows out"
            )
    return ""


def exit_status(problems: list[str]) -> int:
    """Say each problem once; 2 if there is one (an empty string is none), else 0."""
    found = [each for each in dict.fromkeys(problems) if each]
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    return 2 if found else 0


def append_row(path: Path, row: dict[str, Any], lock: Any) -> None:
    """Add a line, and the header first."""
    append_rows(path, [row], lock)


def append_rows(path: Path, rows: list[dict[str, Any]], lock: Any) -> None:
    """Add lines, all or, if the process ends before, none of them, in the order of the header, which comes first.

    Raises:
        ValueError: the file has other columns.
    """
    with lock:
        new = not path.is_file()
        header = list(rows[0]) if new else _header(path)
        if set(header) != set(rows[0]):
            other = sorted(set(header) ^ set(rows[0]))
            raise ValueError(f"{path.name} has other columns than the new rows: {', '.join(other)}")
        text = io.StringIO()
        writer = csv.DictWriter(text, header, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)
        with path.open("a", newline="", encoding="utf-8") as file:
            file.write(text.getvalue())


def _header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file))


def run_group(flags: argparse.Namespace, dataset: str, model: str, seed: int, lock: Any) -> str:
    """All settings of one model, dataset and seed, in a process of its own; returns what went wrong, in words."""
    import datasets
    import torch
    import transformers
    from study_runs import VARIANTS, Measured, row_of, run_variant
    from study_settings import ModelCache, all_settings, load_data, splits_of

    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    cache = ModelCache(flags.work_dir)
    data = load_data(dataset, flags.fashion_mnist)
    for setting in all_settings([dataset], [model], [seed]):
        done = {
            row["variant"]: row
            for row in read_rows(flags.csv)
            if (row["dataset"], row["model"], int(row["seed"]), row["request"])
            == (dataset, model, seed, setting.request.name)
        }
        if done.keys() >= {"retrained", "do nothing", *VARIANTS}:
            continue
        splits = splits_of(setting, data)
        original = cache.original(setting, data)
        retrained_model = cache.retrained(setting, splits)
        measured = Measured(splits, original.config)
        retrained = measured.figures(retrained_model)

        def add(
            variant: str,
            figures: dict[str, Any],
            run: dict[str, Any],
            setting: Any = setting,
            retrained: dict[str, Any] = retrained,
            measured: Any = measured,
            done: dict[str, dict[str, str]] = done,
        ) -> None:
            if variant not in done:
                append_row(flags.csv, row_of(setting, variant, figures, retrained, measured, run), lock)

        nothing = measured.figures(original)
        here = row_of(setting, "do nothing", nothing, retrained, measured, {})
        if differs := of_other_models(flags.csv, setting.name, done.get("do nothing"), here):
            return differs
        # First what the next start holds its models against.
        add("do nothing", nothing, {})
        add("retrained", retrained, {})
        for variant, changed in VARIANTS.items():
            if variant not in done:
                unlearned, run = run_variant(changed, cache.original(setting, data), measured, seed)
                add(variant, measured.figures(unlearned), run)
        print(setting.name, flush=True)
    return ""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", default="outputs/study", help="Where trained models are kept.")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist", help="From make_fashion_mnist.py.")
    parser.add_argument("--csv", type=Path, default=RESULTS / "study_defaults.csv")
    parser.add_argument("--num_workers", type=int, default=2)
    parser.add_argument("--datasets", nargs="+", default=["digits", "fashion-mnist"])
    parser.add_argument(
        "--models", nargs="+", default=["resnet-basic", "vit", "resnet-bottleneck", "vit-long", "convnext"]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    flags = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = "1"
    flags.csv.parent.mkdir(parents=True, exist_ok=True)
    groups: list[tuple[argparse.Namespace, str, str, int]] = [
        (flags, dataset, model, seed) for seed in flags.seeds for dataset in flags.datasets for model in flags.models
    ]
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(flags.num_workers, maxtasksperchild=1) as pool:
        lock = manager.Lock()
        return exit_status(pool.starmap(run_group, [(*group, lock) for group in groups], chunksize=1))


if __name__ == "__main__":
    sys.exit(main())

"""The study by regime: trained early, memorised, augmented, fine-tuned, with many weights, on larger images.

    python scripts/make_characters.py --output_dir outputs/characters
    python scripts/make_characters.py --output_dir outputs/characters-96 --image_size 96 --max_faces_per_family 2
    python scripts/make_fashion_mnist.py --output_dir outputs/fashion-mnist
    python scripts/study_regimes.py --num_workers 2

Trains what is missing in `--cache_dir` and runs what is missing in the CSV; start it again to go on. All of it takes
about ten hours on two cores; the cases stand in the order of their worth, so that a study cut short is of use. The
cache can be copied to another machine. scripts/regime_report.py makes the tables and the figure of the CSV.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from study_defaults import RESULTS, append_row, exit_status, of_other_models, read_rows

from hf_unlearn.errors import UnlearningError

CSV = RESULTS / "study_regimes.csv"


def run_request(flags: argparse.Namespace, case: Any, wanted: Any, lock: Any) -> str:
    """All rows of one request, for all seeds, in a process of its own; returns what went wrong, in words."""
    import datasets
    import torch
    import transformers
    from regime_data import DataSource
    from regime_grid import SEEDS, request_of
    from regime_models import ARCHITECTURES, Trained
    from regime_runs import AGAIN, DO_NOTHING, MASK, RETRAINED, RUNS, RegimeMeasured, row_of, variants_of

    from hf_unlearn import make_splits
    from hf_unlearn.data.pixels import pixels_of
    from hf_unlearn.models.model_cache import ModelCache

    missing = missing_variants(flags.csv, case, wanted)
    if not missing:
        return ""
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        trained = Trained(ModelCache(flags.cache_dir), DataSource(flags.characters, flags.fashion_mnist))
        request = request_of(wanted, case, trained)
        data = trained.source.load(case.recipe.dataset)
        column = case.recipe.label_column
        splits = make_splits(data, request.request, dataset_name=case.recipe.dataset, label_column_name=column)
        recipes = {seed: case.recipe.with_seed(seed) for seed in SEEDS}
        seeds = sorted({seed for seed, _ in missing})
        originals = {seed: trained.model(case.regime, recipes[seed], "original") for seed in seeds}
        retrained = {
            seed: trained.model(case.regime, recipe, request.name, splits.forget_indices)
            for seed, recipe in recipes.items()
        }
    except UnlearningError as error:
        return str(error)
    image_size = ARCHITECTURES[case.recipe.architecture].image_size
    measured = RegimeMeasured(splits, originals[seeds[0]].config, image_size)
    retain = pixels_of(splits, "retain", originals[seeds[0]], measured.processor).preload()
    answers = {seed: measured.logits(model) for seed, model in retrained.items()}
    for seed in seeds:
        other = SEEDS[(SEEDS.index(seed) + 1) % len(SEEDS)]
        said = measured.logits(originals[seed])
        held = next((row for row in of_request(flags.csv, case, wanted) if row_key(row) == (seed, DO_NOTHING)), None)
        here = measured.row(said, answers[seed], answers[other])
        if differs := of_other_models(flags.csv, f"{case.name}/{wanted.name}, seed {seed}", held, here):
            return differs
        read_off = {RETRAINED: answers[seed], AGAIN: answers[other], DO_NOTHING: said}
        for variant in variants_of(wanted, seed):
            if (seed, variant) not in missing:
                continue
            run: dict[str, Any] = {}
            if variant in RUNS:
                model = trained.model(case.regime, recipes[seed], "original")
                run = run_variant(variant, model, measured, retain, seed, case.recipe.passes, flags.tiny)
                logits = measured.logits(model)
                if run["thrown_away"]:
                    model.load_state_dict(run["thrown_away"])
                    thrown_away = measured.row(measured.logits(model), answers[seed], answers[other])
                    run["refused_gap"] = thrown_away["average_gap"]
            else:
                logits = measured.masked(said) if variant == MASK else read_off[variant]
            # A model is no reference for itself.
            reference = answers[seed] if variant == AGAIN else answers[other]
            figures = measured.row(logits, answers[seed], reference)
            append_row(flags.csv, row_of(case, wanted, seed, variant, figures, run), lock)
        print(f"{case.name}/{wanted.name}/seed {seed}", flush=True)
    return ""


def run_variant(
    variant: str, model: Any, measured: Any, retain: Any, seed: int, passes: float, tiny: bool = False
) -> dict[str, Any]:
    """Unlearn `model` in place, with no more than two steps if `tiny`; how it went, and at what share of a training."""
    from benchmark_methods import run_method
    from regime_runs import RUNS, freeze_all_but_head

    method, settings, head_only = RUNS[variant]
    if tiny and method == "mu_mis":
        settings = {**settings, "max_steps": 2}
    if head_only:
        freeze_all_but_head(model, measured)
    run = run_method(method, settings, model, measured, retain, seed)
    run["cost_percent"] = 100 * run["forward_equivalents"] / (3 * passes * len(retain))
    return run


def missing_variants(csv: Path, case: Any, wanted: Any) -> set[tuple[int, str]]:
    """Which rows of a request the CSV lacks, by seed and variant."""
    from regime_grid import SEEDS
    from regime_runs import variants_of

    wanted_rows = {(seed, variant) for seed in SEEDS for variant in variants_of(wanted, seed)}
    return wanted_rows - set(map(row_key, of_request(csv, case, wanted)))


def of_request(csv: Path, case: Any, wanted: Any) -> list[dict[str, str]]:
    """The rows of a request that the CSV has."""
    key = (case.regime, case.recipe.dataset, case.recipe.architecture, wanted.name)
    return [row for row in read_rows(csv) if (row["regime"], row["dataset"], row["model"], row["request"]) == key]


def row_key(row: dict[str, str]) -> tuple[int, str]:
    """Seed and variant."""
    return int(row["seed"]), row["variant"]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache_dir", default="outputs/regimes", help="Where trained models are kept.")
    parser.add_argument("--characters", default="outputs/characters", help="From make_characters.py.")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist", help="From make_fashion_mnist.py.")
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--num_workers", type=int, default=2)
    parser.add_argument("--regimes", nargs="+", help="Only these.")
    parser.add_argument("--tiny", action="store_true", help="One tiny setting of each regime: do the parts fit?")
    flags = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = "1"
    from regime_grid import REGIMES, cases, tiny

    unknown = sorted(set(flags.regimes or []) - set(REGIMES))
    if unknown:
        print(f"error: regime {unknown[0]!r} is not one of {', '.join(REGIMES)}", file=sys.stderr)
        return 2
    chosen = list(cases(flags.regimes or REGIMES))
    if flags.tiny:
        first = {case.regime: case for case in reversed(chosen)}
        chosen = [tiny(case) for case in reversed(first.values())]
    flags.csv.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(flags.num_workers, maxtasksperchild=1) as pool:
        lock = manager.Lock()
        tasks = [(flags, case, request, lock) for case in chosen for request in case.requests]
        return exit_status(pool.starmap(run_request, tasks, chunksize=1))


if __name__ == "__main__":
    sys.exit(main())

"""How deep whole classes go: every probe of the depth panel, for the default, what it is without each of its terms, and
the controls.

    python scripts/study_depth.py --num_workers 2

Originals and retrained models are those of scripts/study_regimes.py, from its cache; what is missing there is trained.
A run is resumable: settings that are in the CSV are not made again. All of it takes about two hours on two cores.
scripts/depth_report.py makes the table of docs/depth.md of the CSV.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from study_defaults import RESULTS, append_rows, exit_status, read_rows

from hf_unlearn.errors import UnlearningError

CSV = RESULTS / "study_depth.csv"
DO_NOTHING, MASK, HEAD_ONLY, RETRAINED = "do nothing", "mask the logit", "head only", "retrained again"
# What the default is without one of its terms; None: the head alone may move.
RUNS: dict[str, dict[str, Any] | None] = {
    "default": {},
    "no sensitivity": {"sensitivity_weight": 0.0},
    "no features (answers alone)": {"features_weight": 0.0},
    "steps of plain gradients": {"step_rule": "relative"},
    HEAD_ONLY: None,
}
SETTINGS = (
    ("memorised", "fashion-mnist:3000", "resnet", "class:Pullover"),
    ("memorised", "fashion-mnist:2000", "vit", "class:Pullover"),
    ("fine-tuned", "fashion-mnist:2000", "resnet", "class:Pullover"),
    ("augmented", "characters:30", "resnet", "class:R"),
    ("memorised", "characters:30", "resnet", "class:R"),
    ("early", "fashion-mnist:8000", "resnet", "class:Pullover"),
)
# Settings in which the default and the controls ran, and nothing else.
MORE_SETTINGS = (
    ("fine-tuned", "characters-upper:30", "resnet", "class:R"),
    ("memorised", "fashion-mnist:3000", "convnext", "class:Pullover"),
    ("fine-tuned", "digits", "resnet", "class:six"),
    ("early", "fashion-mnist:8000", "vit", "class:Pullover"),
    ("memorised", "characters:30", "resnet", "class:%"),
    ("many weights", "characters:30", "resnet-18", "class:R"),
)
SEED = 0


def run_setting(flags: argparse.Namespace, chosen: tuple[str, str, str, str], lock: Any) -> str:
    """All rows of one setting, in a process of its own; returns what went wrong, in words."""
    import datasets
    import torch
    import transformers
    from benchmark_methods import run_method
    from regime_data import DataSource
    from regime_grid import CASES, SEEDS, request_of
    from regime_models import ARCHITECTURES, Trained
    from regime_runs import RegimeMeasured, freeze_all_but_head

    from hf_unlearn import make_splits
    from hf_unlearn.models.model_cache import ModelCache

    if any(tuple(row[name] for name in KEY) == chosen for row in read_rows(flags.csv)):
        return ""
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    regime, _, architecture, name = chosen
    case, wanted = next(
        (case, request)
        for case in CASES
        for request in case.requests
        if (case.regime, case.recipe.dataset, case.recipe.architecture, request.name) == chosen
    )
    try:
        trained = Trained(ModelCache(flags.cache_dir), DataSource(flags.characters, flags.fashion_mnist))
        request = request_of(wanted, case, trained)
        data = trained.source.load(case.recipe.dataset)
        column = case.recipe.label_column
        splits = make_splits(data, request.request, dataset_name=case.recipe.dataset, label_column_name=column)
        original = trained.model(regime, case.recipe.with_seed(SEED), "original")
        retrained = [trained.model(regime, case.recipe.with_seed(s), name, splits.forget_indices) for s in SEEDS]
    except UnlearningError as error:
        return str(error)
    measured = RegimeMeasured(splits, original.config, ARCHITECTURES[architecture].image_size)
    models: dict[str, Any] = {}
    runs: dict[str, dict[str, Any]] = {}
    for variant, settings in RUNS.items():
        if chosen in MORE_SETTINGS and variant not in ("default", HEAD_ONLY):
            continue
        model = trained.model(regime, case.recipe.with_seed(SEED), "original")
        if settings is None:
            freeze_all_but_head(model, measured)
        runs[variant] = run_method("mu_mis", settings or {}, model, measured, None, SEED)
        models[variant] = model
        print("/".join([*chosen, variant]), flush=True)
    figures = panel_of({"original": original, **models}, retrained, measured, splits)
    shown = {DO_NOTHING: "original", MASK: "masked", **dict(zip(models, models, strict=True))}
    shown[RETRAINED] = "reference 2"
    lines = []
    for variant, role in shown.items():
        line: dict[str, Any] = {**dict(zip(KEY, chosen, strict=True)), "variant": variant}
        line |= {key: _rounded(figures[role].get(key)) for key in FIGURES}
        line |= {key: runs.get(variant, {}).get(key, "") for key in ("steps", "seconds")}
        lines.append(line)
    # All or none: a setting of which there is a row is not run again.
    append_rows(flags.csv, lines, lock)
    return ""


KEY = ("regime", "dataset", "model", "request")
FIGURES = (
    *("forget_accuracy", "retain_accuracy", "test_accuracy_remaining", "average_gap", "js_divergence", "depth"),
    *("linear_probe", "mlp_probe", "forget_cosine", "prototype_recall", "shifted_recall_1", "shifted_recall_5"),
    *("relearn_mixed_steps", "relearn_five_steps", "remembered_accuracy", "weight_distance", "line_barrier"),
)


def panel_of(models: dict[str, Any], retrained: list[Any], measured: Any, splits: Any) -> dict[str, dict[str, Any]]:
    """Every probe of the models, of the original with the logit masked, and of the retrained models, by role.

    The depth and the distances are to the first retrained model's and the mean of both, as in the regimes' table.
    """
    from hf_unlearn.evaluation.contest import split_figures
    from hf_unlearn.evaluation.controls import masked_original
    from hf_unlearn.evaluation.depth.panel import take_depth
    from hf_unlearn.evaluation.depth.summary import BEHIND_THE_MASK, add_depth
    from hf_unlearn.evaluation.logits import LogitStore
    from hf_unlearn.evaluation.metrics.accuracies import average_gap
    from hf_unlearn.evaluation.metrics.divergences import js_divergence
    from hf_unlearn.evaluation.metrics.samples import SampleFigures
    from hf_unlearn.evaluation.predict import Contestant

    everyone = {
        role: Contestant(role, model.eval(), measured.processor)
        for role, model in {**models, **{f"reference {n}": each for n, each in enumerate(retrained, 1)}}.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        store = LogitStore(folder, splits, 256, "cpu")
        found = {name: store.logits(everyone, name) for name in ("forget", "retain", "test")}
        logits: dict[str, Any] = {role: {name: found[name][role] for name in found} for role in everyone}
        masked, _ = masked_original(logits, splits)
        figures: dict[str, dict[str, Any]] = {}
        for role, parts in {**logits, "masked": masked or {}}.items():
            samples = {name: SampleFigures.of(values[:], store.labels(name)) for name, values in parts.items()}
            figures[role] = split_figures(samples, splits.test_forgotten)
            figures[role]["average_gap"] = average_gap(figures[role], figures.get("reference 1", figures[role]))
            theirs = logits["reference 1"]["forget"]
            figures[role]["js_divergence"] = js_divergence(parts["forget"][:], theirs)
        for role in models:
            figures[role]["average_gap"] = average_gap(figures[role], figures["reference 1"])
        take_depth(store, everyone, logits, figures, SEED)
    figures["masked"] |= {key: figures["original"].get(key) for key in BEHIND_THE_MASK}
    add_depth(figures, [*models, "masked"], True, {})
    return figures


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(float(value), 4)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache_dir", default="outputs/regimes", help="Of scripts/study_regimes.py.")
    parser.add_argument("--characters", default="outputs/characters", help="From make_characters.py.")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist", help="From make_fashion_mnist.py.")
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--num_workers", type=int, default=2)
    flags = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(flags.num_workers, maxtasksperchild=1) as pool:
        lock = manager.Lock()
        tasks = [(flags, chosen, lock) for chosen in (*SETTINGS, *MORE_SETTINGS)]
        return exit_status(pool.starmap(run_setting, tasks, chunksize=1))


if __name__ == "__main__":
    sys.exit(main())

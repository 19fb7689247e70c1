"""All methods × models × requests × seeds on Fashion-MNIST, each against a model retrained without the samples.

    python scripts/benchmark_methods.py --work_dir outputs/study --fashion_mnist outputs/fashion-mnist

Every method gets the same number of trials, on other classes and training seeds than those reported. The noise floor is
the model retrained with the next of the reported seeds. What is missing is trained and run; start it again to go on.
scripts/benchmark_report.py makes the table and the figure of its CSV.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmark_settings import (
    MODELS,
    REPORTED,
    SEARCH_SEED,
    SEARCHED,
    SPACES,
    all_settings,
    candidates,
    chosen,
)
from study_defaults import RESULTS, append_row, exit_status, of_other_models, read_rows

CSV = RESULTS / "benchmark_methods.csv"
KEY = ("phase", "model", "seed", "request", "method", "settings")
# First what the next start holds its models against.
REFERENCES = ("do nothing", "retrained", "retrained again")


def run_method(
    method: str,
    settings: dict[str, Any],
    original: Any,
    measured: Any,
    retain: Any,
    seed: int,
    unseen: Any = None,
    attacked: dict[tuple[float, int], tuple[Any, Any, float]] | None = None,
) -> dict[str, Any]:
    """Unlearn `original` in place; how it went, and the weights that were thrown away if the outcome was refused.

    Args:
        unseen: labelled samples that are not to be forgotten, for methods that take some.
        attacked: what earlier runs on this original and forget set found around its samples, by the attack's radius and
            steps, with its cost, which counts in each run; what this one finds is put in.
    """
    from transformers import PrinterCallback

    import hf_unlearn.trainers
    from hf_unlearn import UnlearningError
    from hf_unlearn.trainers.registry import METHODS

    with tempfile.TemporaryDirectory() as folder:
        common = {"output_dir": folder, "seed": seed, "use_cpu": True, "disable_tqdm": True}
        args = getattr(hf_unlearn.trainers, METHODS[method].config)(**settings, **common, dataloader_pin_memory=False)
        thrown_away: dict[str, Any] = {}
        known = {} if attacked is None else attacked

        class KeepsWhatIsThrownAway(getattr(hf_unlearn.trainers, METHODS[method].trainer)):  # type: ignore[misc]
            def check_outcome(self) -> None:
                weights = copy.deepcopy(self.model.state_dict())
                try:
                    super().check_outcome()
                except UnlearningError:
                    thrown_away.update(weights)
                    raise

            def find_adversarial(self) -> None:
                attack = self.args.attack_radius, self.args.attack_steps
                if attack in known:
                    self.adversarial, self.mistaken, spent = known[attack]
                    self.forward_equivalents += spent
                    return
                before = self.forward_equivalents
                super().find_adversarial()
                known[attack] = self.adversarial, self.mistaken, self.forward_equivalents - before

        trainer = KeepsWhatIsThrownAway(
            original,
            args,
            measured.splits,
            train_dataset=measured.parts["forget"],
            processing_class=measured.processor,
            retain_dataset=None if METHODS[method].retain_free else retain,
            reference_dataset=unseen,
        )
        trainer.remove_callback(PrinterCallback)
        started = time.monotonic()
        try:
            trainer.train()
            reason = trainer.stop_reason
        except UnlearningError as error:
            reason = f"refused: {error}"
    return {
        "steps": trainer.state.global_step,
        "seconds": round(time.monotonic() - started, 1),
        "forward_equivalents": trainer.forward_equivalents,
        "stopped": reason,
        "thrown_away": thrown_away,
    }


def row_of(
    phase: str,
    setting: Any,
    method: str,
    settings: dict[str, Any],
    figures: dict[str, Any],
    retrained: dict[str, Any],
    num_retain: int,
    run: dict[str, Any],
) -> dict[str, Any]:
    """A line of the CSV. The cost is a share of the retraining that made the reference, in forward passes."""
    from study_runs import ACCURACIES
    from study_settings import MODELS as RECIPES

    from hf_unlearn.evaluation.metrics.accuracies import average_gap

    retraining = 3 * RECIPES[setting.model][2] * num_retain
    gap = average_gap(figures, retrained)
    return {
        "phase": phase,
        "model": setting.model,
        "seed": setting.seed,
        "request": setting.request.name,
        "method": method,
        "settings": json.dumps(settings, sort_keys=True),
        **{name: "" if figures[name] is None else round(figures[name], 4) for name in ACCURACIES},
        "average_gap": "" if gap is None else round(gap, 4),
        "refused_gap": "" if run.get("refused_gap") is None else round(run["refused_gap"], 4),
        "cost_percent": round(100 * run.get("forward_equivalents", 0) / retraining, 3),
        "steps": run.get("steps", 0),
        "seconds": run.get("seconds", 0),
        "stopped": run.get("stopped", ""),
    }


def next_seed(seed: int, seeds: list[int]) -> int:
    """Which of the reported training seeds is held against `seed` for the noise floor."""
    return seeds[(seeds.index(seed) + 1) % len(seeds)]


def run_setting(flags: argparse.Namespace, phase: str, setting: Any, lock: Any) -> str:
    """All methods on one model, seed and request, in a process of its own; returns what went wrong, in words."""
    import datasets
    import torch
    import transformers
    from study_runs import Measured
    from study_settings import ModelCache, load_data, splits_of

    from hf_unlearn.data.pixels import pixels_of
    from hf_unlearn.evaluation.metrics.accuracies import average_gap

    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    rows = read_rows(flags.csv)
    done = {tuple(row[name] for name in KEY): row for row in rows}
    kind = setting.request.name.partition(":")[0]
    references = [name for name in REFERENCES if phase == "report" or name != "retrained again"]
    tasks: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in references]
    for method in flags.methods:
        if phase == "search":
            tasks += [(method, settings) for settings in candidates(method, flags.trials)]
        else:
            tasks.append((method, chosen(rows, setting.model, kind, method) or {}))
    start = (phase, setting.model, str(setting.seed), setting.request.name)
    tasks = [(name, given) for name, given in tasks if (*start, name, json.dumps(given, sort_keys=True)) not in done]
    if not tasks:
        return ""
    cache = ModelCache(flags.work_dir)
    data = load_data(setting.dataset, flags.fashion_mnist)
    splits = splits_of(setting, data)
    original = cache.original(setting, data)
    measured = Measured(splits, original.config)
    retain = pixels_of(splits, "retain", original, measured.processor).preload()
    retrained = measured.figures(cache.retrained(setting, splits))
    nothing = measured.figures(original)
    here = row_of(phase, setting, "do nothing", {}, nothing, retrained, len(splits.retain), {})
    held = done.get((*start, "do nothing", "{}"))
    if differs := of_other_models(flags.csv, f"{setting.name} ({phase})", held, here):
        return differs
    for method, settings in tasks:
        run: dict[str, Any] = {}
        if method == "retrained":
            figures = retrained
        elif method == "do nothing":
            figures = nothing
        elif method == "retrained again":
            figures = measured.figures(
                cache.retrained(setting._replace(seed=next_seed(setting.seed, flags.seeds)), splits)
            )
        else:
            model = cache.original(setting, data)
            run = run_method(method, settings, model, measured, retain, setting.seed)
            figures = measured.figures(model)
            if run["thrown_away"]:
                model.load_state_dict(run["thrown_away"])
                run["refused_gap"] = average_gap(measured.figures(model), retrained)
        row = row_of(phase, setting, method, settings, figures, retrained, len(splits.retain), run)
        append_row(flags.csv, row, lock)
        print(phase, setting.name, method, row["average_gap"], row["stopped"], flush=True)
    return ""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", default="outputs/study", help="Where trained models are kept.")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist", help="From make_fashion_mnist.py.")
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--num_workers", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--methods", nargs="+", default=list(SPACES), choices=list(SPACES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="Training seeds that are reported.")
    parser.add_argument("--trials", type=int, default=3, help="Settings tried of each method; 0: its defaults alone.")
    parser.add_argument("--requests", nargs="+", default=["class", "subclass", "random"], help="Kinds of them.")
    flags = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = "1"
    flags.csv.parent.mkdir(parents=True, exist_ok=True)

    def of_kinds(requests: list[Any]) -> list[Any]:
        return [request for request in requests if request.name.partition(":")[0] in flags.requests]

    phases = [("search", all_settings(of_kinds(SEARCHED), flags.models, [SEARCH_SEED]))] if flags.trials else []
    phases.append(("report", all_settings(of_kinds(REPORTED), flags.models, flags.seeds)))
    context = multiprocessing.get_context("spawn")
    problems: list[str] = []
    # Phase by phase: what is reported runs on what the search chose.
    for phase, settings in phases:
        with context.Manager() as manager, context.Pool(flags.num_workers, maxtasksperchild=1) as pool:
            lock = manager.Lock()
            problems += pool.starmap(run_setting, [(flags, phase, setting, lock) for setting in settings], chunksize=1)
    return exit_status(problems)


if __name__ == "__main__":
    sys.exit(main())

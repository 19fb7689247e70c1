"""All methods × the settings of the study of regimes × training seeds: gap, depth, membership and cost of each.

    python scripts/benchmark_regimes.py --num_workers 2
    python scripts/benchmark_regimes.py --settings class:Pullover --trials 1 --seeds 0 1

Every method gets the same number of trials (`--trials`, of which the first are its defaults), on other requests and
other trained models than those reported; with one trial there is no search. What is found on one dataset holds for all
settings of that architecture and kind of request. MU-Mis runs with its defaults, too, and with reference samples. The
check that refuses a collapsed model is off: what a run made is measured, and `checked_gap` is the gap with the check
on. Beside the methods: doing nothing, the retrained model itself, and one retrained with another seed. What is missing
is trained and run; start it again to go on, or `--shard 1/2` and `--shard 2/2` on two machines.
scripts/benchmark_regimes_report.py makes the table of the CSV.

Ten seconds of a core a run in the mean, six minutes the dearest. All of it is some 1,750 runs and 70 trainings: about
six hours of one core. It adds no row to those of other models: see `of_other_models` in study_defaults.py.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmark_settings import SEARCH_SEED, SPACES, candidates, chosen
from study_defaults import RESULTS, append_row, exit_status, of_other_models, read_rows

from hf_unlearn.commands.advice import OURS
from hf_unlearn.errors import UnlearningError

CSV = RESULTS / "benchmark_regimes.csv"
KEY = ("phase", "regime", "dataset", "model", "seed", "request", "method", "settings")
DO_NOTHING, RETRAINED, AGAIN = "do nothing", "retrained", "retrained again"
# They take samples that the model never saw.
WITH_UNSEEN = ("scar", "lotus", "lotus_forget", "regun")
# MU-Mis with them, at its defaults; where labels stay, for there it learns from them.
WITH_REFERENCES = f"{OURS}, references"
# They forget whole classes, and nothing else.
OF_CLASSES = ("mask_logit", "spotter")
UNSEEN_SAMPLES = 1_000
PROBES = ("linear_probe", "mlp_probe", "forget_cosine", "prototype_recall", "shifted_recall_1", "jitter_gap")


class Subject:
    """A setting with one training seed: splits, original and retrained models, and what is measured of another
    model."""

    def __init__(self, flags: argparse.Namespace, setting: Any, phase: str, seed: int):
        import torch
        from benchmark_regimes_settings import request_of
        from regime_data import DataSource
        from regime_models import ARCHITECTURES, Trained
        from regime_runs import RegimeMeasured
        from study_references import unseen

        from hf_unlearn import make_splits
        from hf_unlearn.data.pixels import pixels_of
        from hf_unlearn.evaluation.logits import LogitStore
        from hf_unlearn.models.model_cache import ModelCache

        torch.set_num_threads(1)
        case = setting.case
        self.flags, self.setting, self.phase, self.seed = flags, setting, phase, seed
        self.trained = Trained(ModelCache(flags.cache_dir), DataSource(flags.characters, flags.fashion_mnist))
        self.request = request_of(setting, phase, self.trained)
        data = self.trained.source.load(case.recipe.dataset)
        column = case.recipe.label_column
        self.splits = make_splits(
            data, self.request.request, dataset_name=case.recipe.dataset, label_column_name=column
        )
        self.original = self.fresh()
        # RMIA, the depth and the floor take a second retrained model; a search has none.
        self.other = other_seed(seed) if phase == "report" else seed
        self.retrained = {each: self._retrained(each) for each in sorted({seed, self.other})}
        image_size = ARCHITECTURES[case.recipe.architecture].image_size
        self.measured = RegimeMeasured(self.splits, self.original.config, image_size)
        self.retain = pixels_of(self.splits, "retain", self.original, self.measured.processor).preload()
        self.answers = {each: self.measured.logits(model) for each, model in self.retrained.items()}
        given = unseen(self.trained.source, self.splits, UNSEEN_SAMPLES, case.recipe.dataset)
        self.unseen = without_images(given, self.splits.forget, self.splits.image_column)
        self._folder = tempfile.TemporaryDirectory()
        # One for all models: what it has read for the probes of one is there for the next.
        self._store = LogitStore(self._folder.name, self.splits, 256, "cpu")
        self._fixed: dict[str, dict[str, Any]] | None = None
        self._attacked: dict[tuple[float, int], tuple[Any, Any, float]] = {}

    def fresh(self) -> Any:
        """The original, to be unlearned."""
        return self.trained.model(self.setting.case.regime, self._recipe(self.seed), "original")

    def _recipe(self, seed: int) -> Any:
        return self.setting.case.recipe.with_seed(seed)

    def _retrained(self, seed: int) -> Any:
        regime, name = self.setting.case.regime, self.request.name
        return self.trained.model(regime, self._recipe(seed), name, self.splits.forget_indices)

    def figures(self, model: Any, reference: int | None = None) -> dict[str, Any]:
        """Of a model: gap, divergence and membership, and in the reported phase the depth and its probes.

        Of a sub-class no depth: the probes of samples whose label stays tell memory, and of few samples mere chance.

        `reference`: the seed of the retrained model that RMIA refers to; None: the other one.
        """
        logits = self.measured.logits(model)
        reference = self.other if reference is None else reference
        found = self.measured.row(logits, self.answers[self.seed], self.answers[reference])
        if self.phase == "report":
            fixed = self._fixed_figures()
            found = {**found, **self._probes("unlearned", model, logits)}
            found["depth"] = None if self.setting.kind == "subclass" else self._depth(fixed, found)
        return found

    def _fixed_figures(self) -> dict[str, dict[str, Any]]:
        """The probes of the original and of all retrained models, taken once."""
        if self._fixed is None:
            self._fixed = {}
            said = self.measured.logits(self.original)
            row = self.measured.row(said, self.answers[self.seed], self.answers[self.other])
            self._fixed["original"] = {**row, **self._probes("original", self.original, said)}
            for each, model in self.retrained.items():
                # No model is a reference for itself.
                reference = self.answers[next((other for other in self.retrained if other != each), each)]
                row = self.measured.row(self.answers[each], self.answers[self.seed], reference)
                self._fixed[f"reference {each}"] = {**row, **self._probes("reference", model, self.answers[each])}
        return self._fixed

    def _probes(self, role: str, model: Any, logits: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        from hf_unlearn.evaluation.attacks.probing import unseen_rows
        from hf_unlearn.evaluation.depth.panel import FORGET_SAMPLES, Probing, Sample
        from hf_unlearn.evaluation.predict import Contestant

        figures: dict[str, Any] = {}
        sample = Sample.of(self._store, 0)
        contestant = Contestant(role, model.eval(), self.measured.processor)
        probing = Probing(self._store, role, contestant, sample, 0, figures)
        if sample.columns:
            probing.of_features()
            probing.of_logits(logits)
        else:
            probing.of_jitter(np.flatnonzero(unseen_rows(self.splits))[:FORGET_SAMPLES])
        return figures

    def _depth(self, fixed: dict[str, dict[str, Any]], found: dict[str, Any]) -> float | None:
        from hf_unlearn.evaluation.depth.summary import add_depth

        figures = {"original": dict(fixed["original"]), "unlearned": dict(found)}
        figures |= {role: dict(each) for role, each in fixed.items() if role != "original"}
        whole = self.splits.removes_whole_classes
        add_depth(figures, ["original", "unlearned"], whole, {})
        return figures["unlearned"].get("depth")

    def run(self, method: str, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Unlearn with a method; the figures of what it made, whatever the check says, and how the run went.

        Raises:
            UnlearningError: it made nothing, or what it made has values that are not finite.
        """
        from benchmark_methods import run_method

        model = self.fresh()
        given = self.unseen if method in (*WITH_UNSEEN, WITH_REFERENCES) else None
        name = OURS if method == WITH_REFERENCES else method
        run = run_method(name, settings, model, self.measured, self.retain, self.seed, given, self._attacked)
        if run["stopped"].startswith("refused") and not run["thrown_away"]:
            # The original's figures under a method's name would be doing nothing.
            raise UnlearningError(f"the run made nothing: {run['stopped']}")
        if run["thrown_away"]:
            run["checked"] = self.measured.row(
                self.measured.logits(model), self.answers[self.seed], self.answers[self.other]
            )
            model.load_state_dict(run["thrown_away"])
        if not all(bool(value.isfinite().all()) for value in model.parameters()):
            raise UnlearningError("what the run made has values that are not finite; it has no figures")
        return self.figures(model), run


def other_seed(seed: int) -> int:
    """Of the second retrained model that a seed is measured with, whichever seeds are reported."""
    return 1 if seed == 0 else 0


def without_images(data: Any, others: Any, column: str) -> Any:
    """The samples of which no other has the same image: characters of two fonts can be alike to the pixel."""
    known = {image.tobytes() for image in others[column]}
    return data.select([row for row, image in enumerate(data[column]) if image.tobytes() not in known])


def row_of(subject: Subject, method: str, settings: dict[str, Any], found: dict[str, Any], run: dict[str, Any]) -> dict:
    """A line of the CSV. Costs in forward passes of one sample, and as a share of the retraining."""
    from regime_runs import FIGURES

    case = subject.setting.case
    retraining = 3 * case.recipe.passes * len(subject.retain)
    spent = run.get("forward_equivalents", 0.0)
    checked = run.get("checked", found)["average_gap"]
    figures = {name: found.get(name) for name in (*FIGURES, "depth", *PROBES)}
    return {
        "phase": subject.phase,
        "regime": case.regime,
        "dataset": case.recipe.dataset,
        "model": case.recipe.architecture,
        "seed": subject.seed,
        "request": subject.request.name,
        "method": method,
        "settings": json.dumps(settings, sort_keys=True),
        **{name: "" if value is None else round(float(value), 4) for name, value in figures.items()},
        "checked_gap": "" if checked is None else round(checked, 4),
        "forward_passes": round(spent),
        "cost_percent": round(100 * spent / retraining, 3),
        "steps": run.get("steps", 0),
        "seconds": run.get("seconds", 0),
        "stopped": run.get("stopped", ""),
    }


def tasks_of(flags: argparse.Namespace, setting: Any, phase: str, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """What is to be run of a setting and seed, without what the CSV has."""
    rows = read_rows(flags.csv)
    case, kind = setting.case, setting.kind
    start = (phase, case.regime, case.recipe.dataset, case.recipe.architecture, str(seed), setting.request_name(phase))
    done = {tuple(row[name] for name in KEY) for row in rows}
    wanted: list[tuple[str, dict[str, Any]]] = [(DO_NOTHING, {})]
    if phase == "report":
        # Their RMIA takes another retrained model as the reference.
        wanted += [(RETRAINED, {}), (AGAIN, {})]
    for method in flags.methods:
        if kind not in ("class", "classes") and method in OF_CLASSES:
            continue
        if phase == "search":
            tried = {json.dumps(each, sort_keys=True): each for each in candidates(method, flags.trials)}
            wanted += [(method, each) for each in tried.values()]
        else:
            found = chosen(rows, case.recipe.architecture, kind, method) or {}
            wanted.append((method, found))
            if method == OURS:
                # What a user gets who sets nothing, and who has samples that were never seen.
                wanted += [(OURS, {})] if found else []
                wanted += [(WITH_REFERENCES, {})] if kind not in ("class", "classes") else []
    return [(name, given) for name, given in wanted if (*start, name, json.dumps(given, sort_keys=True)) not in done]


def run_setting(flags: argparse.Namespace, setting: Any, phase: str, seed: int, lock: Any) -> str:
    """All methods on one setting and seed, in a process of its own; returns what went wrong, in words."""
    import datasets
    import transformers

    tasks = tasks_of(flags, setting, phase, seed)
    if not tasks:
        return ""
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        subject = Subject(flags, setting, phase, seed)
    except UnlearningError as error:
        return str(error)
    if (DO_NOTHING, {}) not in tasks and (differs := other_models(flags.csv, subject)):
        return differs
    for method, settings in tasks:
        run: dict[str, Any] = {}
        if method == DO_NOTHING:
            found = subject.figures(subject.original)
        elif method == RETRAINED:
            found = subject.figures(subject.retrained[seed])
        elif method == AGAIN:
            # No model is a reference for itself.
            found = subject.figures(subject.retrained[subject.other], reference=subject.seed)
        else:
            try:
                found, run = subject.run(method, {**settings, **(tiny_settings(method) if flags.tiny else {})})
            except UnlearningError as error:
                print(f"left out: {method} on {setting.full_name}: {error}", flush=True)
                continue
        append_row(flags.csv, row_of(subject, method, settings, found, run), lock)
        print("/".join([setting.case.name, subject.request.name, str(seed), method]), flush=True)
    return ""


def other_models(file: Path, subject: Subject) -> str:
    """See [`of_other_models`]."""
    here = row_of(subject, DO_NOTHING, {}, subject.figures(subject.original), {})
    same = [name for name in KEY if name != "settings"]
    held = next((row for row in read_rows(file) if all(row[name] == str(here[name]) for name in same)), None)
    return of_other_models(file, f"{subject.setting.full_name}, seed {subject.seed}", held, here)


def tiny_settings(method: str) -> dict[str, Any]:
    """As little of a method as runs, for the tests."""
    if method in ("ssd", "esc", "esc_t", "mask_logit"):
        return {}
    return {"max_steps": 1, **({"noise_draws": 1} if method == "jit" else {})}


def shard(flags: argparse.Namespace, settings: list[Any]) -> list[Any]:
    """This machine's part of the settings: whole ones. It searches for them itself."""
    number, of = (int(each) for each in flags.shard.split("/"))
    return settings[number - 1 :: of]


def main(argv: list[str] | None = None) -> int:
    from benchmark_regimes_settings import SETTINGS, searched_on, tiny

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache_dir", default="outputs/regimes", help="Of scripts/study_regimes.py.")
    parser.add_argument("--characters", default="outputs/characters", help="From make_characters.py.")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist", help="From make_fashion_mnist.py.")
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--num_workers", type=int, default=2)
    parser.add_argument("--shard", default="1/1", help="Which part of the settings, of how many: 1/2.")
    parser.add_argument("--trials", type=int, default=3, help="Of a method, its defaults among them; 1: no search.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="Training seeds that are reported.")
    parser.add_argument("--methods", nargs="+", default=list(SPACES), choices=list(SPACES))
    parser.add_argument("--settings", nargs="+", help="Only settings whose name holds one of these.")
    parser.add_argument("--tiny", action="store_true", help="As little as runs: do the parts fit?")
    flags = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = "1"
    number, _, of = flags.shard.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        print(f"error: shard is {flags.shard!r}; expected K/N with K from 1 to N", file=sys.stderr)
        return 2
    found = [each for each in SETTINGS if not flags.settings or any(part in each.full_name for part in flags.settings)]
    if not found:
        names = ", ".join(each.full_name for each in SETTINGS)
        print(f"error: no setting's name holds {flags.settings[0]!r}; there are {names}", file=sys.stderr)
        return 2
    found = shard(flags, found)
    searched = list(dict.fromkeys(map(searched_on, found)))
    flags.csv.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    problems: list[str] = []
    with context.Manager() as manager, context.Pool(flags.num_workers, maxtasksperchild=1) as pool:
        lock = manager.Lock()
        phases = [("search", [SEARCH_SEED])] if flags.trials > 1 else []
        for phase, seeds in [*phases, ("report", flags.seeds)]:
            # Seed by seed, so that a benchmark cut short is a balanced one.
            some = searched if phase == "search" else found
            some = [tiny(each) for each in some] if flags.tiny else some
            tasks = [(flags, setting, phase, seed, lock) for seed in seeds for setting in some]
            problems += pool.starmap(run_setting, tasks, chunksize=1)
    return exit_status(problems)


if __name__ == "__main__":
    sys.exit(main())

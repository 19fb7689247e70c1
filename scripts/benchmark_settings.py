"""What the benchmark of methods is of: requests to search on, others to report, and each method's search space."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from study_settings import Request, Setting

from hf_unlearn import ForgetRequest
from hf_unlearn.trainers.registry import METHODS

MODELS = ["resnet-basic", "vit"]


def _subclass(name: str) -> Request:
    request = ForgetRequest(subclasses=(name,), subclass_column="label")
    return Request(f"subclass:{name}", request, label_column="superclass")


# Settings are chosen on these, ...
SEARCHED = [
    Request("class:Dress", ForgetRequest(classes=("Dress",))),
    _subclass("Sandal"),
    Request("random:5%, other draw", ForgetRequest(fraction=0.05, seed=1)),
]
SEARCH_SEED = 10
# ... and reported on those: no class, draw or trained model is in both, nor any class on which a default was chosen
# (see docs/limits.md). A pullover looks much like a coat or a shirt.
REPORTED = [
    Request("class:Pullover", ForgetRequest(classes=("Pullover",))),
    _subclass("Coat"),
    Request("random:5%", ForgetRequest(fraction=0.05)),
]

Draw = Callable[[np.random.Generator], Any]


def _log(low: float, high: float) -> Draw:
    return lambda rng: float(f"{np.exp(rng.uniform(np.log(low), np.log(high))):.3g}")


def _one_of(*values: Any) -> Draw:
    return lambda rng: values[int(rng.integers(len(values)))]


_RATE = _log(1e-5, 1e-3)
# Retraining is the reference, not a contestant.
SPACES: dict[str, dict[str, Draw]] = {
    "mu_mis": {"learning_rate": _log(5e-4, 8e-3), "max_steps": _one_of(60, 120, 180)},
    "gradient_ascent": {"learning_rate": _log(1e-6, 3e-4), "num_train_epochs": _one_of(1, 3, 5)},
    "random_labels": {"learning_rate": _RATE, "num_train_epochs": _one_of(1, 3, 5, 10)},
    "delete": {"learning_rate": _RATE, "num_train_epochs": _one_of(1, 3, 5, 10)},
    "jit": {"learning_rate": _log(1e-4, 1e-1), "noise_deviation": _log(0.1, 2.0), "noise_draws": _one_of(10, 25)},
    "boundary_shrink": {"learning_rate": _RATE, "num_train_epochs": _one_of(3, 5, 10), "fgsm_bound": _log(0.05, 1.0)},
    "salun_forget": {
        "learning_rate": _RATE,
        "num_train_epochs": _one_of(1, 3, 5),
        "salient_share": _one_of(0.3, 0.5, 0.7),
    },
    "spotter": {
        "learning_rate": _RATE,
        "num_train_epochs": _one_of(3, 5, 10),
        "dispersion_weight": _one_of(0.3, 1.0, 3.0),
    },
    "amun_forget": {
        "learning_rate": _RATE,
        "num_train_epochs": _one_of(1, 3, 5, 10),
        "own_labels": _one_of(True, False),
    },
    "lotus_forget": {"learning_rate": _RATE, "num_train_epochs": _one_of(3, 5, 10), "temperature_rate": _log(1.0, 8.0)},
    "scar": {"learning_rate": _RATE, "num_train_epochs": _one_of(3, 5, 10), "distillation_weight": _one_of(1.0, 5.0)},
    "esc": {"erased_percent": _log(0.8, 10.0)},
    "esc_t": {"mask_learning_rate": _log(1e-3, 10.0), "mask_threshold": _one_of(0.5, 0.7, 0.9)},
    "head_only": {"learning_rate": _log(1e-4, 1e-2), "num_train_epochs": _one_of(3, 5, 10)},
    "mask_logit": {},
    "fine_tune": {"learning_rate": _log(1e-4, 1e-2), "num_train_epochs": _one_of(1, 2, 4)},
    "l1_sparse": {
        "learning_rate": _log(1e-4, 1e-2),
        "num_train_epochs": _one_of(1, 2, 4),
        "l1_weight": _log(1e-6, 1e-3),
    },
    "neggrad_plus": {
        "learning_rate": _log(1e-5, 3e-3),
        "num_train_epochs": _one_of(1, 2),
        "retain_share": _one_of(0.9, 0.95, 0.99, 0.999),
    },
    "salun": {
        "learning_rate": _log(1e-4, 3e-3),
        "num_train_epochs": _one_of(1, 2, 4),
        "salient_share": _one_of(0.3, 0.5, 0.7),
    },
    "scrub": {
        "learning_rate": _log(1e-4, 3e-3),
        "num_train_epochs": _one_of(2, 3, 4),
        "max_passes": _one_of(1, 2, 3),
        "distillation_weight": _one_of(0.001, 0.1, 0.5),
    },
    "bad_teacher": {"learning_rate": _log(1e-4, 3e-3), "num_train_epochs": _one_of(1, 2, 4)},
    "amun": {
        "learning_rate": _log(1e-5, 1e-3),
        "num_train_epochs": _one_of(1, 2, 4),
        "own_labels": _one_of(True, False),
    },
    "lotus": {"learning_rate": _RATE, "num_train_epochs": _one_of(2, 3, 5), "temperature_rate": _log(1.0, 8.0)},
    "cola": {"learning_rate": _log(1e-4, 1e-2), "collapse_passes": _one_of(1, 2, 3), "num_train_epochs": _one_of(3, 4)},
    "regun": {
        "learning_rate": _RATE,
        "num_train_epochs": _one_of(5, 10, 20),
        "forget_weight": _one_of(0.3, 0.5, 0.7),
    },
    "ssd": {"alpha": _log(1.0, 10.0), "dampening": _one_of(0.1, 0.5, 1.0)},
}
assert {*SPACES, "retrain"} == set(METHODS)


def candidates(method: str, trials: int) -> list[dict[str, Any]]:
    """What is tried of a method: its defaults, then draws from its space; the same in every run."""
    rng = np.random.default_rng([sum(map(ord, method)), 7])
    drawn = [{name: draw(rng) for name, draw in SPACES[method].items()} for _ in range(trials - 1)]
    return [{}, *drawn]


def setting_of(row: dict[str, str]) -> tuple[str, ...]:
    """What rows of the benchmark by regime are compared within, but for the seed."""
    return row["regime"], row["dataset"], row["model"], row["request"]


def measured_as(row: dict[str, str]) -> tuple[str, ...]:
    """Setting, seed and method: of rows in which they are the same one counts."""
    return *setting_of(row), row["seed"], row["method"]


def reported(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows that count, one of each setting, seed and method: that of the settings that a search chose, else the
    last."""
    wanted: dict[tuple[str, ...], str] = {}
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        if row["phase"] != "report":
            continue
        search = row["model"], row["request"].partition(":")[0], row["method"]
        if search not in wanted:
            wanted[search] = json.dumps(chosen(rows, *search) or {}, sort_keys=True)
        key = measured_as(row)
        held = found.get(key)
        if held is None or row["settings"] == wanted[search] or held["settings"] != wanted[search]:
            found[key] = row
    return list(found.values())


def all_settings(requests: list[Request], models: list[str], seeds: list[int]) -> list[Setting]:
    """Every combination, seed by seed, so that a cut benchmark is a balanced one.

    Neighbours differ in the model, so that two workers do not train the same original at the same time.
    """
    return [
        Setting(model, "fashion-mnist", seed, request) for seed in seeds for request in requests for model in models
    ]


def chosen(rows: list[dict[str, str]], model: str, kind: str, method: str) -> dict[str, Any] | None:
    """The settings with the smallest gap on the searched requests of this kind; None if none was searched.

    A run that was refused counts as its benchmark does: by method with the gap of the original, which it leaves; by
    regime, where the check is off, with the gap of what it made.
    """
    found = [
        row
        for row in rows
        if row["phase"] == "search"
        and (row["model"], row["request"].partition(":")[0], row["method"]) == (model, kind, method)
    ]
    return json.loads(min(found, key=lambda row: float(row["average_gap"]))["settings"]) if found else None

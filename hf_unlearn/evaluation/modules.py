"""The metrics as modules of the `evaluate` library: thin classes around the pure functions.

Import one (`from hf_unlearn.evaluation.modules import JSDivergence`), or load it by its name, from any process:
`evaluate.load(module_path(), "js_divergence")`. Those with the same inputs go together in `evaluate.combine`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
from datasets import Features, Sequence, Value

from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.evaluation.attacks import membership, residual, rmia
from hf_unlearn.evaluation.metrics import accuracies, divergences, samples

_NUMBERS, _LOGITS, _INTEGER = Value("float64"), Sequence(Value("float64")), Value("int64")
# What a module's `predictions` and `references` are, by the shape of its inputs.
_INPUTS = {
    "classes": ({"predictions": _INTEGER, "references": _INTEGER}, "class ids and labels, (samples,)."),
    "labelled": ({"predictions": _LOGITS, "references": _INTEGER}, "logits (samples, num_labels) and labels."),
    "pairs": ({"predictions": _LOGITS, "references": _LOGITS}, "logits of the model and of the other model."),
    "figures": ({"predictions": _NUMBERS, "references": _NUMBERS}, "a model's figures and the retrained model's."),
    "splits": (
        {"predictions": _NUMBERS, "references": _INTEGER},
        "a score a sample, and the set it is of: 0 forget, 1 retain, 2 test.",
    ),
}
_PAPERS = {
    "mu_mis": "https://huggingface.co/papers/2402.15109",
    "salun": "https://huggingface.co/papers/2310.12508",
    "ssd": "https://huggingface.co/papers/2308.07707",
    "bad_teacher": "https://huggingface.co/papers/2205.08096",
    "rmia": "https://huggingface.co/papers/2312.03262",
    "tug_of_war": "https://huggingface.co/papers/2406.01257",
    "modified_entropy": "https://huggingface.co/papers/2003.10595",
    "distance": "https://huggingface.co/papers/2201.06640",
}
FORGET, RETAIN, TEST = 0, 1, 2


class _Module(evaluate.Metric):
    """A metric that is one function of `predictions` and `references`."""

    module_name: str
    inputs: str
    paper = ""
    function: Callable[..., float]

    def _info(self) -> evaluate.MetricInfo:
        features, described = _INPUTS[self.inputs]
        return evaluate.MetricInfo(
            description=(type(self).__doc__ or "").strip(),
            citation=self.paper,
            inputs_description=f"predictions, references: {described}",
            features=Features(features),
        )

    def _compute(self, predictions: Any, references: Any, **kwargs: Any) -> dict[str, float]:
        value = type(self).function(np.asarray(predictions), np.asarray(references), **kwargs)
        return {self.module_name: float(value)}


class ForgetAccuracy(_Module):
    """Share of right answers, percent: on the forget set FA, on the retain set RA, on the test set TA."""

    module_name, inputs, paper = "forget_accuracy", "classes", _PAPERS["mu_mis"]
    function = staticmethod(lambda ours, labels: 100.0 * (ours == labels).mean())


class UnlearningAccuracy(_Module):
    """UA: 100 − FA, percent, on the forget set."""

    module_name, inputs, paper = "unlearning_accuracy", "classes", _PAPERS["salun"]
    function = staticmethod(lambda ours, labels: 100.0 * (ours != labels).mean())


class AverageGap(_Module):
    """Mean absolute difference to the retrained model over the figures given (FA, RA, TA; or UA, RA, TA, MIA), points.

    Lower is better.
    """

    module_name, inputs, paper = "average_gap", "figures", _PAPERS["mu_mis"]
    function = staticmethod(lambda ours, theirs: np.abs(ours - theirs).mean())


class TugOfWar(_Module):
    """ToW: product of 1 − |difference to the retrained model| over FA, RA and TA, given in percent. 1 is best."""

    module_name, inputs, paper = "tug_of_war", "figures", _PAPERS["tug_of_war"]
    function = staticmethod(lambda ours, theirs: np.prod(1.0 - np.abs(ours - theirs) / 100.0))


class KLDivergence(_Module):
    """Mean KL(retrained ‖ model) over samples, nats. Lower is better."""

    module_name, inputs = "kl_divergence", "pairs"
    function = staticmethod(divergences.kl_divergence)


class JSDivergence(_Module):
    """Mean Jensen-Shannon divergence to the retrained model, nats, at most ln 2. Lower is better."""

    module_name, inputs = "js_divergence", "pairs"
    function = staticmethod(divergences.js_divergence)


class ZeroRetrainForgetting(_Module):
    """ZRF: 1 − mean JS divergence to a randomly initialised model; the target is the retrained model's value."""

    module_name, inputs, paper = "zero_retrain_forgetting", "pairs", _PAPERS["bad_teacher"]
    function = staticmethod(divergences.zero_retrain_forgetting)


class ActivationDistance(_Module):
    """Mean L2 distance between the probabilities of the model and of the retrained one. Lower is better."""

    module_name, inputs, paper = "activation_distance", "pairs", _PAPERS["distance"]
    function = staticmethod(divergences.activation_distance)


class Completeness(_Module):
    """Share of samples with the retrained model's answer, percent. Higher is better."""

    module_name, inputs = "completeness", "pairs"
    function = staticmethod(divergences.completeness)


class ModifiedEntropy(_Module):
    """Mean modified entropy, nats: near 0 for sure and right answers. The target is the retrained model's value."""

    module_name, inputs, paper = "modified_entropy", "labelled", _PAPERS["modified_entropy"]
    function = staticmethod(samples.modified_entropy)


def _by_set(values: np.ndarray, sets: np.ndarray, *wanted: int) -> Any:
    return [values[sets == one] for one in wanted]


class MIAEntropy(_Module):
    """Entropy attack: share of forget samples called members, percent. The target is the retrained model's value."""

    module_name, inputs, paper = "mia_entropy", "splits", _PAPERS["ssd"]
    function = staticmethod(lambda v, s: membership.entropy_attack(*_by_set(v, s, RETAIN, TEST, FORGET)))


class MIAConfidence(_Module):
    """Confidence attack: share of forget samples called non-members, percent: the other direction of MIAEntropy."""

    module_name, inputs, paper = "mia_confidence", "splits", _PAPERS["salun"]

    @staticmethod
    def function(values: np.ndarray, sets: np.ndarray, seed: int = 0) -> float:
        retain, test, forget = _by_set(values, sets, RETAIN, TEST, FORGET)
        return membership.confidence_attack(retain, test, forget, seed)


class MIALoss(_Module):
    """Loss attack: how well losses tell forget from test, percent. 50 is chance."""

    module_name, inputs = "mia_loss", "splits"

    @staticmethod
    def function(values: np.ndarray, sets: np.ndarray, seed: int = 0) -> float:
        forget, test = _by_set(values, sets, FORGET, TEST)
        return membership.loss_attack(forget, test, seed)


class MembershipAUC(_Module):
    """AUC of a membership score (RMIA's, say), forget against test, percent. 50 is chance."""

    module_name, inputs, paper = "membership_auc", "splits", _PAPERS["rmia"]
    function = staticmethod(lambda v, s: rmia.auc(*_by_set(v, s, FORGET, TEST)))


class MembershipTPR(_Module):
    """Share of forget samples found at a false-positive rate of `fpr` (default 1 %) on test samples, percent."""

    module_name, inputs, paper = "membership_tpr", "splits", _PAPERS["rmia"]

    @staticmethod
    def function(values: np.ndarray, sets: np.ndarray, fpr: float = 0.01) -> float:
        forget, test = _by_set(values, sets, FORGET, TEST)
        return rmia.tpr_at_fpr(forget, test, fpr)


class ResidualContribution(_Module):
    """Mean sensitivity of the model over the retrained model's, from per-sample values. 1 is the target."""

    module_name, inputs, paper = "residual_contribution", "figures", _PAPERS["mu_mis"]
    function = staticmethod(lambda ours, theirs: residual.residual_contribution(ours.mean(), theirs.mean()))


class RelearnTime(_Module):
    """Steps to relearn over the retrained model's, means over runs. 1 is the target; below it the model remembers."""

    module_name, inputs = "relearn_time", "figures"
    function = staticmethod(lambda ours, theirs: accuracies.runtime_ratio(ours.mean(), theirs.mean()))


class RuntimeEfficiency(_Module):
    """RTE: seconds of unlearning over seconds of retraining, means over runs. Lower is better."""

    module_name, inputs = "runtime_efficiency", "figures"
    function = staticmethod(lambda ours, theirs: accuracies.runtime_ratio(ours.mean(), theirs.mean()))


MODULES: dict[str, type[_Module]] = {module.module_name: module for module in _Module.__subclasses__()}


class UnlearningMetric(evaluate.Metric):
    """The module that `evaluate.load` makes: the one of [`MODULES`] that `config_name` names."""

    def __new__(cls, config_name: str | None = None, **settings: Any) -> Any:
        if config_name not in MODULES:
            raise UnlearningError(
                f"config_name {config_name!r} is not a metric, as in evaluate.load(module_path(), 'js_divergence'); "
                f"{did_you_mean(config_name, MODULES)}"
            )
        return MODULES[config_name](config_name=config_name, **settings)


def module_path(name: str | None = None) -> str:
    """The script that `evaluate.load` takes, whose configurations are the metrics.

    Args:
        name: of a metric that is to be loaded from it: `evaluate.load(module_path(name), name)`.

    Raises:
        UnlearningError: there is no such metric.
    """
    if name is not None and name not in MODULES:
        raise UnlearningError(f"metric {name!r} is not known; {did_you_mean(name, MODULES)}")
    return str(Path(__file__).with_name("unlearning_metric.py"))

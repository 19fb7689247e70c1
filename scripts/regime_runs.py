"""What the study of regimes runs on a trained model, and what it measures of the result."""

from __future__ import annotations

from typing import Any

import numpy as np
from regime_grid import SEEDS, Case
from study_runs import VARIANTS, Measured
from study_settings import Request
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import collate
from hf_unlearn.evaluation.attacks.membership import TooFewSamples, loss_attack
from hf_unlearn.evaluation.attacks.probing import unseen_rows
from hf_unlearn.evaluation.attacks.rmia import auc, likelihood_ratios, rmia_scores
from hf_unlearn.evaluation.contest import split_figures
from hf_unlearn.evaluation.controls import MaskedLogits
from hf_unlearn.evaluation.metrics.accuracies import average_gap
from hf_unlearn.evaluation.metrics.divergences import js_divergence
from hf_unlearn.evaluation.metrics.samples import SampleFigures
from hf_unlearn.evaluation.predict import predict_logits
from hf_unlearn.models.head import find_head

# The controls take no run: they are read off the original.
DO_NOTHING, MASK, RETRAINED, AGAIN = "do nothing", "mask the logit", "retrained", "retrained again"
HEAD_ONLY = "head only"
PAPER = "paper"
# Name: method, its settings, whether the classifier head alone may move.
RUNS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "default": ("mu_mis", {}, False),
    HEAD_ONLY: ("mu_mis", {}, True),
    PAPER: ("mu_mis", VARIANTS["paper"], False),
    "SCRUB": ("scrub", {}, False),
    "SSD": ("ssd", {}, False),
}
# Dearer than all others together, so they are run for the first seed alone.
WITH_RETAIN_DATA = ("SCRUB", "SSD")
FIGURES = (
    *("forget_accuracy", "retain_accuracy", "test_accuracy", "test_accuracy_remaining", "test_accuracy_forgotten"),
    *("sibling_accuracy", "average_gap", "js_divergence", "mia_loss", "rmia_auc"),
)
Logits = dict[str, np.ndarray]


def variants_of(request: Request, seed: int) -> list[str]:
    """The rows of a request and seed: where the label stays, its logit cannot be masked, nor forget accuracy be 1 %.

    First doing nothing, which the next start holds its models against.
    """
    whole = request.kind in ("class", "classes")
    controls = [DO_NOTHING, RETRAINED, AGAIN, *([MASK] if whole else [])]
    left_out = [*([] if whole else [PAPER]), *([] if seed == SEEDS[0] else WITH_RETAIN_DATA)]
    return [*controls, *(name for name in RUNS if name not in left_out)]


class RegimeMeasured(Measured):
    """The splits of a request as pixels, and the figures of a model's answers on them."""

    def logits(self, model: PreTrainedModel) -> Logits:
        """A model's answers by split."""
        return {name: predict_logits({"m": model.eval()}, part)["m"] for name, part in self.parts.items()}

    def masked(self, logits: Logits) -> Logits:
        """The same with the logits of the forgotten classes taken away (a number that leaves them no probability)."""
        gone = np.unique(self.parts["forget"].labels.numpy()).tolist()
        return {name: MaskedLogits(values, gone)[:] for name, values in logits.items()}

    def row(self, logits: Logits, retrained: Logits, reference: Logits) -> dict[str, Any]:
        """Figures in percent, but for the divergence (nats) and the gap (points).

        Args:
            retrained: answers of the model retrained with the same seed: what the gap and the divergence are to.
            reference: answers of one retrained with another seed: what RMIA needs.
        """
        samples, theirs, out = (self._samples(each) for each in (logits, retrained, reference))
        figures = split_figures(samples, self.splits.test_forgotten)
        target = split_figures(theirs, self.splits.test_forgotten)
        gap = average_gap(figures, target)
        found: dict[str, float | None] = {
            **figures,
            "sibling_accuracy": figures["test_accuracy_siblings"],
            "average_gap": gap,
            "js_divergence": js_divergence(logits["forget"], retrained["forget"]),
            **self._membership(samples, out),
        }
        return {name: value if value is None else round(value, 5) for name, value in found.items() if name in FIGURES}

    def _samples(self, logits: Logits) -> dict[str, SampleFigures]:
        return {name: SampleFigures.of(values, self.parts[name].labels.numpy()) for name, values in logits.items()}

    def _membership(self, samples: dict[str, SampleFigures], out: dict[str, SampleFigures]) -> dict[str, float | None]:
        rows = np.flatnonzero(unseen_rows(self.splits))
        forget, like = samples["forget"].log_confidence, samples["test"].log_confidence

        def ratios(name: str, chosen: Any = slice(None)) -> np.ndarray:
            return likelihood_ratios(samples[name].log_confidence[chosen], [out[name].log_confidence[chosen]])

        try:
            population = ratios("test", rows[1::2])
            ours, strangers = (
                rmia_scores(ratios("forget"), population),
                rmia_scores(ratios("test", rows[::2]), population),
            )
            return {"mia_loss": loss_attack(-forget, -like[rows]), "rmia_auc": auc(ours, strangers)}
        except TooFewSamples:
            return {"mia_loss": None, "rmia_auc": None}


def freeze_all_but_head(model: PreTrainedModel, measured: Measured) -> None:
    """Let the classifier head alone move."""
    head = find_head(model, collate(measured.parts["forget"].__getitems__([0]))["pixel_values"])
    model.requires_grad_(False)
    head.requires_grad_(True)


def row_of(
    case: Case, request: Request, seed: int, variant: str, figures: dict[str, Any], run: dict[str, Any]
) -> dict[str, Any]:
    """A line of the CSV. `cost_percent` is the run's share of the forward-equivalents of the retraining."""
    return {
        "regime": case.regime,
        "dataset": case.recipe.dataset,
        "model": case.recipe.architecture,
        "seed": seed,
        "request": request.name,
        "variant": variant,
        **figures,
        "refused_gap": run.get("refused_gap"),
        "cost_percent": round(run.get("cost_percent", 0.0), 3),
        "steps": run.get("steps", 0),
        "seconds": run.get("seconds", 0),
        "stopped": run.get("stopped", ""),
    }

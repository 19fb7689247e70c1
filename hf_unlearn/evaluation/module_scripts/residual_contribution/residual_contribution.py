"""For `evaluate.load`: the metric residual_contribution."""

from hf_unlearn.evaluation.modules import ResidualContribution

__all__ = ["ResidualContribution"]

"""For `evaluate.load`: the metric kl_divergence."""

from hf_unlearn.evaluation.modules import KLDivergence

__all__ = ["KLDivergence"]

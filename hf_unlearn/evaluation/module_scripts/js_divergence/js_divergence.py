"""For `evaluate.load`: the metric js_divergence."""

from hf_unlearn.evaluation.modules import JSDivergence

__all__ = ["JSDivergence"]

"""For `evaluate.load`: the metric mia_entropy."""

from hf_unlearn.evaluation.modules import MIAEntropy

__all__ = ["MIAEntropy"]

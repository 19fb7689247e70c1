"""For `evaluate.load`: the metric modified_entropy."""

from hf_unlearn.evaluation.modules import ModifiedEntropy

__all__ = ["ModifiedEntropy"]

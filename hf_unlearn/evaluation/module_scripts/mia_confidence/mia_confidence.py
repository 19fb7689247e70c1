"""For `evaluate.load`: the metric mia_confidence."""

from hf_unlearn.evaluation.modules import MIAConfidence

__all__ = ["MIAConfidence"]

"""For `evaluate.load`: the metric average_gap."""

from hf_unlearn.evaluation.modules import AverageGap

__all__ = ["AverageGap"]

"""For `evaluate.load`: the metric mia_loss."""

from hf_unlearn.evaluation.modules import MIALoss

__all__ = ["MIALoss"]

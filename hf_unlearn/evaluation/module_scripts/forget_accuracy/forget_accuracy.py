"""For `evaluate.load`: the metric forget_accuracy."""

from hf_unlearn.evaluation.modules import ForgetAccuracy

__all__ = ["ForgetAccuracy"]

"""For `evaluate.load`: the metric unlearning_accuracy."""

from hf_unlearn.evaluation.modules import UnlearningAccuracy

__all__ = ["UnlearningAccuracy"]

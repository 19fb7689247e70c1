"""For `evaluate.load`: the metric activation_distance."""

from hf_unlearn.evaluation.modules import ActivationDistance

__all__ = ["ActivationDistance"]

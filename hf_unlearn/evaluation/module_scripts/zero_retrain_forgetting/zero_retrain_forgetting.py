"""For `evaluate.load`: the metric zero_retrain_forgetting."""

from hf_unlearn.evaluation.modules import ZeroRetrainForgetting

__all__ = ["ZeroRetrainForgetting"]

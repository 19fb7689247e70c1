"""The maths of unlearning: pure torch, no transformers."""

from hf_unlearn.objectives.irrelevant import IrrelevantClassSampler, draw_irrelevant_classes
from hf_unlearn.objectives.mu_mis import OBJECTIVES, difference_loss, log_ratio_loss
from hf_unlearn.objectives.relative_sgd import RelativeSGD
from hf_unlearn.objectives.sensitivity import double_backward_attention, squared_input_sensitivities

__all__ = [
    "OBJECTIVES",
    "IrrelevantClassSampler",
    "RelativeSGD",
    "difference_loss",
    "double_backward_attention",
    "draw_irrelevant_classes",
    "log_ratio_loss",
    "squared_input_sensitivities",
]

"""The maths of unlearning: pure torch, no transformers."""

from hf_unlearn.objectives.family import OBJECTIVES, Objective
from hf_unlearn.objectives.guards import shifted_divergence
from hf_unlearn.objectives.irrelevant import IrrelevantClassSampler, draw_irrelevant_classes
from hf_unlearn.objectives.mu_mis import difference_loss, log_ratio_loss, matched_loss
from hf_unlearn.objectives.relative_sgd import RelativeSGD
from hf_unlearn.objectives.sensitivity import double_backward_attention, squared_input_sensitivities
from hf_unlearn.objectives.surroundings import Surroundings

__all__ = [
    "OBJECTIVES",
    "IrrelevantClassSampler",
    "Objective",
    "RelativeSGD",
    "Surroundings",
    "difference_loss",
    "double_backward_attention",
    "draw_irrelevant_classes",
    "log_ratio_loss",
    "matched_loss",
    "shifted_divergence",
    "squared_input_sensitivities",
]

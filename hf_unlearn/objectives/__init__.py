"""The maths of unlearning: pure torch, no transformers."""

from hf_unlearn.objectives.distillation import teacher_divergence
from hf_unlearn.objectives.family import OBJECTIVES, Objective
from hf_unlearn.objectives.guards import shifted_divergence
from hf_unlearn.objectives.importance import dampening_factors, l1_norm, saliency_mask
from hf_unlearn.objectives.irrelevant import IrrelevantClassSampler, draw_irrelevant_classes
from hf_unlearn.objectives.jitter import JITTERS, draw_copies
from hf_unlearn.objectives.labelling import RandomLabels, label_loss, nearest_other_class
from hf_unlearn.objectives.lipschitz import SampleNoise, lipschitz_ratio
from hf_unlearn.objectives.mu_mis import difference_loss, log_ratio_loss, matched_loss
from hf_unlearn.objectives.relative_adam import RelativeAdam
from hf_unlearn.objectives.relative_sgd import RelativeSGD
from hf_unlearn.objectives.second_order import double_backward, single_backward, zero_of
from hf_unlearn.objectives.sensitivity import squared_input_sensitivities
from hf_unlearn.objectives.surroundings import Surroundings

__all__ = [
    "JITTERS",
    "OBJECTIVES",
    "IrrelevantClassSampler",
    "Objective",
    "RandomLabels",
    "RelativeAdam",
    "RelativeSGD",
    "SampleNoise",
    "Surroundings",
    "dampening_factors",
    "difference_loss",
    "double_backward",
    "draw_copies",
    "draw_irrelevant_classes",
    "l1_norm",
    "label_loss",
    "lipschitz_ratio",
    "log_ratio_loss",
    "matched_loss",
    "nearest_other_class",
    "saliency_mask",
    "shifted_divergence",
    "single_backward",
    "squared_input_sensitivities",
    "teacher_divergence",
    "zero_of",
]

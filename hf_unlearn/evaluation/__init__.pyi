from .attacks.membership import TooFewSamples as TooFewSamples
from .attacks.membership import confidence_attack as confidence_attack
from .attacks.membership import entropy_attack as entropy_attack
from .attacks.membership import loss_attack as loss_attack
from .attacks.relearning import relearn as relearn
from .attacks.relearning import remembered as remembered
from .attacks.residual import residual_contribution as residual_contribution
from .attacks.residual import sensitivities as sensitivities
from .attacks.rmia import auc as auc
from .attacks.rmia import likelihood_ratios as likelihood_ratios
from .attacks.rmia import rmia_scores as rmia_scores
from .attacks.rmia import tpr_at_fpr as tpr_at_fpr
from .contest import compare_models as compare_models
from .depth.features import NoLinearHead as NoLinearHead
from .depth.features import features_of as features_of
from .depth.jitter import jitter_gap as jitter_gap
from .depth.jitter import jittered as jittered
from .depth.probes import intra_class_cosine as intra_class_cosine
from .depth.probes import linear_probe as linear_probe
from .depth.probes import mlp_probe as mlp_probe
from .depth.probes import over_classes as over_classes
from .depth.probes import prototype_recall as prototype_recall
from .depth.probes import shifted_recall as shifted_recall
from .depth.share import Depth as Depth
from .depth.share import depth_of as depth_of
from .depth.share import mean_depth as mean_depth
from .depth.weights import barrier as barrier
from .depth.weights import straight_line as straight_line
from .depth.weights import weight_distance as weight_distance
from .metrics.accuracies import accuracy as accuracy
from .metrics.accuracies import average_gap as average_gap
from .metrics.accuracies import runtime_ratio as runtime_ratio
from .metrics.accuracies import siblings as siblings
from .metrics.accuracies import tug_of_war as tug_of_war
from .metrics.accuracies import unlearning_accuracy as unlearning_accuracy
from .metrics.divergences import activation_distance as activation_distance
from .metrics.divergences import completeness as completeness
from .metrics.divergences import js_divergence as js_divergence
from .metrics.divergences import kl_divergence as kl_divergence
from .metrics.divergences import zero_retrain_forgetting as zero_retrain_forgetting
from .metrics.samples import modified_entropy as modified_entropy
from .modules import module_path as module_path
from .predict import Contestant as Contestant
from .predict import predict_logits as predict_logits
from .report.results import Comparison as Comparison

__all__ = [
    "Comparison",
    "Contestant",
    "Depth",
    "NoLinearHead",
    "TooFewSamples",
    "accuracy",
    "activation_distance",
    "auc",
    "average_gap",
    "barrier",
    "compare_models",
    "completeness",
    "confidence_attack",
    "depth_of",
    "entropy_attack",
    "features_of",
    "intra_class_cosine",
    "jitter_gap",
    "jittered",
    "js_divergence",
    "kl_divergence",
    "likelihood_ratios",
    "linear_probe",
    "loss_attack",
    "mean_depth",
    "mlp_probe",
    "modified_entropy",
    "module_path",
    "over_classes",
    "predict_logits",
    "prototype_recall",
    "relearn",
    "remembered",
    "residual_contribution",
    "rmia_scores",
    "runtime_ratio",
    "sensitivities",
    "shifted_recall",
    "siblings",
    "straight_line",
    "tpr_at_fpr",
    "tug_of_war",
    "unlearning_accuracy",
    "weight_distance",
    "zero_retrain_forgetting",
]

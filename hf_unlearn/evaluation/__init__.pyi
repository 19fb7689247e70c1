from .attacks.membership import TooFewSamples as TooFewSamples
from .attacks.membership import confidence_attack as confidence_attack
from .attacks.membership import entropy_attack as entropy_attack
from .attacks.membership import loss_attack as loss_attack
from .attacks.relearning import relearn as relearn
from .attacks.residual import residual_contribution as residual_contribution
from .attacks.residual import sensitivities as sensitivities
from .attacks.rmia import auc as auc
from .attacks.rmia import likelihood_ratios as likelihood_ratios
from .attacks.rmia import rmia_scores as rmia_scores
from .attacks.rmia import tpr_at_fpr as tpr_at_fpr
from .contest import compare_models as compare_models
from .metrics.accuracies import accuracy as accuracy
from .metrics.accuracies import average_gap as average_gap
from .metrics.accuracies import runtime_ratio as runtime_ratio
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
    "TooFewSamples",
    "accuracy",
    "activation_distance",
    "auc",
    "average_gap",
    "compare_models",
    "completeness",
    "confidence_attack",
    "entropy_attack",
    "js_divergence",
    "kl_divergence",
    "likelihood_ratios",
    "loss_attack",
    "modified_entropy",
    "module_path",
    "predict_logits",
    "relearn",
    "residual_contribution",
    "rmia_scores",
    "runtime_ratio",
    "sensitivities",
    "tpr_at_fpr",
    "tug_of_war",
    "unlearning_accuracy",
    "zero_retrain_forgetting",
]

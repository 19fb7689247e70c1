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
from .audits.answers import Answers as Answers
from .audits.answers import Halves as Halves
from .audits.forgetting_quality import example_epsilons as example_epsilons
from .audits.forgetting_quality import final_score as final_score
from .audits.forgetting_quality import forgetting_quality as forgetting_quality
from .audits.klom import klom as klom
from .audits.klom import klom_percentile as klom_percentile
from .audits.margins import margins as margins
from .audits.models import audit_models as audit_models
from .audits.u_lira import MembershipAttack as MembershipAttack
from .audits.u_lira import u_lira as u_lira
from .audits.verdict import Audit as Audit
from .audits.verdict import audit_answers as audit_answers
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
    "Answers",
    "Audit",
    "Comparison",
    "Contestant",
    "Depth",
    "Halves",
    "MembershipAttack",
    "NoLinearHead",
    "TooFewSamples",
    "accuracy",
    "activation_distance",
    "auc",
    "audit_answers",
    "audit_models",
    "average_gap",
    "barrier",
    "compare_models",
    "completeness",
    "confidence_attack",
    "depth_of",
    "entropy_attack",
    "example_epsilons",
    "features_of",
    "final_score",
    "forgetting_quality",
    "intra_class_cosine",
    "jitter_gap",
    "jittered",
    "js_divergence",
    "kl_divergence",
    "klom",
    "klom_percentile",
    "likelihood_ratios",
    "linear_probe",
    "loss_attack",
    "margins",
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
    "u_lira",
    "unlearning_accuracy",
    "weight_distance",
    "zero_retrain_forgetting",
]

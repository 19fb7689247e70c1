"""For `evaluate.load`: the metric membership_auc."""

from hf_unlearn.evaluation.modules import MembershipAUC

__all__ = ["MembershipAUC"]

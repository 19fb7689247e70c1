"""For `evaluate.load`: the metric membership_tpr."""

from hf_unlearn.evaluation.modules import MembershipTPR

__all__ = ["MembershipTPR"]

"""For `evaluate.load`: the metric completeness."""

from hf_unlearn.evaluation.modules import Completeness

__all__ = ["Completeness"]

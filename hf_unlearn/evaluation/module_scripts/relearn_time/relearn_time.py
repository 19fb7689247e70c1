"""For `evaluate.load`: the metric relearn_time."""

from hf_unlearn.evaluation.modules import RelearnTime

__all__ = ["RelearnTime"]

"""For `evaluate.load`: the metric runtime_efficiency."""

from hf_unlearn.evaluation.modules import RuntimeEfficiency

__all__ = ["RuntimeEfficiency"]

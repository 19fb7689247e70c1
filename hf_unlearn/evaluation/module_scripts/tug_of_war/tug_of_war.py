"""For `evaluate.load`: the metric tug_of_war."""

from hf_unlearn.evaluation.modules import TugOfWar

__all__ = ["TugOfWar"]

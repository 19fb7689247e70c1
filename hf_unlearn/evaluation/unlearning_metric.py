"""For `evaluate.load`: any of the metrics, by `config_name` (see [`hf_unlearn.evaluation.module_path`])."""

from hf_unlearn.evaluation.modules import UnlearningMetric

__all__ = ["UnlearningMetric"]

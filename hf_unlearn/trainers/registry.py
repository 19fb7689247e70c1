"""The methods by name. A method's line here is what makes `--method NAME` know it."""

from __future__ import annotations

from typing import NamedTuple

from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.trainers import method_parameters as parameters
from hf_unlearn.trainers.parameters import MUMisParameters, UnlearningParameters


class Method(NamedTuple):
    """Where a method lives: names of its classes in `hf_unlearn.trainers`, and its light parameters.

    The classes of the method `x` are in `x_config.py` and `x_trainer.py`. `retain_free`: it looks at the forget set
    alone; otherwise it needs the rest of the training set.
    """

    config: str
    trainer: str
    parameters: type[UnlearningParameters]
    retain_free: bool = True


METHODS = {
    "mu_mis": Method("MUMisConfig", "MUMisTrainer", MUMisParameters),
    "gradient_ascent": Method("GradientAscentConfig", "GradientAscentTrainer", parameters.GradientAscentParameters),
    "random_labels": Method("RandomLabelsConfig", "RandomLabelsTrainer", parameters.RandomLabelsParameters),
    "delete": Method("DeleteConfig", "DeleteTrainer", parameters.DeleteParameters),
    "jit": Method("JiTConfig", "JiTTrainer", parameters.JiTParameters),
    "boundary_shrink": Method("BoundaryShrinkConfig", "BoundaryShrinkTrainer", parameters.BoundaryShrinkParameters),
    "salun_forget": Method("SalUnForgetConfig", "SalUnForgetTrainer", parameters.SalUnForgetParameters),
    "fine_tune": Method("FineTuneConfig", "FineTuneTrainer", parameters.FineTuneParameters, retain_free=False),
    "l1_sparse": Method("L1SparseConfig", "L1SparseTrainer", parameters.L1SparseParameters, retain_free=False),
    "neggrad_plus": Method(
        "NegGradPlusConfig", "NegGradPlusTrainer", parameters.NegGradPlusParameters, retain_free=False
    ),
    "salun": Method("SalUnConfig", "SalUnTrainer", parameters.SalUnParameters, retain_free=False),
    "scrub": Method("ScrubConfig", "ScrubTrainer", parameters.ScrubParameters, retain_free=False),
    "bad_teacher": Method("BadTeacherConfig", "BadTeacherTrainer", parameters.BadTeacherParameters, retain_free=False),
    "ssd": Method("SSDConfig", "SSDTrainer", parameters.SSDParameters, retain_free=False),
    "retrain": Method("RetrainConfig", "RetrainTrainer", parameters.RetrainParameters, retain_free=False),
}
METHOD_HELP = (
    "The unlearning method. From the forget set alone: "
    + ", ".join(name for name, method in METHODS.items() if method.retain_free)
    + ". With the rest of the training set: "
    + ", ".join(name for name, method in METHODS.items() if not method.retain_free)
    + "."
)


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        UnlearningError: there is none.
    """
    if name not in METHODS:
        raise UnlearningError(f"method {name!r} is not known; {did_you_mean(name, METHODS)}")
    return METHODS[name]

"""The methods by name. A method's line here is what makes `--method NAME` know it."""

from __future__ import annotations

from typing import NamedTuple

from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.trainers.parameters import MUMisParameters, UnlearningParameters


class Method(NamedTuple):
    """Where a method lives: names of its classes in `hf_unlearn.trainers`, and its light parameters."""

    config: str
    trainer: str
    parameters: type[UnlearningParameters]


METHODS = {
    "mu_mis": Method("MUMisConfig", "MUMisTrainer", MUMisParameters),
}


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        UnlearningError: there is none.
    """
    if name not in METHODS:
        raise UnlearningError(f"method {name!r} is not known; {did_you_mean(name, METHODS)}")
    return METHODS[name]

"""How long an audit takes, said before it starts."""

from __future__ import annotations

from collections.abc import Callable

from hf_unlearn.ensembles.ensemble import TRAINED
from hf_unlearn.ensembles.workshop import Workshop
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.audits.margins import LEAST_MODELS


class Plan:
    """What is still to be made, and how long it takes.

    Args:
        num_processes: models that are made side by side.
    """

    def __init__(self, shop: Workshop, num_processes: int):
        self.shop = shop
        self.num_processes = num_processes

    def missing(self) -> dict[str, int]:
        """How many models of each kind are not there yet."""
        numbers = range(self.shop.ensemble.num_models)
        return {
            kind: sum(not self.shop.is_there(kind, number) for number in numbers) for kind in self.shop.ensemble.kinds()
        }

    def training(self) -> float:
        """Seconds that training the missing models takes, by the time of a few steps. Unlearning is not in it."""
        steps = sum(
            count * self.shop.steps(kind) for kind, count in self.missing().items() if kind in TRAINED and count
        )
        return self.shop.rehearse() * steps / self.num_processes if steps else 0.0

    def rest(self) -> float:
        """Seconds that the missing models take, by what those of the first number took."""
        return (
            sum(
                count * self.shop.cache.seconds(self.shop.name(kind, 0))
                for kind, count in self.missing().items()
                if self.shop.is_there(kind, 0)
            )
            / self.num_processes
        )


def check_time(
    seconds: float, what: str, num_models: int, max_minutes: float | None, report: Callable[[str], None]
) -> None:
    """Say how long something takes, and refuse it if it is too long.

    Raises:
        UnlearningError: it takes more than `max_minutes`.
    """
    if seconds < 1:
        return
    minutes = seconds / 60
    if max_minutes is not None and minutes > max_minutes:
        fits = int(num_models * max_minutes / minutes)
        fewer = f"at most {fits} models" if fits >= LEAST_MODELS else "smaller models"
        raise UnlearningError(
            f"{num_models} models take about {minutes:.1f} minutes ({what}), and max_minutes is {max_minutes:g}; "
            f"expected a later end, more num_processes, or {fewer}"
        )
    report(f"{what}: about {minutes:.1f} minutes")

"""How hard a run pushes, steered by what it reaches."""

from __future__ import annotations

import math
from typing import Any

from hf_unlearn.trainers.safety.stopping import Latest, StepFigures, StopRule


class Steering(StopRule):
    """Never stops a run; after each pass it pushes harder where too many forget samples are recognised, else less.

    What holds the model to its other answers works against the forget samples' amounts, more in one model than in
    another, so that the amounts alone are not what comes out.

    Args:
        expected: share of the forget samples that are to be recognised, 0 to 1.
        window: samples of a pass, or fewer.

    Attributes:
        push: by what the amounts are multiplied.
    """

    # After a pass with a share of 0.1 too many, push by e^(0.1 GAIN); no harder and no less than this.
    GAIN, LEAST, MOST = 2.0, 0.5, 3.0

    def __init__(self, expected: float, window: int):
        self.expected, self.window = expected, window
        self.push, self.since = 1.0, 0.0
        self.latest: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        mean = Latest(self.window, self.latest).add(figures["correct"], figures["samples"])
        self.since += figures["samples"]
        if mean is not None and self.since >= self.window:
            self.since = 0.0
            self.push = min(self.MOST, max(self.LEAST, self.push * math.exp(self.GAIN * (mean - self.expected))))
        return None

    def _arguments(self) -> dict[str, Any]:
        return {"expected": self.expected, "window": self.window}

    def _memory(self) -> dict[str, Any]:
        return {"push": self.push, "since": self.since, "latest": self.latest}

"""A run that leads away from forgetting, seen while it runs."""

from __future__ import annotations

from hf_unlearn.trainers.safety.stopping import Latest, StepFigures, StopRule


class WrongWay(StopRule):
    """Ends a run that leads away from forgetting: sensitivities collapse, or confidence rises, in the own class.

    Fatal: the trainer puts the original weights back.

    Args:
        window: samples that figures are averaged over.
        watch_sensitivity: whether a target sensitivity that collapses while the confidence stays is a wrong way.
    """

    fatal = True

    def __init__(self, window: int = 96, watch_sensitivity: bool = True):
        self.window = window
        self.watch_sensitivity = watch_sensitivity
        self.first: list[float] | None = None
        self.confidences: list[list[float]] = []
        self.rises: list[list[float]] = []
        self.targets: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        samples = figures["samples"]
        confidence, target = figures["confidence"], figures.get("target_sensitivity", 0.0)
        if self.first is None:
            self.first = [confidence / samples, target / samples]
        # Sample by sample against the original where that is known: batches differ in how sure the original is of
        # them, most of all where it is sure of few.
        before = figures.get("original_confidence", self.first[0] * samples)
        mean_confidence = Latest(self.window, self.confidences).add(confidence, samples)
        rise = Latest(self.window, self.rises).add(confidence - before, samples)
        mean_target = Latest(self.window, self.targets).add(target, samples)
        if mean_confidence is None or mean_target is None or rise is None:
            return None
        fallen = self.first[1] > 0 and mean_target < 0.25 * self.first[1] and rise > -0.02
        if not (rise > 0.05 or (fallen and self.watch_sensitivity)):
            return None
        return (
            f"the model grew surer of what it should forget (confidence {100 * (mean_confidence - rise):.1f} -> "
            f"{100 * mean_confidence:.1f} %, target sensitivity {self.first[1]:.3g} -> {mean_target:.3g})"
        )

    def _arguments(self) -> dict[str, int]:
        return {"window": self.window, "watch_sensitivity": self.watch_sensitivity}

    def _memory(self) -> dict[str, object]:
        names = ("first", "confidences", "rises", "targets")
        return {name: getattr(self, name) for name in names}

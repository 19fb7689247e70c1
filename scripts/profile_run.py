"""Where the time of `hf-unlearn unlearn` goes, from the command to the saved model.

    python scripts/profile_run.py --model_name_or_path MODEL --dataset_name DATASET --forget_classes Sneaker \
        --output_dir /tmp/forgot

Takes the command's own flags. Each stretch of time counts once, for the innermost of the parts that were going on.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

STEPS = "forward and backward"
# They are passes of the models, too, though not of a step.
PASSES = (STEPS, "premise and probe", "checks of the outcome")


class Stopwatch:
    """Seconds by part; a part that begins inside another one stops the outer one's clock."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._going: list[str] = []
        self._since = time.perf_counter()

    def switch(self, enter: str | None) -> None:
        """Begin the part `enter`, or end the innermost one."""
        now = time.perf_counter()
        current = self._going[-1] if self._going else "rest"
        self.seconds[current] = self.seconds.get(current, 0.0) + now - self._since
        self._since = now
        if enter is None:
            self._going.pop()
        else:
            self._going.append(enter)

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, on the clock of `part`."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.switch(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch(None)

        return timed


def watch(clock: Stopwatch) -> None:
    """Put the parts on the clock."""
    from hf_unlearn.commands import unlearn
    from hf_unlearn.data.pixels import PixelDataset
    from hf_unlearn.objectives import RelativeSGD
    from hf_unlearn.publishing import card
    from hf_unlearn.trainers.base import own_figures, trainer
    from hf_unlearn.trainers.methods.mu_mis import MUMisTrainer

    parts: list[tuple[str, Any, str]] = [
        ("reading the dataset and the request", unlearn, "load_splits"),
        ("loading the model", unlearn, "load_model"),
        ("decoding and preprocessing", PixelDataset, "preload"),
        ("decoding and preprocessing", PixelDataset, "process"),
        ("making the trainer", MUMisTrainer, "__init__"),
        ("premise and probe", MUMisTrainer, "before_first_step"),
        ("premise and probe", trainer, "probe_double_backward"),
        (STEPS, MUMisTrainer, "training_step"),
        ("optimizer and figures of a step", RelativeSGD, "step"),
        ("optimizer and figures of a step", MUMisTrainer, "finish_step"),
        ("checks of the outcome", MUMisTrainer, "check_outcome"),
        ("checks of the outcome", own_figures, "quick_checks"),
        ("saving", MUMisTrainer, "save_with_record"),
        ("card", card, "write_card"),
    ]
    for part, owner, name in parts:
        setattr(owner, name, clock.around(part, getattr(owner, name)))


def main() -> None:
    clock = Stopwatch()
    clock.switch("imports")
    # What the command imports as it goes, here at once.
    import hf_unlearn.commands.unlearn as command
    import hf_unlearn.publishing.card
    import hf_unlearn.publishing.push
    import hf_unlearn.trainers

    _ = hf_unlearn.trainers.MUMisTrainer, hf_unlearn.publishing
    watch(clock)
    clock.switch(None)
    command.main(sys.argv[1:])
    clock.switch("rest")
    total = sum(clock.seconds.values())
    for part, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        print(f"{part:<40}{seconds:>8.2f} s{100 * seconds / total:>7.1f} %")
    imports = clock.seconds["imports"]
    for what, parts in (("the steps' passes", [STEPS]), ("all passes, those of the checks too", PASSES)):
        outside = total - sum(clock.seconds.get(part, 0.0) for part in parts)
        rest = 100 * (outside - imports) / (total - imports)
        print(f"outside {what}: {100 * outside / total:.1f} %; without imports: {rest:.1f} %")


if __name__ == "__main__":
    main()

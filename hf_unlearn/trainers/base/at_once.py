"""Methods that change the weights all at once, without gradient steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.trainer_utils import TrainOutput

from hf_unlearn.trainers.base.config import UnlearningConfig
from hf_unlearn.trainers.base.settings import setting

if TYPE_CHECKING:
    from hf_unlearn.trainers.base.trainer import UnlearningTrainer

    _Base = UnlearningTrainer
else:
    _Base = object


@dataclass
class AtOnceConfig(UnlearningConfig):
    r"""[`UnlearningConfig`] of methods that change the weights all at once.

    Raises:
        UnlearningError: a value outside its range.
    """

    max_steps: int = setting(1, "One: all weights are changed at once.")
    stop_rule: str = setting("steps", "Not used.", choices=["steps"])

    def check(self) -> None:
        super().check()
        self.expect("max_steps", self.max_steps == 1, "1, since all weights are changed at once")
        self.expect("stop_rule", self.stop_rule == "steps", "'steps', since there is one")


class ChangesAtOnce(_Base):
    """Mixed into an `UnlearningTrainer`: a run is one call of [`change_weights`], always from the original's weights.

    There is no gradient step, so nothing is logged or saved on the way, and a run that was cut short starts anew.
    """

    # What the change came to, in words.
    changed = ""

    def change_weights(self) -> str:
        """Change `self.model`, which has the original's weights; in words, what was done. Without gradients."""
        raise NotImplementedError

    def unlearning_run(self, *args: Any, **kwargs: Any) -> TrainOutput:
        self.model.load_state_dict(self.original_model.state_dict())
        with torch.no_grad():
            self.changed = self.change_weights()
        self.state.global_step = self.state.max_steps = 1
        return TrainOutput(1, 0.0, {})

    @property
    def stop_reason(self) -> str:
        return self.changed or "nothing was changed yet"

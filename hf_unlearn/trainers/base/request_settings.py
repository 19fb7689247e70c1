"""Settings that follow from the kind of request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hf_unlearn.objectives import OBJECTIVES

if TYPE_CHECKING:
    from hf_unlearn.request import UnlearningSplits

# By how many nats a model that never saw the samples is less sure of their label (see `shifted_divergence`), where
# other samples still teach that label. Chosen by hand on two models; the study shows how little they do elsewhere.
SUBCLASS_SHIFT = 4.0
SUBSET_SHIFT = 1.0


def request_settings(splits: UnlearningSplits, objective: str = "matched") -> dict[str, Any]:
    """Settings of MU-Mis that fit the splits' request; pass them to `MUMisConfig`. None for objectives without guards.

    - Whole classes: nothing teaches their label any more, so the target is the original without it, and the
      sensitivity to it goes to the level of irrelevant classes.
    - A sub-class: the label stays in use for other things; a model that never saw the sub-class is far less sure.
    - A subset of classes that stay (random samples, a person's rows): it is a little less sure.

    Where the label stays in use its sensitivity does, too, and no forget accuracy is known to be right: those two leave
    the sensitivity alone and make one round.
    """
    if not OBJECTIVES[objective].guard:
        return {}
    if splits.removes_whole_classes:
        return {"label_shift": math.inf}
    shift = SUBCLASS_SHIFT if splits.request.kind == "subclass" else SUBSET_SHIFT
    return {"label_shift": shift, "sensitivity_weight": 0.0, "max_steps": 60, "stop_rule": "steps"}

"""Stop rules that a run could never fulfil: refused before it, with the reason."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hf_unlearn.errors import UnlearningError
from hf_unlearn.trainers.safety.stopping import PATIENCE

if TYPE_CHECKING:
    from hf_unlearn.trainers.base.config import UnlearningConfig
    from hf_unlearn.trainers.base.method import UnlearningMethod

# The figure that a rule looks at, where not every method measures it.
_LOOKS_AT = {"irrelevant_recovery": "irrelevant_sensitivity"}
# How many steps a rule watches at least, once it has seen a window of samples.
_WATCHES = {"plateau": PATIENCE, "irrelevant_recovery": 1}


def refuse_idle_rule(
    args: UnlearningConfig, method: type[UnlearningMethod] | UnlearningMethod, num_forget: int, num_unseen: int
) -> None:
    """Refuse a `stop_rule` that cannot end a run of `method` with these settings.

    Args:
        num_forget: size of the forget set; 0 where it is not known.
        num_unseen: how many samples there are that the model was not trained on.

    Raises:
        UnlearningError: the rule looks at what this run does not have.
    """
    rule, name = args.stop_rule, method.method_name
    if rule == "steps":
        return
    if method.trains_on == "retain":
        raise UnlearningError(
            f"stop_rule is {rule!r}, but method {name!r} sees no forget sample while it runs; expected 'steps'"
        )
    if method.trains_on == "both" and rule == "round":
        raise UnlearningError(
            f"stop_rule is 'round', but method {name!r} has steps without forget samples; expected another"
        )
    if rule == "unseen" and not num_unseen:
        raise UnlearningError(
            "stop_rule is 'unseen' but no labelled unseen samples were given; expected reference_dataset"
        )
    figure = _LOOKS_AT.get(rule)
    if figure is not None and figure not in method.figures(args):
        said = [(setting, getattr(args, setting, None)) for setting in ("objective", "sensitivity_weight")]
        how = " and ".join(f"{setting} {value!r}" for setting, value in said if value is not None)
        raise UnlearningError(
            f"stop_rule is {rule!r}, but method {name!r}{' with ' if how else ''}{how} does not measure the "
            f"{figure.replace('_', ' ')}; expected another rule"
        )
    if method.trains_on == "forget" and rule != "round" and num_forget:
        _refuse_too_short_a_run(args, num_forget)


def _refuse_too_short_a_run(args: UnlearningConfig, num_forget: int) -> None:
    step_size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    a_pass = num_forget / step_size
    a_pass = math.floor(a_pass) if args.dataloader_drop_last else math.ceil(a_pass)
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * a_pass)
    window, watched = min(args.stop_window, num_forget), _WATCHES.get(args.stop_rule, 0)
    needed = math.ceil(window / step_size) + watched
    if steps < needed:
        after = f", and then at {watched} steps" if watched else ""
        raise UnlearningError(
            f"stop_rule is {args.stop_rule!r}, which looks at {window} forget samples{after}, but the run has {steps} "
            f"steps of {min(step_size, num_forget)} samples; expected at least {needed} steps, a smaller stop_window, "
            "or 'steps'"
        )

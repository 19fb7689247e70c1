"""How long a relative step is by default: shorter in wider models."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from hf_unlearn.models.adapters import is_adapter

# A fraction of the weights' norm, of models with no more than so many features before the head.
STEP_LENGTH, WIDTH = 2e-3, 128


def step_length(model: PreTrainedModel) -> float:
    """The length of a relative step at which models of any width change alike, as a fraction of the weights' norm.

    A step moves weights together along a few directions, so that the norm that decides what it does is the spectral
    one, while it is measured against the Frobenius norm, which for weights in no order is larger with the square root
    of the width (arXiv 2310.17813, Sec. 3). What it does to a ResNet-18 stands in docs/defaults.md.

    The width is that of the last linear layer with as many outputs as there are labels: a guess where several heads are
    averaged, as in DeiT, whose widths are alike.

    Args:
        model: without such a layer, or with an adapter, whose few weights are of low rank, it has no width to go by.
    """
    num_labels = int(model.config.num_labels or 0)
    widths = [
        each.in_features for each in model.modules() if isinstance(each, nn.Linear) and each.out_features == num_labels
    ]
    if not widths or is_adapter(model):
        return STEP_LENGTH
    return STEP_LENGTH * math.sqrt(WIDTH / max(WIDTH, widths[-1]))


def fill_step_length(args: Any, model: PreTrainedModel, filled: dict[str, Any]) -> None:
    """Settle `learning_rate` where nobody set it.

    Args:
        args: an `UnlearningConfig`; it is changed.
        filled: what was filled in it, by name; it is changed, too.
    """
    if args.learning_rate is None:
        args.learning_rate = STEP_LENGTH if args.step_rule == "optim" else step_length(model)
        filled["learning_rate"] = args.learning_rate

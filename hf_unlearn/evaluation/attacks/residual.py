"""What is left of the forget samples' contribution: the model's input sensitivities on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import collate
from hf_unlearn.evaluation.predict import Items
from hf_unlearn.objectives import squared_input_sensitivities

# Irrelevant classes looked at for each sample; with fewer classes all of them.
IRRELEVANT_CLASSES = 9


class Sensitivities(NamedTuple):
    """Squared input sensitivities of each sample, `(samples,)` each (see `squared_input_sensitivities`).

    Attributes:
        target: ‖∇ₓ f_c‖², c the sample's label.
        irrelevant: the mean of ‖∇ₓ f_c'‖² over irrelevant classes c' ≠ c.
    """

    target: np.ndarray
    irrelevant: np.ndarray


def sensitivities(
    model: PreTrainedModel,
    pixels: Items,
    rows: np.ndarray,
    seed: int = 0,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    order: Sequence[int] | None = None,
) -> Sensitivities:
    """The model's sensitivities on the samples at `rows`, in units of its own input.

    The irrelevant classes of a sample depend on `seed` and its position in `rows` alone. Takes one forward pass and a
    backward pass for each class.

    Args:
        pixels: the split, a [`PixelDataset`].
        order: the model's class ids in an order that is common to the models that are compared, so that the irrelevant
            classes are the same for all of them. By default as they are.
    """
    model.eval().to(device)
    num_labels = int(model.config.num_labels or 0)
    count = min(IRRELEVANT_CLASSES, num_labels - 1)
    shifts = np.random.default_rng(seed).random((len(rows), num_labels - 1)).argsort(axis=1)[:, :count] + 1
    common = torch.arange(num_labels) if order is None else torch.tensor(list(order))
    places = common.argsort().to(device)
    common = common.to(device)
    target, irrelevant = [], []
    for start in range(0, len(rows), batch_size):
        chosen = [int(row) for row in rows[start : start + batch_size]]
        batch = collate(pixels.__getitems__(chosen))
        labels = batch["labels"].to(device)
        pixel_values = batch["pixel_values"].to(device, model.dtype).requires_grad_()
        drawn = torch.from_numpy(shifts[start : start + batch_size]).to(device)
        classes = [common[(places[labels] + drawn[:, column]) % num_labels] for column in range(count)]
        logits = model(pixel_values=pixel_values)["logits"]
        own, *others = squared_input_sensitivities(logits, pixel_values, labels, *classes, create_graph=False)
        target.append(own.cpu().double().numpy())
        irrelevant.append(torch.stack(others).cpu().double().mean(0).numpy())
    return Sensitivities(np.concatenate(target), np.concatenate(irrelevant))


def residual_contribution(ours: float, retrained: float) -> float:
    """A mean sensitivity as a ratio to the retrained model's: 1 is the target (arXiv 2402.15109, Sec. 4).

    Raises:
        ValueError: the retrained model's is not positive.
    """
    if not retrained > 0:
        raise ValueError(f"the retrained model's sensitivity is {retrained}; expected more than 0")
    return ours / retrained

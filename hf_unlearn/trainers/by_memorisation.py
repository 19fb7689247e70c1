"""RUM: the forget set is parted by how much of it is memorised, and each part gets a method of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import concatenate_datasets
from transformers import BaseImageProcessor, PreTrainedModel, PrinterCallback

import hf_unlearn.trainers
from hf_unlearn.data.pixels import pixels_of
from hf_unlearn.errors import UnlearningError
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.trainers.base.config import UnlearningConfig
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.registry import METHODS
from hf_unlearn.trainers.safety.memory import measure_memory

logger = logging.getLogger(__name__)


def unlearn_by_memorisation(
    model: PreTrainedModel,
    plan: Sequence[UnlearningConfig | None],
    splits: UnlearningSplits,
    processing_class: BaseImageProcessor,
    scores: Sequence[float] | np.ndarray | None = None,
    seed: int = 0,
) -> list[np.ndarray]:
    """Unlearn samples of classes that stay part by part, the least memorised first: RUM (arXiv 2406.01257).

    The forget set is sorted by memorisation and cut into as many parts as the plan has, of equal size but for one
    sample (the paper: low, medium, high). Each part is unlearned with the method of its config, from the weights that
    the part before it left. What stays while a part is unlearned are the retained samples and the parts that come after
    it. The paper's best plan leaves the least memorised alone, fine-tunes for the middle and gives the most memorised
    to SalUn.

    Args:
        model: unlearned in place.
        plan: of each part, by rising memorisation, the config of its method; None: the part is left alone.
        splits: of a request for samples whose classes stay.
        processing_class: the model's image processor.
        scores: how much each forget sample is memorised, in the order of `splits.forget`. The paper's are estimates
            from many models trained with and without it. By default by how many nats its log-odds fall around it, see
            `hf_unlearn.trainers.safety.memory`: a reading of the model and the forget set alone, and no estimate of the
            paper's.
        seed: of that reading.

    Returns:
        The rows of `splits.forget` of each part, sorted.

    Raises:
        UnlearningError: whole classes go, the plan has no part or more than there are samples, the scores do not fit,
            a config is of no method or of one that does not go with the request, or a method needs retained samples and
            there are none. But for what a method finds in its samples, this is known before the model changes.
        DivergenceError: a run failed; the model has the weights from before that part.

    Example:

    ```python
    plan = [None, FineTuneConfig(output_dir="middle"), SalUnConfig(output_dir="high")]
    unlearn_by_memorisation(model, plan, splits, image_processor)
    ```
    """
    size = len(splits.forget)
    if splits.forget_kind != "subset":
        raise UnlearningError(
            f"the request is of kind {splits.forget_kind!r}; expected samples of classes that stay ('subset')"
        )
    if not 0 < len(plan) <= size:
        raise UnlearningError(f"the plan has {len(plan)} parts for {size} forget samples; expected 1 to {size}")
    if scores is None:
        pixels = pixels_of(splits, "forget", model, processing_class)
        scores = measure_memory(model.eval(), pixels, size, "affine", seed).amounts.numpy()
        if not scores.any():
            logger.warning("no forget sample seems memorised: the parts follow the order of the samples alone")
    try:
        known = np.asarray(scores, float)
    except (TypeError, ValueError) as error:
        raise UnlearningError(f"scores are no numbers ({error}); expected one for each of {size} samples") from error
    if known.shape != (size,) or not np.isfinite(known).all():
        raise UnlearningError(
            f"scores have the shape {known.shape}; expected one finite number for each of {size} forget samples"
        )
    parts = [np.sort(rows) for rows in np.array_split(np.argsort(known, kind="stable"), len(plan))]
    given = [
        (model, config, splits, processing_class, parts[number], parts[number + 1 :])
        for number, config in enumerate(plan)
        if config is not None
    ]
    # A trainer refuses what does not go together when it is made: all of them, before the first one changes the model.
    for each in given:
        _trainer(*each)
    for each in given:
        _trainer(*each).train()
    return parts


def _trainer(
    model: PreTrainedModel,
    config: UnlearningConfig,
    splits: UnlearningSplits,
    processing_class: BaseImageProcessor,
    rows: np.ndarray,
    later: list[np.ndarray],
) -> UnlearningTrainer:
    method = next((each for each in METHODS.values() if each.config == type(config).__name__), None)
    if method is None:
        raise UnlearningError(f"the plan has a {type(config).__name__}; expected the config of a method, or None")
    given: dict[str, Any] = {}
    if not method.retain_free:
        if splits.retain is None:
            raise UnlearningError(f"method {method.name!r} needs the samples that stay, and they are not at hand")
        kept = [splits.forget.select(each) for each in later]
        given["retain_dataset"] = concatenate_datasets([splits.retain, *kept])
    trainer: UnlearningTrainer = getattr(hf_unlearn.trainers, method.trainer)(
        model,
        config,
        train_dataset=splits.forget.select(rows),
        processing_class=processing_class,
        forget_kind="subset",
        image_column_name=splits.image_column,
        label_column_name=splits.label_column,
        label_mapping=splits.label_mapping,
        **given,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer

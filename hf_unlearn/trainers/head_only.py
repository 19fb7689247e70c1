"""The control *head only*: a run as it was recorded, once more, with all but the classifier head's weights frozen."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from transformers import BaseImageProcessor, PreTrainedModel, PrinterCallback

import hf_unlearn.trainers
from hf_unlearn.data.pixels import collate, pixels_of
from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.head import NoLinearHead, find_head
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.trainers.base.config import UnlearningConfig
from hf_unlearn.trainers.registry import find_method

# What says where a run was and what it wrote, not what it did.
_ELSEWHERE = (
    "logging_",
    "save_",
    "eval_",
    "report_to",
    "disable_tqdm",
    "use_cpu",
    "dataloader_",
    "log_",
    "ddp_",
    "hub_",
)


def unlearn_head_only(
    record: Mapping[str, Any],
    original: PreTrainedModel,
    processing_class: BaseImageProcessor,
    splits: UnlearningSplits,
    use_cpu: bool = False,
) -> PreTrainedModel:
    """Run the recorded method with the recorded settings on a copy of the original whose head alone may change.

    What the head alone can do, no feature was changed for: a method that does no better has not touched what the
    network knows. Give the result to [`compare`] as `head_only`.

    Args:
        record: what `unlearning.json` of the unlearned model holds.
        original: the model that was unlearned; its weights must be those of the record. It is left as it is.
        processing_class: its image processor.
        splits: of the request.
        use_cpu: run on the CPU even where there is a GPU.

    Returns:
        The copy, in eval mode, with all weights but the head's as they were.

    Raises:
        UnlearningError: the original is not that of the record, it has no linear head, or the run needs what is not at
            hand: retained or unseen samples, an adapter.
        DivergenceError: the run failed.

    Example:

    ```python
    import json

    record = json.load(open("forgot/unlearning.json"))
    control = unlearn_head_only(record, original, image_processor, splits)
    report = compare("forgot", original=original, splits=splits, level="deep", head_only=control)
    ```
    """
    name = (record.get("method") or {}).get("name")
    if not name or not isinstance(record.get("settings"), Mapping):
        raise UnlearningError("the record names no method with its settings; expected that of hf-unlearn unlearn")
    method = find_method(name)
    if name == "retrain":
        raise UnlearningError("method 'retrain' makes all weights anew; expected one that starts from the original's")
    if record.get("adapter"):
        raise UnlearningError("the run unlearned an adapter; expected one of a whole model")
    if not method.retain_free and splits.retain is None:
        raise UnlearningError(f"method {name!r} needs the samples that stay, and they are not at hand")
    if record["settings"].get("stop_rule") == "unseen" or "reference samples" in record.get("data_used", ""):
        raise UnlearningError("the run looked at reference samples, and which they were is not in the record")
    digest = (record.get("weights_sha256") or {}).get("original")
    if digest is not None and digest != weights_digest(original):
        raise UnlearningError("the original model has other weights, or another dtype, than the one of the record")
    if "seed" not in record["settings"]:
        raise UnlearningError("the record keeps its seed to itself; expected the whole record, beside the model")
    if not method.retain_free:
        splits = splits.with_readable_retain()
    model = copy.deepcopy(original).cpu()
    _freeze_all_but_the_head(model, processing_class, splits)
    with tempfile.TemporaryDirectory() as folder:
        config = getattr(hf_unlearn.trainers, method.config)
        args = _recorded(config, record["settings"], folder, use_cpu)
        trainer = getattr(hf_unlearn.trainers, method.trainer)(
            model=model, args=args, splits=splits, processing_class=processing_class
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return trainer.model.eval()


def _freeze_all_but_the_head(
    model: PreTrainedModel, processing_class: BaseImageProcessor, splits: UnlearningSplits
) -> None:
    some = collate(pixels_of(splits, "forget", model, processing_class, rows=[0]).__getitems__([0]))["pixel_values"]
    try:
        head = find_head(model, some.to(model.dtype))
    except NoLinearHead as error:
        raise UnlearningError(str(error)) from error
    model.requires_grad_(False)
    head.requires_grad_(True)


def _recorded(
    config: type[UnlearningConfig], settings: Mapping[str, Any], folder: str, use_cpu: bool
) -> UnlearningConfig:
    """The config of a record, quiet, and writing nothing."""
    known = {field.name: field for field in fields(config) if field.init}
    given: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in known or name.startswith(_ELSEWHERE) or value is None:
            continue
        # JSON has no infinity.
        given[name] = float(value) if value in ("inf", "-inf", "nan") else value
        if isinstance(given[name], float) and math.isnan(given[name]):
            raise UnlearningError(f"the recorded setting {name} is no number; expected one")
    if "features_weight" in known:
        # A record of before features were moved does not name it.
        given.setdefault("features_weight", 0.0)
    given["push_to_hub"] = False
    quiet: dict[str, Any] = {"output_dir": folder, "report_to": [], "disable_tqdm": True, "use_cpu": use_cpu}
    return config(**{**given, **quiet})

"""A model beside the one that it was made from and retrained ones: the way in from Python and from the command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from accelerate import PartialState
from transformers import BaseImageProcessor

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.contest import compare_models
from hf_unlearn.evaluation.controls import HEAD_ONLY
from hf_unlearn.evaluation.limits import MOST_RETAINED_SAMPLES, check_settings
from hf_unlearn.evaluation.loading import (
    AnyModel,
    as_contestant,
    check_request,
    left_as_they_were,
    original_of,
    record_of,
    recorded_seconds,
)
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.evaluation.report.results import Comparison
from hf_unlearn.request import UnlearningSplits


def compare(
    model: AnyModel,
    *,
    splits: UnlearningSplits,
    original: AnyModel | None = None,
    references: Iterable[AnyModel] | AnyModel = (),
    processing_class: BaseImageProcessor | None = None,
    level: str = "standard",
    revision: str | None = None,
    original_revision: str | None = None,
    dtype: str | torch.dtype = "float32",
    token: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    batch_size: int = 256,
    device: str | torch.device | None = None,
    cache_dir: str | os.PathLike | None = None,
    max_retain_samples: int = MOST_RETAINED_SAMPLES,
    seed: int = 0,
    seconds: Mapping[str, float] | None = None,
    other_request: bool = False,
    head_only: AnyModel | None = None,
    on_part: Callable[[str], None] | None = None,
) -> Comparison:
    """How well a model forgot a request, beside the model that it was made from and models retrained without the
    forget set.

    A model is a name on the Hub, a folder, a `PreTrainedModel` (or a `PeftModel`), or a [`Contestant`]. Where a name or
    folder comes with its record (`unlearning.json`), that says what the original was, and how long the run took.

    Args:
        model: the unlearned model.
        splits: of the request, from [`make_splits`].
        original: the model before unlearning: the row "do nothing". By default the one from the Hub that the record
            of `model` names, at its recorded revision; without one there is no such row.
        references: one to four models retrained without the forget set, with different seeds: the target. Without
            them accuracies are all that can be said.
        processing_class: the image processor of those models that are given as objects. By default it is loaded by the
            name or folder that the object was loaded from. What is given by name brings its own.
        level: `"fast"`: accuracies and distances to the retrained models. `"standard"`: also membership attacks,
            input sensitivities, ZRF and relearning. `"deep"`: also the depth, by probes of features, logit and weights.
        revision: branch, tag or commit of `model` on the Hub.
        original_revision: of `original` on the Hub; by default the recorded one, if the record names that model.
        dtype: of the weights that are loaded by name; `"auto"` is the checkpoint's.
        token: for the Hub, by default that of the login.
        trust_remote_code: run code that comes with a model.
        allow_pickle: also take weights that are pickled rather than safetensors.
        batch_size: samples a forward pass.
        device: by default a GPU if there is one, else the CPU.
        cache_dir: folder that keeps logits for the next call. By default they are thrown away.
        max_retain_samples: look at no more of the retained samples, drawn by `seed`; 0: at all of them.
        seed: of everything drawn.
        seconds: by role (`unlearned`, and `retrained` of the references in the mean), how long making it took, where
            the models' folders do not say.
        other_request: judge the model on another request than it was made for. By default that is an error.
        head_only: the original after the same method and settings with all weights but the classifier head's frozen,
            from [`unlearn_head_only`]: a control that leaves the features as they were.
        on_part: called often with what is looked at next, in words. What it raises ends the comparison, and the models
            are left as they were. In one process alone: others would wait for it.

    Returns:
        A [`Comparison`]: the figures as a dictionary, which prints as a table; `save(folder)` writes `results.json` and
        `report.html`. With several processes, the first one's is whole.

    Raises:
        UnlearningError: a model cannot be loaded, has no image processor or other labels; a model was made for another
            request; a setting is out of range.

    Example:

    ```python
    from hf_unlearn import ForgetRequest, compare, load_image_dataset, make_splits

    splits = make_splits(load_image_dataset("ORG/DATA"), ForgetRequest(classes="rocket"))
    report = compare("forgot", original="ORG/MODEL", references=["retrained"], splits=splits)
    print(report)
    report.save("evaluation")
    ```
    """
    if isinstance(model, Mapping):
        raise UnlearningError("compare takes a model; contestants by role go to hf_unlearn.evaluation.compare_models")
    if not isinstance(splits, UnlearningSplits):
        raise UnlearningError(f"splits are a {type(splits).__name__}; expected those of make_splits")
    one = isinstance(references, (str, os.PathLike, Contestant)) or callable(references)
    targets: list[Any] = [references] if one else list(cast("Iterable[AnyModel]", references or ()))
    check_settings(level, targets, batch_size, max_retain_samples, seed)
    record = record_of(model, revision, token)
    same = check_request(model, "unlearned", record, splits, other_request)
    for reference in targets:
        check_request(reference, "reference", record_of(reference, token=token), splits, other_request)
    device = _device(device)
    # Started by a launcher, the processes find each other here.
    PartialState(cpu=device.type == "cpu")

    common: dict[str, Any] = {"token": token, "trust_remote_code": trust_remote_code, "dtype": dtype}
    common.update(allow_pickle=allow_pickle, processing_class=processing_class)
    unlearned = as_contestant(model, "unlearned", revision=revision, **common)
    before, left_out = _original(original, original_revision, record, common)
    retrained = [as_contestant(reference, "reference", **common) for reference in targets]
    control = None if head_only is None else as_contestant(head_only, "head only", **common)
    given = {"original": before, HEAD_ONLY: control, "unlearned": unlearned}
    contestants = {role: each for role, each in given.items() if each is not None}
    with left_as_they_were([each.model for each in (*contestants.values(), *retrained)]):
        results = compare_models(
            contestants,
            splits,
            retrained,
            level=level,
            batch_size=batch_size,
            device=device,
            cache_dir=cache_dir,
            seed=seed,
            seconds={**recorded_seconds(record, targets), **(seconds or {})},
            max_retain_samples=max_retain_samples,
            on_part=on_part,
        )
    if level == "deep" and head_only is None:
        left_out["head only"] = "it is the same run on the head alone: see unlearn_head_only"
    results["left_out"] = {**left_out, **results["left_out"]}
    results.folder = os.path.realpath(unlearned.name) if os.path.isdir(unlearned.name) else None
    results.same_request = same
    return results


def _device(named: str | torch.device | None) -> torch.device:
    has_gpu = torch.cuda.is_available()
    try:
        device = torch.device(named or ("cuda" if has_gpu else "cpu"))
    except RuntimeError as error:
        raise UnlearningError(f"device {named!r} is none that torch knows; expected 'cpu' or 'cuda'") from error
    if device.type == "cuda" and not has_gpu:
        raise UnlearningError(f"device {str(named)!r} was asked for, and there is no GPU; expected 'cpu'")
    return device


def _original(
    named: AnyModel | None, revision: str | None, record: Mapping[str, Any], common: Mapping[str, Any]
) -> tuple[Contestant | None, dict[str, str]]:
    """The original model, if there is one, and otherwise perhaps why not."""
    found = original_of(named, revision, record)
    if found is None:
        return None, {}
    try:
        return as_contestant(found[0], "original", revision=found[1], **common), {}
    except UnlearningError as error:
        if named is not None:
            raise
        return None, {"do nothing": f"the original model that the record names cannot be had: {error}"}

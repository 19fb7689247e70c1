"""A new image classifier with random weights, and the image processor that goes with it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoModelForImageClassification,
    BaseImageProcessor,
    PretrainedConfig,
    PreTrainedModel,
    ViTImageProcessorPil,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from hf_unlearn.errors import UnlearningError, did_you_mean, one_line
from hf_unlearn.models.adapters import base_classifier


def new_image_classifier(
    model_type: str,
    label_names: list[str],
    overrides: dict[str, Any] | None = None,
    seed: int = 0,
    image_size: int | None = None,
) -> PreTrainedModel:
    """An `AutoModelForImageClassification` with random weights.

    Args:
        model_type: transformers' name of the architecture: `"resnet"`, `"vit"`, `"convnext"` ...
        label_names: the classes, in the order of the logits.
        overrides: fields of the architecture's configuration and their values.
        seed: of the random weights.
        image_size: height and width of the images, in pixels, put where the architecture's configuration has it; many
            convolutional networks take any and have it nowhere. By default the configuration's own.

    Raises:
        UnlearningError: unknown architecture or field, an architecture without an image classifier.
    """
    classifiers = sorted(config_class.model_type for config_class in AutoModelForImageClassification._model_mapping)
    if model_type not in classifiers:
        raise UnlearningError(
            f"model_type {model_type!r} is not an image classifier of transformers; "
            f"{did_you_mean(model_type, classifiers)}"
        )
    names = dict(enumerate(label_names))
    torch.manual_seed(seed)
    try:
        defaults = CONFIG_MAPPING[model_type]()
        _refuse_unknown(overrides or {}, defaults, model_type)
        fields: dict[str, Any] = {
            **_with_image_size(overrides or {}, defaults, image_size),
            # PVT does not count its labels by itself.
            "num_labels": len(names),
            "id2label": names,
            "label2id": {name: index for index, name in names.items()},
        }
        config = CONFIG_MAPPING[model_type](**fields)
        heads: Any = AutoModelForImageClassification._model_mapping[type(config)]
        if isinstance(heads, (list, tuple)):
            # Of several classifiers (DeiT, LeViT, Perceiver) the Auto class takes the one that the configuration names.
            config.architectures = [heads[0].__name__]
        return AutoModelForImageClassification.from_config(config)
    except UnlearningError:
        raise
    except (ValueError, TypeError, RuntimeError, ImportError, StrictDataclassError) as error:
        given = [f"image_size {image_size}"] if image_size else []
        given += [f"config_overrides {overrides}"] if overrides else []
        raise UnlearningError(
            f"a new {model_type} cannot be made of {' and '.join(given) or 'its defaults'}: {one_line(error)}"
        ) from error


def _refuse_unknown(overrides: dict[str, Any], config: Any, of: str) -> None:
    for field, value in overrides.items():
        if not hasattr(config, field):
            known = [name for name in config.to_dict() if not name.startswith("_")]
            raise UnlearningError(
                f"config_overrides names {field!r}, which a {of} configuration does not have; "
                f"{did_you_mean(field, known)}"
            )
        part = getattr(config, field)
        if isinstance(value, dict) and isinstance(part, PretrainedConfig):
            _refuse_unknown(value, part, f"{of} {field}")


def image_size_of(overrides: dict[str, Any]) -> int | None:
    """The side of square images that `overrides` of an architecture's configuration name; None if they name none."""
    holder = overrides.get("vision_config", {}) if "image_size" not in overrides else overrides
    found = holder.get("image_size") if isinstance(holder, dict) else None
    sides = set(found) if isinstance(found, (list, tuple)) else {found}
    return sides.pop() if len(sides) == 1 and all(type(side) is int for side in sides) else None


def _with_image_size(overrides: dict[str, Any], defaults: Any, image_size: int | None) -> dict[str, Any]:
    """The overrides with the size of the images where this configuration has it, unless they name one."""
    if image_size is None:
        return overrides
    if hasattr(defaults, "image_size"):
        # Hiera has one for each side.
        several = isinstance(defaults.image_size, (list, tuple))
        size = [image_size] * len(defaults.image_size) if several else image_size
        return {"image_size": size, **overrides}
    vision = getattr(defaults, "vision_config", None)
    if hasattr(vision, "image_size"):
        return {**overrides, "vision_config": {"image_size": image_size, **overrides.get("vision_config", {})}}
    return overrides


def new_image_processor(image_size: int) -> BaseImageProcessor:
    """Resize to `image_size` × `image_size`, scale to [0, 1], then to [−1, 1] (mean and deviation 0.5)."""
    half = [0.5, 0.5, 0.5]
    return ViTImageProcessorPil(
        do_resize=True,
        size={"height": image_size, "width": image_size},
        do_normalize=True,
        image_mean=half,
        image_std=half,
    )


def new_weights(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A model of the same class, configuration and dtype with random weights, on the CPU, in eval mode.

    Of a model with an adapter it is one without, of the class of its base.

    Args:
        seed: of the weights; the global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(base_classifier(model))._from_config(copy.deepcopy(model.config), dtype=model.dtype).eval()

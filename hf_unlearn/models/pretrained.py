"""Load an image classifier and its image processor by name, or say in one line why not."""

from __future__ import annotations

import os
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    BaseImageProcessor,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from hf_unlearn.errors import UnlearningError, first_line


def load_image_classifier(
    model_name_or_path: str | os.PathLike,
    *,
    revision: str | None = None,
    dtype: str | torch.dtype = "float32",
    token: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    cache_dir: str | None = None,
    config: PretrainedConfig | None = None,
    **kwargs: Any,
) -> PreTrainedModel:
    """`AutoModelForImageClassification.from_pretrained`, whole or not at all.

    Args:
        model_name_or_path: a name on the Hub, or a folder.
        revision: branch, tag or commit on the Hub.
        dtype: of the weights. float32 by default, since transformers would take the checkpoint's own and unlearn
            a half-precision checkpoint in half precision; `"auto"` is that behaviour.
        allow_pickle: also take weights that are pickled rather than safetensors (torch reads them with `weights_only`).
        cache_dir: where the Hub's files are kept, if not in its cache.
        config: a changed configuration (another number of labels, say); with it a new head is allowed.

    Returns:
        The model, in eval mode.

    Raises:
        UnlearningError: there is no such model, it is not an image classifier, it has fewer than two labels, or
            its checkpoint lacks weights that the model needs.
    """
    name = os.fspath(model_name_or_path)
    loading: dict[str, Any] = {"revision": revision or "main", "token": token, "cache_dir": cache_dir}
    loading["trust_remote_code"] = trust_remote_code
    replaces_head = config is not None
    if config is None:
        config = load_config(name, **loading)
    if (config.num_labels or 0) < 2:
        raise UnlearningError(f"model {name!r} has {config.num_labels} label; expected a classifier with at least 2")
    verbosity = logging.get_verbosity()
    # What is missing is looked at below: transformers' report of it would be said twice.
    logging.set_verbosity_error()
    try:
        model, info = AutoModelForImageClassification.from_pretrained(
            name,
            config=config,
            dtype=dtype,
            output_loading_info=True,
            use_safetensors=None if allow_pickle else True,
            **loading,
            **kwargs,
        )
    except (OSError, ValueError, RuntimeError, TypeError, ImportError, SafetensorError) as error:
        if not allow_pickle and "safetensors" in str(error) and "model.safetensors" in str(error):
            raise UnlearningError(
                f"model {name!r} has no weights as safetensors; if it has pickled ones (pytorch_model.bin), "
                "--allow_pickle takes them, and nothing but tensors from them"
            ) from error
        raise UnlearningError(f"model {name!r} could not be loaded: {first_line(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
    missing = sorted(info["missing_keys"])
    if missing and not replaces_head:
        raise UnlearningError(
            f"model {name!r} is not a trained image classifier: its checkpoint lacks {len(missing)} of the weights, "
            f"{missing[0]!r} among them"
        )
    return model.eval()


def load_config(name: str, **loading: Any) -> PretrainedConfig:
    """The configuration of an image classifier.

    Raises:
        UnlearningError: no such model, or one that is not for image classification.
    """
    if os.path.isdir(name) and not os.path.isfile(os.path.join(name, "config.json")):
        raise UnlearningError(f"model {name!r} is a folder without a config.json; expected one from save_pretrained")
    try:
        config = AutoConfig.from_pretrained(name, **loading)
    except (OSError, ValueError, KeyError, TypeError, ImportError, StrictDataclassError) as error:
        if name.startswith((os.sep, ".", "~")) or name.count("/") > 1:
            raise UnlearningError(f"model {name!r} was not found: there is no such folder") from error
        raise UnlearningError(
            f"model {name!r} was not found: expected a folder, or a name on the Hub such as "
            f"'google/vit-base-patch16-224' ({first_line(error)})"
        ) from error
    if type(config) not in AutoModelForImageClassification._model_mapping and not getattr(config, "auto_map", None):
        raise UnlearningError(
            f"model {name!r} is a {config.model_type}, not an image classifier; expected one that "
            "AutoModelForImageClassification loads"
        )
    return config


def load_image_processor(
    model_name_or_path: str | os.PathLike,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | None = None,
) -> BaseImageProcessor:
    """`AutoImageProcessor.from_pretrained`.

    Raises:
        UnlearningError: the model comes without an image processor.
    """
    name = os.fspath(model_name_or_path)
    try:
        return AutoImageProcessor.from_pretrained(name, revision=revision or "main", token=token, cache_dir=cache_dir)
    except (OSError, ValueError, ImportError) as error:
        raise UnlearningError(
            f"model {name!r} has no usable image processor (preprocessor_config.json): {first_line(error)}"
        ) from error


def public_model_name(name: str) -> str:
    """A model's name as it may be published: of a folder the last part only, the rest is nobody's business."""
    return os.path.basename(os.path.normpath(name)) if os.path.isdir(name) else name

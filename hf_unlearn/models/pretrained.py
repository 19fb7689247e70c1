"""Load an image classifier and its image processor by name, or say in one line why not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
import transformers
from PIL import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    BaseImageProcessor,
    PretrainedConfig,
    PreTrainedModel,
    ViTImageProcessorPil,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging

from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.files import expand_user
from hf_unlearn.models.adapter_checks import refuse_unverified_config
from hf_unlearn.models.adapters import (
    AdapterFiles,
    attach_adapter,
    find_adapter,
    read_adapter_config,
    read_adapter_weights,
)
from hf_unlearn.models.broken_files import fault_of_settings, fault_of_weights
from hf_unlearn.models.labels import check_label_maps, settle_label_maps
from hf_unlearn.models.not_found import chain, is_gated, why_not_found
from hf_unlearn.models.revisions import cached_commit, resolve_revision
from hf_unlearn.progress import quiet_unless_terminal

_OF_PROCESSOR = "preprocessor_config.json"
SINGLE_LABEL = "single_label_classification"
_OWN_CODE = (
    "comes with code of its own, which would run here; if you trust it: --trust_remote_code (trust_remote_code=True)"
)


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
    base_model: str | None = None,
    merge_adapter: bool = False,
    **kwargs: Any,
) -> PreTrainedModel:
    """`AutoModelForImageClassification.from_pretrained`, whole or not at all.

    What is an adapter (PEFT) is loaded onto its base: a `peft.PeftModel` of which the adapter is trainable.

    Args:
        model_name_or_path: a name on the Hub, or a folder.
        revision: branch, tag or commit on the Hub.
        dtype: of the weights. float32 by default, since transformers would take the checkpoint's own and unlearn
            a half-precision checkpoint in half precision; `"auto"` is that behaviour.
        allow_pickle: also take weights that are pickled rather than safetensors (torch reads them with `weights_only`).
        cache_dir: where the Hub's files are kept, if not in its cache.
        config: a changed configuration (another number of labels, say); with it a new head is allowed.
        base_model: of an adapter, instead of the one that it names.
        merge_adapter: merge an adapter into its base, which makes a model like any other of it.

    Returns:
        The model, in eval mode.

    Raises:
        UnlearningError: there is no such model, it is not an image classifier, it has fewer than two labels, or
            its checkpoint lacks weights that the model needs; it is an adapter, and peft is not installed, or it does
            not fit its base.
    """
    name = expand_user(model_name_or_path)
    if isinstance(dtype, str) and dtype != "auto" and not _is_float(getattr(torch, dtype, None)):
        raise UnlearningError(f"dtype {dtype!r} is not one of float32, bfloat16, float16, float64, auto")
    loading: dict[str, Any] = {"revision": revision or "main", "token": token, "cache_dir": cache_dir}
    loading["trust_remote_code"] = trust_remote_code
    adapter = find_adapter(name, **loading)
    if adapter is not None:
        if config is not None:
            raise UnlearningError(f"model {name!r} is an adapter; expected a whole model")
        model = _load_adapted(
            adapter, base_model, loading, dtype=dtype, allow_pickle=allow_pickle, merge=merge_adapter, **kwargs
        )
        _refuse_no_classifier(model, name)
        return model
    new_weights_allowed = config is not None
    if config is None:
        config = load_config(name, **loading)
    model, missing = _load_whole(name, config, dtype, allow_pickle, loading, **kwargs)
    if missing and not new_weights_allowed:
        raise UnlearningError(
            f"model {name!r} is not a trained image classifier: its checkpoint lacks {len(missing)} of the weights, "
            f"{missing[0]!r} among them"
        )
    # A new head is one thing; layers of random weights below it would be no model to go on from.
    below = [weight for weight in missing if weight.startswith(f"{model.base_model_prefix}.")]
    if below:
        raise UnlearningError(
            f"the checkpoint of model {name!r} does not fit its config.json: it lacks {len(below)} weights below the "
            f"classifier, {below[0]!r} among them"
        )
    _refuse_no_classifier(model, name)
    if os.path.isdir(name):
        # Wherever this process goes later, it is no name of the Hub's.
        model.name_or_path = model.config._name_or_path = os.path.abspath(name)
    else:
        # Releases of transformers from 5.24 on do not note it.
        model.config._commit_hash = cached_commit(name, loading["revision"], cache_dir)
    return model.eval()


def _refuse_no_classifier(model: PreTrainedModel, name: str) -> None:
    """Refuse a model that gives an image no single label, or whose weights are no numbers."""
    if model.config.problem_type not in (None, SINGLE_LABEL):
        raise UnlearningError(
            f"model {name!r} has the problem_type {model.config.problem_type!r} in its config.json; expected a "
            "classifier that gives an image one label"
        )
    for weight, values in model.state_dict().items():
        if values.is_floating_point() and not bool(values.isfinite().all()):
            raise UnlearningError(f"model {name!r} has weights that are not finite numbers, in {weight!r}")


def _is_float(dtype: object) -> bool:
    return isinstance(dtype, torch.dtype) and dtype.is_floating_point


def _load_whole(
    name: str,
    config: PretrainedConfig,
    dtype: str | torch.dtype,
    allow_pickle: bool,
    loading: dict[str, Any],
    **kwargs: Any,
) -> tuple[PreTrainedModel, list[str]]:
    """The model, and the names of its weights that its checkpoint lacks or has in another shape."""
    if (config.num_labels or 0) < 2:
        raise UnlearningError(f"model {name!r} has {config.num_labels} label; expected a classifier with at least 2")
    verbosity = logging.get_verbosity()
    # What is missing is looked at below: transformers' report of it would be said twice.
    logging.set_verbosity_error()
    try:
        with quiet_unless_terminal(), _no_conversion():
            model, info = AutoModelForImageClassification.from_pretrained(
                name,
                config=config,
                dtype=dtype,
                output_loading_info=True,
                use_safetensors=None if allow_pickle else True,
                **loading,
                # Sizes that differ are looked at below, too.
                **{**kwargs, "ignore_mismatched_sizes": True},
            )
    # What a broken file makes of torch, pickle or safetensors is many things.
    except Exception as error:
        fault = fault_of_weights(name)
        if fault is not None:
            raise UnlearningError(f"model {name!r} could not be loaded: {fault}") from error
        if any("Weights only load failed" in str(each) for each in chain(error)):
            # It advises to load whatever it is.
            raise UnlearningError(
                f"model {name!r} could not be loaded: its pickled weights (pytorch_model.bin) are broken, or hold "
                "something else than tensors"
            ) from error
        if not allow_pickle and "safetensors" in str(error) and "model.safetensors" in str(error):
            raise UnlearningError(
                f"model {name!r} has no weights as safetensors; if it has pickled ones (pytorch_model.bin), "
                "--allow_pickle takes them, and nothing but tensors from them"
            ) from error
        raise UnlearningError(f"model {name!r} could not be loaded: {one_line(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
    mismatched = sorted(info["mismatched_keys"])
    if mismatched and not kwargs.get("ignore_mismatched_sizes"):
        raise UnlearningError(f"model {name!r}: {_size_fault(mismatched, config)}")
    return model, sorted({*info["missing_keys"], *(mismatch[0] for mismatch in mismatched)})


@contextlib.contextmanager
def _no_conversion() -> Iterator[None]:
    """Weights that are no safetensors are not converted: transformers has a service do that, and tells it the model's
    name and the token."""
    name = "DISABLE_SAFETENSORS_CONVERSION"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _size_fault(mismatched: list[tuple[str, torch.Size, torch.Size]], config: PretrainedConfig) -> str:
    num_labels = int(config.num_labels or 0)
    named = f"names {num_labels} labels (id2label)"
    if config.id2label == PretrainedConfig().id2label:
        named = f"names no labels (id2label), of which transformers makes {num_labels}"
    for weight, theirs, ours in mismatched:
        if ours[:1] == (num_labels,) and ours[1:] == theirs[1:]:
            return (
                f"its config.json {named}, but the classifier of its checkpoint has "
                f"{theirs[0]} outputs ({weight!r}); expected as many"
            )
    weight, theirs, ours = mismatched[0]
    return (
        f"its checkpoint has {weight!r} in the size {tuple(theirs)}, but the model that its config.json describes "
        f"has it in {tuple(ours)}"
    )


def _load_adapted(
    adapter: AdapterFiles,
    base_model: str | None,
    loading: dict[str, Any],
    *,
    dtype: str | torch.dtype,
    allow_pickle: bool,
    merge: bool,
    **kwargs: Any,
) -> PreTrainedModel:
    lora = read_adapter_config(adapter)
    refuse_unverified_config(lora, adapter.name)
    weights = read_adapter_weights(adapter, allow_pickle)
    base = base_model or adapter.base
    if base is None:
        raise UnlearningError(f"adapter {adapter.name!r} does not name its base model (base_model_name_or_path)")
    of_base = {**loading, "revision": adapter.base_revision if base == adapter.base else None, "cache_dir": None}
    lora.revision = resolve_revision(base, of_base["revision"], token=loading["token"]).commit
    of_base["revision"] = lora.revision or of_base["revision"] or "main"
    # Whether it is a folder is decided now, wherever this process goes later.
    lora.base_model_name_or_path = os.path.abspath(base) if os.path.isdir(base) else base
    if find_adapter(base, **of_base) is not None:
        raise UnlearningError(f"the base {base!r} of adapter {adapter.name!r} is an adapter itself; expected a model")
    try:
        if adapter.has_own_config:
            config = load_config(adapter.name, **loading)
            # Of the adapter's repository, where the base's weights are not.
            config._commit_hash = None
        else:
            config = load_config(base, **of_base)
        whole, missing = _load_whole(
            base, config, dtype, allow_pickle, of_base, **{"ignore_mismatched_sizes": True, **kwargs}
        )
    except UnlearningError as error:
        raise UnlearningError(f"the base {base!r} of adapter {adapter.name!r} cannot be used: {error}") from error
    heads = tuple(f"{name}." for name in lora.modules_to_save or [])
    without = [name for name in missing if not f".{name}".startswith(tuple(f".{head}" for head in heads))]
    if without:
        raise UnlearningError(
            f"neither the adapter {adapter.name!r} nor its base {base!r} has the trained weights {without[0]!r}"
        )
    model = attach_adapter(whole, lora, weights, adapter.name)
    # Whose commit a configuration tells is not clear here.
    model._commit_hash = adapter.commit  # type: ignore[assignment]
    return model.merge_and_unload().eval() if merge else model  # type: ignore[operator]


def load_config(name: str, **loading: Any) -> PretrainedConfig:
    """The configuration of an image classifier.

    Raises:
        UnlearningError: no such model, or one that is not for image classification, or whose labels cannot be read.
    """
    if os.path.isdir(name) and not os.path.isfile(os.path.join(name, "config.json")):
        raise UnlearningError(f"model {name!r} is a folder without a config.json; expected one from save_pretrained")
    raw: dict[str, Any] = {}
    try:
        # It warns of what only the Auto classes ask for.
        plain = {key: value for key, value in loading.items() if key != "trust_remote_code"}
        raw, _ = PretrainedConfig.get_config_dict(name, **plain)
        check_label_maps(raw, name)
        needs_code = raw.get("model_type") not in CONFIG_MAPPING and "AutoConfig" in (raw.get("auto_map") or {})
        if needs_code and not loading.get("trust_remote_code"):
            raise UnlearningError(f"model {name!r} {_OWN_CODE}")
        if raw.get("model_type") and raw["model_type"] not in CONFIG_MAPPING and not needs_code:
            raise UnlearningError(
                f"model {name!r} has the model_type {raw['model_type']!r} in its config.json, which transformers "
                f"{transformers.__version__} does not know, and no code of its own (auto_map)"
            )
        config = AutoConfig.from_pretrained(name, **loading)
    except UnlearningError:
        raise
    # So is what transformers makes of a configuration that is not one.
    except Exception as error:
        if os.path.isdir(name):
            fault = fault_of_settings(name, "config.json")
            said = fault or f"cannot be used: {one_line(error)}"
            raise UnlearningError(f"config.json of model {name!r} {said}") from error
        raise UnlearningError(why_not_found(name, error, loading)) from error
    if type(config) not in AutoModelForImageClassification._model_mapping and not getattr(config, "auto_map", None):
        raise UnlearningError(
            f"model {name!r} is a {config.model_type}, not an image classifier; expected one that "
            "AutoModelForImageClassification loads"
        )
    settle_label_maps(config, raw, name)
    return config


def load_image_processor(
    model_name_or_path: str | os.PathLike,
    *,
    revision: str | None = None,
    token: str | None = None,
    trust_remote_code: bool = False,
    cache_dir: str | None = None,
) -> BaseImageProcessor:
    """`AutoImageProcessor.from_pretrained`; of an adapter that comes without one, its base's.

    Settings that name no class (`image_processor_type`) are of the class that goes with the model's type, or, if that
    one does not take them, of the plain one that resizes, rescales and normalizes (`ViTImageProcessor`).

    Args:
        trust_remote_code: run code that comes with the model.

    Raises:
        UnlearningError: the model comes without an image processor.
    """
    name = expand_user(model_name_or_path)
    common: dict[str, Any] = {"token": token, "trust_remote_code": trust_remote_code}
    loading = {"revision": revision or "main", "cache_dir": cache_dir, **common}
    try:
        return _that_takes_its_settings(AutoImageProcessor.from_pretrained(name, **loading), name, loading)
    # A file that holds what it should not makes nearly anything of itself: TypeError, KeyError, AttributeError...
    except Exception as error:
        if not trust_remote_code and "trust_remote_code" in str(error):
            raise UnlearningError(f"the image processor of model {name!r} {_OWN_CODE}") from error
        if is_gated(error):
            raise UnlearningError(why_not_found(name, error, loading)) from error
        adapter = find_adapter(name, **loading)
        if adapter is not None and adapter.base is not None:
            return load_image_processor(adapter.base, revision=adapter.base_revision, **common)
        if os.path.isdir(name) and not os.path.isfile(os.path.join(name, _OF_PROCESSOR)):
            raise UnlearningError(
                f"model {name!r} comes without an image processor: there is no {_OF_PROCESSOR} in its folder; expected "
                "that of the model that it was trained from, or one from AutoImageProcessor's save_pretrained"
            ) from error
        fault = fault_of_settings(name, _OF_PROCESSOR)
        said = f"{_OF_PROCESSOR} {fault}" if fault else f"{_OF_PROCESSOR}: {one_line(error)}"
        raise UnlearningError(f"model {name!r} has no usable image processor; {said}") from error


def _that_takes_its_settings(processor: BaseImageProcessor, name: str, loading: dict[str, Any]) -> BaseImageProcessor:
    settings, _ = BaseImageProcessor.get_image_processor_dict(name, **loading)
    if any(settings.get(key) for key in ("image_processor_type", "feature_extractor_type", "auto_map")):
        return processor
    image = Image.new("RGB", (48, 32))
    for candidate in (processor, ViTImageProcessorPil(**settings)):
        # What it raises is no matter: where none takes an image, the first one meets the user's and is blamed there.
        with contextlib.suppress(Exception):
            candidate([image], return_tensors="pt")
            return candidate
    return processor

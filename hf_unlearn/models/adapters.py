"""Adapters (PEFT): a few weights on a base model that stays as it is. LoRA is the kind that is verified here.

The one module that knows peft, which is an optional dependency: nothing here imports it until an adapter is there.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import CONFIG_NAME, cached_file

from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.files import NOT_FETCHED, is_pointer
from hf_unlearn.models.revisions import is_loaded_from_hub
from hf_unlearn.names import is_hub_name, public_name

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_PICKLE = "adapter_model.bin"
# Where the base lies on this machine, if it is a folder. It is not published; adapter_config.json is.
LOCAL_BASE = "adapter_base.json"
# peft's name of an adapter that was given none.
ADAPTER_NAME = "default"


class AdapterFiles(NamedTuple):
    """An adapter by name, as it lies on disk.

    Attributes:
        name: on the Hub, or a folder.
        config: path of its adapter_config.json.
        weights: path of its weights, as safetensors if there are any, else pickled; None: there are none.
        has_own_config: whether a config.json, with its labels, lies beside it.
        commit: of the Hub.
        base: name of the base model, or its folder; None: the adapter does not say.
        base_revision: of the base on the Hub, if the adapter says.
    """

    name: str
    config: str
    weights: str | None
    has_own_config: bool
    commit: str | None
    base: str | None
    base_revision: str | None


class Base(NamedTuple):
    """What an adapter sits on: `name` as it may be published, `revision`, and whether the name is one of the Hub's."""

    name: str | None
    revision: str | None
    from_hub: bool


def is_adapter(model: object) -> bool:
    """Whether the model is a `peft.PeftModel`."""
    peft = sys.modules.get("peft")
    return peft is not None and isinstance(model, peft.PeftModel)


def base_classifier(model: nn.Module) -> PreTrainedModel:
    """The classifier below an adapter; a model without one is its own. Adapted layers are still in it."""
    return cast(PreTrainedModel, cast("PeftModel", model).get_base_model() if is_adapter(model) else model)


def find_adapter(name: str, **loading: Any) -> AdapterFiles | None:
    """The adapter called `name`; None if that is no adapter, or there is no such thing.

    Args:
        loading: `revision`, `token` and `cache_dir`.
    """
    path = find_file(name, ADAPTER_CONFIG, loading)
    if path is None:
        return None
    try:
        said = json.loads(Path(path).read_text(encoding="utf-8"))
        base, revision = said.get("base_model_name_or_path") or None, said.get("revision")
    except (OSError, ValueError, AttributeError) as error:
        raise UnlearningError(f"{ADAPTER_CONFIG} of model {name!r} is not a JSON object") from error
    from_hub = not os.path.isdir(name)
    here = Path(name, LOCAL_BASE)
    if not from_hub and here.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError):
            base = json.loads(here.read_text(encoding="utf-8"))["base_model_name_or_path"]
    return AdapterFiles(
        name=name,
        config=path,
        weights=find_file(name, ADAPTER_WEIGHTS, loading) or find_file(name, ADAPTER_PICKLE, loading),
        has_own_config=find_file(name, CONFIG_NAME, loading) is not None,
        commit=Path(path).parent.name if from_hub else None,
        base=base,
        base_revision=revision,
    )


def find_file(name: str, filename: str, loading: dict[str, Any]) -> str | None:
    """Where a file of a model lies here, from its folder or repository; None where it has none, or nobody can be asked.

    Args:
        loading: `revision`, `token` and `cache_dir`.
    """
    quiet = {f"_raise_exceptions_for_{what}": False for what in ("gated_repo", "missing_entries", "connection_errors")}
    wanted = {key: loading.get(key) for key in ("revision", "token", "cache_dir")}
    try:
        return cached_file(name, filename, **wanted, **quiet)
    except (OSError, ValueError):
        # That there is no such model is said better by what loads it.
        return None


def read_adapter_config(found: AdapterFiles) -> LoraConfig:
    """The adapter's configuration.

    Raises:
        UnlearningError: peft is not installed, or cannot read it.
    """
    try:
        import peft
    except ImportError as error:
        raise UnlearningError(
            f"model {found.name!r} is an adapter, and peft is not installed; expected `pip install hf-unlearn[peft]`"
        ) from error
    said = json.loads(Path(found.config).read_text(encoding="utf-8"))
    try:
        with warnings.catch_warnings():
            # Fields that this release does not know are looked at below.
            warnings.simplefilter("ignore", UserWarning)
            config = peft.PeftConfig.from_pretrained(os.path.dirname(found.config))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnlearningError(f"{ADAPTER_CONFIG} of model {found.name!r} cannot be read: {one_line(error)}") from error
    unknown = [field for field, value in said.items() if value and not hasattr(config, field)]
    if unknown and config.peft_type == "LORA":
        raise UnlearningError(
            f"adapter {found.name!r} has {unknown[0]} {said[unknown[0]]!r}, which peft {peft.__version__} does not "
            "know; expected the release that saved it, or a later one"
        )
    config.inference_mode = False
    return cast("LoraConfig", config)


def read_adapter_weights(found: AdapterFiles, allow_pickle: bool = False) -> dict[str, torch.Tensor]:
    """The adapter's tensors by the names in its file.

    Raises:
        UnlearningError: there are none, or they are pickled and that was not allowed, or they cannot be read.
    """
    if found.weights is None:
        raise UnlearningError(f"adapter {found.name!r} has no weights; expected {ADAPTER_WEIGHTS} beside its config")
    pickled = not found.weights.endswith(".safetensors")
    if pickled and not allow_pickle:
        raise UnlearningError(
            f"adapter {found.name!r} has no weights as safetensors but pickled ones ({ADAPTER_PICKLE}); "
            "--allow_pickle takes them, and nothing but tensors from them"
        )
    try:
        return torch.load(found.weights, map_location="cpu", weights_only=True) if pickled else load_file(found.weights)
    except Exception as error:
        # What a broken file makes of torch or safetensors is many things.
        fault = NOT_FETCHED if is_pointer(found.weights) else f"cannot be read: {one_line(error)}"
        raise UnlearningError(
            f"the weights of adapter {found.name!r} ({os.path.basename(found.weights)!r}): the file {fault}"
        ) from error


def attach_adapter(
    base: PreTrainedModel, config: LoraConfig, weights: dict[str, torch.Tensor], name: str
) -> PreTrainedModel:
    """The adapter on its base: a trainable `peft.PeftModel`, in eval mode. `base` is changed.

    An adapter that was trained when its architecture had other names for its layers (ViT's `query`, now `q_proj`) is
    taken by the names of today.

    Args:
        name: of the adapter, for messages.

    Raises:
        UnlearningError: the adapter does not fit this base.
    """
    import peft

    weights, renamed = _todays_names(base, weights)
    if renamed:
        if config.rank_pattern or config.alpha_pattern:
            raise UnlearningError(f"adapter {name!r} has ranks by layer, under names that the base no longer has")
        # Peft looks for the old names; where the layers are is known from the weights themselves.
        layers = {
            key.partition(".lora_A.")[0].removeprefix("base_model.model.") for key in weights if ".lora_A." in key
        }
        config.target_modules = sorted(layers)
        config.layers_to_transform = config.layers_pattern = config.exclude_modules = None
    try:
        with warnings.catch_warnings():
            # Peft asks the model for what transformers has renamed.
            warnings.simplefilter("ignore", FutureWarning)
            model = peft.PeftModel(base, config, adapter_name=ADAPTER_NAME, autocast_adapter_dtype=False)
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        raise UnlearningError(f"adapter {name!r} does not fit its base: {one_line(error)}") from error
    _put(model, weights, f"adapter {name!r} does not fit its base")
    return cast(PreTrainedModel, model.eval())


def _todays_names(base: PreTrainedModel, weights: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], bool]:
    """The tensors by the names that the base's layers have now, and whether any was another."""
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightRenaming, rename_source_key
    except ImportError:
        # A release that keeps them elsewhere: if names differ, what does not fit is said below.
        return weights, False
    renamings = [each for each in get_model_conversion_mapping(base) if isinstance(each, WeightRenaming)]
    prefix = "base_model.model."
    named = {
        prefix + rename_source_key(key.removeprefix(prefix), renamings, [])[0]
        if key.startswith(prefix)
        else key: tensor
        for key, tensor in weights.items()
    }
    return named, named.keys() != weights.keys()


def adapter_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """What of the model is published: the adapter's tensors, by the names that its file has."""
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(cast("PeftModel", model), save_embedding_layers=False)


def _put(model: nn.Module, weights: dict[str, torch.Tensor], problem: str) -> None:
    """Copy the tensors into the adapter, all of them or none."""
    from peft import set_peft_model_state_dict

    expected = {name: tuple(tensor.shape) for name, tensor in adapter_tensors(model).items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(expected.keys() | given.keys()):
        if expected.get(name) != given.get(name):
            raise UnlearningError(
                f"{problem}: {name!r} is {given.get(name, 'not there')}, expected {expected.get(name, 'none')}"
                + ("; a head of its own needs its config.json beside it" if name in expected and name in given else "")
            )
    set_peft_model_state_dict(cast("PeftModel", model), weights, adapter_name=ADAPTER_NAME)


def restore_adapter(model: nn.Module, folder: str) -> None:
    """Put the adapter that [`save_adapter`] saved back into `model`, to the bit.

    Raises:
        UnlearningError: there is none, or it does not fit.
    """
    path = os.path.join(folder, ADAPTER_WEIGHTS)
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UnlearningError(f"{path!r} cannot be read: {one_line(error)}") from error
    _put(model, weights, f"the adapter in {folder!r} is another one")


def save_adapter(model: nn.Module, folder: str) -> None:
    """Write the adapter and the classifier's configuration into `folder`, which is made if it is not there.

    Not `PeftModel.save_pretrained`: that writes a card of its own, and the folder of a base on this machine into it.
    """
    adapted = cast("PeftModel", model)
    os.makedirs(folder, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in adapter_tensors(model).items()}
    save_file(tensors, os.path.join(folder, ADAPTER_WEIGHTS), metadata={"format": "pt"})
    config: Any = copy.copy(adapted.peft_config[ADAPTER_NAME])
    given = config.base_model_name_or_path
    base = base_of(model)
    config.base_model_name_or_path, config.revision, config.inference_mode = base.name, base.revision, True
    for field in ("target_modules", "exclude_modules", "modules_to_save"):
        # A set has no order, and what is saved twice should be the same twice.
        if isinstance(getattr(config, field), (set, list)):
            setattr(config, field, sorted(getattr(config, field)))
    classifier = base_classifier(model)
    mapping = {"base_model_class": type(classifier).__name__, "parent_library": type(classifier).__module__}
    config.save_pretrained(folder, auto_mapping_dict=mapping if config.task_type is None else None)
    classifier.config.save_pretrained(folder)
    here = Path(folder, LOCAL_BASE)
    if given and os.path.isdir(given):
        here.write_text(json.dumps({"base_model_name_or_path": os.path.abspath(given)}) + "\n", encoding="utf-8")
    else:
        here.unlink(missing_ok=True)


def base_of(model: nn.Module) -> Base:
    """Name and revision of the base below an adapter, as they may be published."""
    config: Any = cast("PeftModel", model).peft_config[ADAPTER_NAME]
    name = config.base_model_name_or_path or None
    if name is None:
        return Base(None, None, False)
    below = base_classifier(model).config
    commit = config.revision or getattr(below, "_commit_hash", None)
    # An adapter may say the Hub's name of a base that was loaded from elsewhere; what it was loaded by says more.
    is_own = f"/{below._name_or_path}".endswith(f"/{name}")
    if is_loaded_from_hub(name, commit) or (not is_own and is_hub_name(name)):
        return Base(name, commit, True)
    # Of a folder the last part only, whether it is on this machine or on another's.
    return Base(public_name(name, False), None, False)


def adapter_kind(model: nn.Module) -> str:
    """Peft's name of the kind of adapter, as `LORA`."""
    config: Any = cast("PeftModel", model).peft_config[ADAPTER_NAME]
    return str(getattr(config.peft_type, "value", config.peft_type))

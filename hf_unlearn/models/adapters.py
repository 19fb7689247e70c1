"""LoRA adapters (PEFT): loaded beside their base, trained and saved alone. The library peft is imported here only."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import cached_file

from hf_unlearn.errors import UnlearningError, first_line

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
# How PEFT names what is inside its wrapper.
_INSIDE = "base_model.model."


def is_adapter(model: nn.Module | None) -> bool:
    """Whether this is a model of PEFT: a base whose weights stay, and an adapter."""
    peft = sys.modules.get("peft")
    return peft is not None and isinstance(model, peft.PeftModel)


def inner_model(model: nn.Module | None) -> PreTrainedModel:
    """The model of transformers itself: what is inside an adapter's wrapper, or the model given."""
    return cast(PreTrainedModel, cast(Any, model).get_base_model() if is_adapter(model) else model)


def inner_name(name: str) -> str:
    """A parameter's name as it is in the model of transformers."""
    return name.removeprefix(_INSIDE)


def has_adapter(name: str, **loading: Any) -> bool:
    """Whether a folder, or a repository on the Hub, holds an adapter."""
    return _file(name, ADAPTER_CONFIG, **loading) is not None


def has_processor(name: str, **loading: Any) -> bool:
    """Whether a folder, or a repository on the Hub, holds an image processor."""
    return any(_file(name, file, **loading) for file in ("preprocessor_config.json", "processor_config.json"))


def base_of(name: str, **loading: Any) -> tuple[str, str | None]:
    """Name and revision of the base of the adapter called `name`.

    Raises:
        UnlearningError: peft is not installed, or the adapter does not name its base, or names a folder that is gone.
    """
    config = _adapter_config(name, **loading)
    if not config.base_model_name_or_path:
        raise UnlearningError(f"adapter {name!r} does not name its base; expected base_model_name_or_path")
    base = config.base_model_name_or_path
    if is_local(base) and not os.path.isdir(base):
        raise UnlearningError(f"the base {base!r} of adapter {name!r} was not found: there is no such folder")
    return base, config.revision


def config_of(name: str, **loading: Any) -> PretrainedConfig | None:
    """The classifier's configuration (its labels, say) where the adapter comes with one; else its base's holds."""
    return AutoConfig.from_pretrained(name, **loading) if _file(name, "config.json", **loading) else None


def wrap(base: PreTrainedModel, fresh: list[str], name: str, base_revision: str | None, **loading: Any) -> PeftModel:
    """The adapter called `name` around its loaded base, its weights trainable, the base's not.

    Args:
        base: the base model.
        fresh: names of weights of the base that are not from its checkpoint; the adapter must bring them.
        base_revision: that the base was loaded at; the adapter belongs to it from now on.

    Raises:
        UnlearningError: another kind of adapter than is verified, or weights that are missing or do not fit.
    """
    from peft import PeftModel

    config = _adapter_config(name, **loading)
    found = problem_of(config)
    if found is not None:
        raise UnlearningError(f"adapter {name!r} cannot be unlearned: {found}")
    path = _file(name, ADAPTER_WEIGHTS, **loading)
    if path is None:
        raise UnlearningError(f"adapter {name!r} has no weights as safetensors; expected {ADAPTER_WEIGHTS}")
    config.inference_mode = False
    config.revision = base_revision
    # What the base lacks was drawn at random, and nobody uses it: so that the same adapter is the same whenever loaded.
    with torch.no_grad():
        for key in fresh:
            base.get_parameter(key).zero_()
    try:
        model = PeftModel(base, config)
    except ValueError as error:
        # As for a ViT's adapter from before transformers 5, whose layers had other names: peft does not translate them.
        targets = config.target_modules
        targets = targets if isinstance(targets, str) else ", ".join(sorted(targets or ()))
        raise UnlearningError(
            f"adapter {name!r} does not fit its base: no module is called as its target_modules are, {targets}"
        ) from error
    weights = _read(path, name)
    lacking = [key for key in fresh if _INSIDE + key not in weights]
    if lacking:
        raise UnlearningError(
            f"adapter {name!r} is not a trained image classifier: neither it nor its base has {lacking[0]!r}"
        )
    _put(model, weights, name)
    return model.eval()


def load_adapter_weights(model: nn.Module | None, folder: str) -> None:
    """Put the adapter's weights that are saved in `folder` into `model`, all of them.

    Raises:
        UnlearningError: they cannot be read, or are not those of this adapter.
    """
    _put(model, _read(os.path.join(folder, ADAPTER_WEIGHTS), folder), folder)


def problem_of(config: Any) -> str | None:
    """Why an adapter with this configuration is not taken, or None: what no test has run is refused."""
    kind = getattr(config.peft_type, "value", config.peft_type)
    if kind != "LORA":
        return f"it is of type {kind}; expected LORA, the one that is verified"
    if config.use_dora:
        return "it is a DoRA; expected plain LoRA, the one that is verified"
    return None


def adapter_record(model: nn.Module | None) -> dict[str, Any] | None:
    """What a run's record says of the adapter: type, base and its revision; None for a whole model."""
    if not is_adapter(model):
        return None
    config = _active_config(model)
    name = str(config.base_model_name_or_path)
    from_hub = not is_local(name)
    return {
        "type": "LoRA",
        "base_model": name if from_hub else os.path.basename(os.path.normpath(name)),
        "base_revision": config.revision,
        "base_from_hub": from_hub,
    }


def is_local(base: str) -> bool:
    """Whether a base is a folder of this machine, there or not, rather than a name on the Hub."""
    return os.path.isdir(base) or base.startswith((os.sep, ".", "~")) or base.count("/") > 1


def adapter_problems(model: nn.Module) -> list[str]:
    """What of an adapter in memory is not verified; empty for LoRA on its own."""
    adapters = list(cast(Any, model).peft_config)
    if len(adapters) != 1:
        return [f"{len(adapters)} adapters at once ({', '.join(adapters)}); expected one"]
    found = problem_of(_active_config(model))
    merged = any(getattr(module, "merged", False) is True for module in model.modules())
    return [*([found] if found else []), *(["it is merged into its base; expected it apart"] if merged else [])]


def _active_config(model: nn.Module | None) -> Any:
    (config,) = cast(Any, model).peft_config.values()
    return config


def _adapter_config(name: str, **loading: Any) -> Any:
    try:
        from peft import PeftConfig
    except ImportError as error:
        raise UnlearningError(
            f"model {name!r} is an adapter, which needs the library peft: pip install hf-unlearn[peft]"
        ) from error
    path = _file(name, ADAPTER_CONFIG, **loading)
    try:
        return PeftConfig.from_pretrained(os.path.dirname(cast(str, path)))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnlearningError(
            f"adapter {name!r} has an {ADAPTER_CONFIG} that does not hold: {first_line(error)}"
        ) from error


def _file(name: str, file: str, **loading: Any) -> str | None:
    """Where a file of a folder or repository is on this machine; None if there is no such file."""
    if os.path.isdir(name):
        path = os.path.join(name, file)
        return path if os.path.isfile(path) else None
    try:
        return cached_file(
            name,
            file,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            **loading,
        )
    except (OSError, ValueError):
        return None


def _read(path: str, name: str) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UnlearningError(f"the weights of adapter {name!r} cannot be read: {first_line(error)}") from error


def _put(model: nn.Module | None, weights: Mapping[str, torch.Tensor], name: str) -> None:
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    shapes = {key: tuple(value.shape) for key, value in get_peft_model_state_dict(cast(Any, model)).items()}
    given = {key: tuple(value.shape) for key, value in weights.items()}
    different = sorted(shapes.items() ^ given.items())
    if different:
        raise UnlearningError(
            f"the weights of adapter {name!r} do not fit its base: {different[0][0]!r} is "
            f"{given.get(different[0][0])}; expected {shapes.get(different[0][0])}"
        )
    set_peft_model_state_dict(cast(Any, model), dict(weights))

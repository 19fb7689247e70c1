"""Which adapters are verified: a plain LoRA that is alone, active, trainable, and all that is."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from torch import nn

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.adapters import ADAPTER_NAME, is_adapter

# Fields of a LoraConfig that may have any value: size and place of the adapter, and what peft notes down. Any other
# one that is not at its default is a variant of LoRA that nobody tried here.
_VERIFIED = {
    *("r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save"),
    *("peft_type", "peft_version", "task_type", "auto_mapping", "inference_mode", "init_lora_weights"),
    *("base_model_name_or_path", "revision"),
}
# The other ways to start an adapter change the base's weights, each time that it is loaded.
_PLAIN_STARTS = (True, False, "gaussian", "orthogonal")


def refuse_unverified_config(config: Any, name: str) -> None:
    """Raise if an adapter is of a kind that was not tried here.

    Args:
        config: a `peft.PeftConfig`.
        name: of the adapter, for the message.

    Raises:
        UnlearningError: it is; the message says in what.
    """
    problem = _config_problem(config)
    if problem is not None:
        raise UnlearningError(f"model {name!r} is an adapter that cannot be unlearned: {problem}")


def _config_problem(config: Any) -> str | None:
    """Why this configuration is not one that is verified; None: it is."""
    kind = str(getattr(config.peft_type, "value", config.peft_type))
    if kind != "LORA":
        return f"its peft_type is {kind}; expected LORA, the one that is verified"
    if config.init_lora_weights not in _PLAIN_STARTS:
        return (
            f"init_lora_weights is {config.init_lora_weights!r}, which changes the base's weights; expected a plain "
            "LoRA (see path_initial_model_for_weight_conversion of peft's save_pretrained)"
        )
    usual = type(config)()
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in _VERIFIED and (value or None) != (getattr(usual, field.name) or None):
            return f"its {field.name} is {value!r}, a variant of LoRA that is not verified; expected a plain one"
    return None


def refuse_unverified_adapter(model: nn.Module, train_mode: bool = False) -> None:
    """Raise if the model has an adapter that cannot be unlearned as the weights that move, and nothing else.

    Args:
        train_mode: whether the run puts the model into train mode.

    Raises:
        UnlearningError: the adapter is of a kind that is not verified, is not alone, merged, switched off, frozen, on
            a quantised base, inside a model of transformers, or not all that is trainable.
    """
    problem = _model_problem(model, train_mode)
    if problem is not None:
        raise UnlearningError(f"this adapter cannot be unlearned: {problem}")


def _model_problem(model: nn.Module, train_mode: bool) -> str | None:
    if not is_adapter(model):
        peft = sys.modules.get("peft")
        if getattr(model, "_hf_peft_config_loaded", False) or (
            peft is not None and isinstance(model, peft.PeftMixedModel)
        ):
            return (
                f"it is in a {type(model).__name__}; expected a peft.PeftModel around the classifier (get_peft_model)"
            )
        return None
    adapted: Any = model
    if list(adapted.peft_config) != [ADAPTER_NAME]:
        names = ", ".join(repr(name) for name in adapted.peft_config)
        return f"the model has the adapters {names}; expected one alone, named {ADAPTER_NAME!r}"
    problem = _config_problem(adapted.peft_config[ADAPTER_NAME])
    if problem is not None:
        return problem
    base = adapted.get_base_model()
    integers = [name for name, each in base.named_parameters() if not each.is_floating_point()]
    if getattr(base, "is_quantized", False) or integers:
        return "its base is quantised (QLoRA), which is not verified; expected a base in float32 or bfloat16"
    layers = [each for each in base.modules() if hasattr(each, "lora_A")]
    if any(each.merged for each in layers):
        return "it is merged into the base; expected unmerge_adapter() first, or merge_and_unload() for a whole model"
    if any(each.disable_adapters or list(each.active_adapters) != [ADAPTER_NAME] for each in layers):
        return "it is switched off; expected it enabled and active"
    moving = [name for name, each in model.named_parameters() if each.requires_grad]
    if not moving:
        return "none of its weights is trainable; expected PeftModel.from_pretrained(..., is_trainable=True)"
    own = (f".lora_A.{ADAPTER_NAME}.", f".lora_B.{ADAPTER_NAME}.", f".modules_to_save.{ADAPTER_NAME}.")
    foreign = [name for name in moving if not any(part in name for part in own)]
    if foreign:
        return f"{foreign[0]!r} of the base is trainable, and would not be saved with it; expected it frozen"
    if train_mode and any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in model.modules()):
        return "train_mode would move the base's BatchNorm statistics, which are not saved with it; expected it off"
    return None

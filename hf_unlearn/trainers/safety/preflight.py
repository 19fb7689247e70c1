"""What is known to make second-order unlearning wrong or impossible, found before the run; and what can be mended."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn
from transformers import PreTrainedModel, TrainingArguments
from transformers.utils import strtobool

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.adapters import base_classifier, is_adapter
from hf_unlearn.models.pretrained import SINGLE_LABEL

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from hf_unlearn.trainers.base.config import UnlearningConfig

_PLAIN = "use plain data parallelism (accelerate launch --multi_gpu, or --num_processes)"
# Ways of `accelerate launch` to spread a model, by the variable that it sets.
_DISTRIBUTIONS = {
    "ACCELERATE_USE_FSDP": ("FSDP", "its sharded weights get no second-order gradient, partly without an error"),
    "ACCELERATE_USE_DEEPSPEED": ("DeepSpeed", "second-order gradients are not verified with it"),
    "ACCELERATE_USE_MEGATRON_LM": ("Megatron-LM", "second-order gradients are not verified with it"),
    "ACCELERATE_USE_PARALLELISM_CONFIG": ("a parallelism config", "only whole copies of the model are verified"),
}
_HALF = "squared gradients leave its range, and its loss scaling is squared"
_UNCOMPILED = "compiled graphs have no double backward"


class Problem(NamedTuple):
    """One reason not to start: what was found, why it matters, and what to do."""

    found: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.found}: {self.why}; {self.remedy}"


def find_problems(
    model: PreTrainedModel, args: UnlearningConfig, environment: Mapping[str, str] | None = None
) -> list[Problem]:
    """All problems of this model with these arguments, as it was launched; empty when unlearning can start.

    Args:
        environment: the variables that a launcher sets; by default those of this process.
    """
    launched = os.environ if environment is None else environment
    found = [*_of_arguments(args), *unverified_distributions(args, launched), *_of_launcher(launched)]
    found += _of_wrapper(model)
    if isinstance(model, PreTrainedModel) or is_adapter(model):
        found += [*_of_weights(model), *_of_layers(model)]
    # What the arguments say is in the environment, too, where a launcher or the arguments themselves put it there.
    return list({problem.found: problem for problem in found}.values())


def _of_arguments(args: UnlearningConfig) -> Iterator[Problem]:
    if getattr(args, "ddp_static_graph", None):
        why = "with a second-order loss it leaves gradients unsynchronised without an error"
        yield Problem("ddp_static_graph", why, "leave it unset")
    yield from unverified_distributions(args, {})
    if args.torch_compile:
        yield Problem("torch_compile", _UNCOMPILED, "leave torch_compile unset")
    if args.fp16:
        yield Problem("fp16", _HALF, "use bf16 or float32")
    # Called gradient_checkpointing before transformers 5.23.
    prefix = "activation" if hasattr(args, "activation_checkpointing") else "gradient"
    if getattr(args, f"{prefix}_checkpointing"):
        yield Problem(
            "activation checkpointing",
            "it saves no memory here, since the inner gradient's graph keeps what is recomputed for it",
            "use a smaller batch with more gradient accumulation, which changes nothing else, or bf16",
        )
    if not args.average_tokens_across_devices:
        why = "the loss is a mean over the samples of all processes"
        yield Problem("average_tokens_across_devices False", why, "leave it at True")


def unverified_distributions(args: TrainingArguments, environment: Mapping[str, str]) -> list[Problem]:
    """The ways to spread a model that arguments or a launcher ask for, and that no test has run."""
    asked = {
        "ACCELERATE_USE_FSDP": bool(args.fsdp),
        "ACCELERATE_USE_DEEPSPEED": bool(args.deepspeed),
    }
    return [
        Problem(name, why, _PLAIN)
        for variable, (name, why) in _DISTRIBUTIONS.items()
        if asked.get(variable) or _is_true(environment.get(variable))
    ]


def _is_true(text: str | None) -> bool:
    try:
        return bool(strtobool(text or "no"))
    except ValueError:
        # What is no word for yes or no is said by accelerate itself.
        return False


def _of_launcher(environment: Mapping[str, str]) -> Iterator[Problem]:
    precision = (environment.get("ACCELERATE_MIXED_PRECISION") or "no").lower()
    if precision not in ("no", "bf16"):
        yield Problem(precision, _HALF, "use bf16 or float32")
    backend = (environment.get("ACCELERATE_DYNAMO_BACKEND") or "no").lower()
    if backend != "no":
        yield Problem(f"dynamo with {backend}", _UNCOMPILED, "switch it off")


def _of_wrapper(model: nn.Module) -> Iterator[Problem]:
    if not (isinstance(model, PreTrainedModel) or is_adapter(model)):
        why = "the trainer wraps the model itself, and knows image classifiers of transformers only"
        yield Problem(f"a model of type {type(model).__name__}", why, "give the bare model")
    if not isinstance(model, nn.Module):
        return
    compiled = any(getattr(module, "_compiled_call_impl", None) is not None for module in model.modules())
    if compiled or hasattr(model, "_orig_mod"):
        yield Problem("a compiled model", _UNCOMPILED, "give the model as it was before torch.compile")


def _of_weights(model: PreTrainedModel) -> Iterator[Problem]:
    if model.dtype == torch.float16:
        yield Problem("float16 weights", "squared gradients leave their range", "use bfloat16 or float32")
    if getattr(model, "is_quantized", False):
        yield Problem("quantised weights", "they cannot be differentiated", "load the model without quantisation")
    problem_type = getattr(model.config, "problem_type", None)
    if problem_type not in (None, SINGLE_LABEL):
        why = "the losses here are of one label an image"
        yield Problem(f"problem_type {problem_type!r}", why, "give a classifier that was trained for one label")
    broken = [name for name, values in model.state_dict().items() if not bool(values.isfinite().all())]
    if broken:
        yield Problem(f"weights that are not finite in {broken[0]!r}", "nothing follows from them", "train it anew")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        yield Problem("no weight that requires a gradient", "nothing can be unlearned", "unfreeze the model")


def _of_layers(model: PreTrainedModel) -> Iterator[Problem]:
    without = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None
    ]
    if without:
        yield Problem(
            f"BatchNorm without running statistics in {without[0]!r}",
            "it normalises over the batch even in eval mode, so that one sample's gradient depends on the others",
            "train it with track_running_stats",
        )


def refuse_unverified_distribution(accelerator: Accelerator, mixes_samples: bool = False) -> None:
    """Refuse kinds of parallel hardware that no test has run on, which accelerate finds by itself.

    Args:
        mixes_samples: whether the method compares the samples of a batch with each other.

    Raises:
        UnlearningError: it is neither one process, nor several with a CPU or a GPU each; or it is several of a method
            that takes one.
    """
    if mixes_samples and accelerator.num_processes > 1:
        what = f"{accelerator.num_processes} processes"
        refuse([Problem(what, "the method compares the samples of a batch, which they would part", "use one process")])
    plain = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
    if accelerator.distributed_type not in plain:
        refuse([Problem(accelerator.distributed_type.value, "it is not verified", _PLAIN)])


def refuse_problems(model: PreTrainedModel, args: UnlearningConfig) -> None:
    """Raise if [`find_problems`] finds any.

    Raises:
        UnlearningError: one line with all the problems.
    """
    refuse(find_problems(model, args))


def refuse(problems: list[Problem]) -> None:
    """Raise if there are any.

    Raises:
        UnlearningError: one line with all the problems.
    """
    if problems:
        raise UnlearningError("this run would go wrong: " + "; also: ".join(str(problem) for problem in problems))


def take_one_gpu(args: TrainingArguments) -> list[str]:
    """Have a process that sees several GPUs take the first; in words, what was done.

    The Trainer would spread each batch over all of them with `nn.DataParallel`, which breaks the gradient with respect
    to the input, and would make the batch that many times as large.
    """
    found = args.n_gpu
    if found <= 1:
        return []
    args._n_gpu = 1
    return [f"one of {found} GPUs is used, the first; started with `accelerate launch` all of them are"]


def mend(model: PreTrainedModel, second_order: bool, train_mode: bool = False) -> list[str]:
    """Change of the model what stands in the way and does not change what it computes; in words, what was done.

    Args:
        second_order: whether the method's loss holds derivatives with respect to the input.
        train_mode: whether the model runs in train mode while it unlearns.
    """
    done = []
    in_place = [module for module in model.modules() if getattr(module, "inplace", False) is True]
    if second_order and in_place:
        for module in in_place:
            module.inplace = False  # type: ignore[assignment]
        done.append(f"{len(in_place)} in-place activations write to memory of their own")
    attention = getattr(model.config, "_attn_implementation", None)
    if second_order and attention not in (None, "eager"):
        if attention != "sdpa":
            attention = f"{attention} attention was replaced by {_differentiable_attention(model)} attention"
        else:
            attention = "attention runs in its math kernel"
        done.append(f"{attention}, since fused kernels have no second derivative")
    norms = sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if norms and not train_mode:
        done.append(f"{norms} BatchNorm layers keep their statistics")
    return done


def _differentiable_attention(model: PreTrainedModel) -> str:
    """Switch to an attention that has a second derivative; its name."""
    bare = base_classifier(model)
    try:
        bare.set_attn_implementation("sdpa")
        return "sdpa"
    except (ValueError, ImportError):
        bare.set_attn_implementation("eager")
        return "eager"

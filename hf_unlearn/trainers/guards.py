"""What is known to make second-order unlearning wrong or impossible, found before the run."""

from __future__ import annotations

from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, DynamoBackend
from torch import nn
from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


class Problem(NamedTuple):
    """One reason not to start: what was found, why it matters, and what to do."""

    found: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.found}: {self.why}; {self.remedy}"


def find_problems(model: PreTrainedModel, args: UnlearningConfig) -> list[Problem]:
    """All problems of this model with these arguments; empty when unlearning can start."""
    problems = []
    if args.n_gpu > 1:
        problems.append(
            Problem(
                f"{args.n_gpu} GPUs in one process",
                "nn.DataParallel breaks the gradient with respect to the input",
                "start with `accelerate launch`, or show one GPU with CUDA_VISIBLE_DEVICES",
            )
        )
    if getattr(args, "ddp_static_graph", None):
        problems.append(
            Problem(
                "ddp_static_graph",
                "with a second-order loss it leaves gradients unsynchronised without an error",
                "leave it unset",
            )
        )
    if args.fsdp:
        problems.append(
            Problem("FSDP", "its sharded weights lose second-order gradients", "use plain data parallelism")
        )
    if args.deepspeed:
        problems.append(
            Problem("DeepSpeed", "second-order gradients are not verified with it", "use plain data parallelism")
        )
    if args.torch_compile:
        problems.append(
            Problem("torch_compile", "compiled graphs have no double backward", "leave torch_compile unset")
        )
    if args.fp16:
        problems.append(
            Problem(
                "fp16",
                "squared gradients leave its range, and its loss scaling is squared",
                "use bf16 or float32",
            )
        )
    # Called gradient_checkpointing before transformers 5.23.
    prefix = "activation" if hasattr(args, "activation_checkpointing") else "gradient"
    checkpointing = getattr(args, f"{prefix}_checkpointing")
    if checkpointing:
        problems.append(
            Problem(
                "activation checkpointing",
                "transformers checkpoints in train mode only, and unlearning runs in eval mode",
                "use a smaller batch with more gradient accumulation",
            )
        )
    if not args.average_tokens_across_devices:
        problems.append(
            Problem(
                "average_tokens_across_devices False",
                "the loss is a mean over the samples of all processes",
                "leave it at True",
            )
        )
    if model.dtype == torch.float16:
        problems.append(Problem("float16 weights", "squared gradients leave their range", "use bfloat16 or float32"))
    synchronised = [name for name, module in model.named_modules() if isinstance(module, nn.SyncBatchNorm)]
    if synchronised:
        problems.append(
            Problem(
                f"SyncBatchNorm in {synchronised[0]!r}",
                "it has no second derivative",
                "convert it to BatchNorm2d: unlearning freezes its statistics anyway",
            )
        )
    if getattr(model, "is_quantized", False):
        problems.append(
            Problem("quantised weights", "they cannot be differentiated", "load the model without quantisation")
        )
    return problems


def refuse_launcher_problems(accelerator: Accelerator) -> None:
    """Refuse what `accelerate launch` was told and the arguments do not show.

    Raises:
        UnlearningError: half precision, compilation, or a distribution that is not verified.
    """
    found = []
    if accelerator.mixed_precision not in ("no", "bf16"):
        found.append(f"mixed precision {accelerator.mixed_precision} (use bf16 or none)")
    if accelerator.state.dynamo_plugin.backend != DynamoBackend.NO:
        found.append("compilation with dynamo (switch it off)")
    plain = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
    if accelerator.distributed_type not in plain:
        found.append(f"{accelerator.distributed_type.value} (use plain data parallelism)")
    if found:
        raise UnlearningError("this run would go wrong as it was launched: " + "; also: ".join(found))


def refuse_problems(model: PreTrainedModel, args: UnlearningConfig) -> None:
    """Raise if [`find_problems`] finds any.

    Raises:
        UnlearningError: one line with all the problems.
    """
    problems = find_problems(model, args)
    if problems:
        raise UnlearningError("this run would go wrong: " + "; also: ".join(str(problem) for problem in problems))

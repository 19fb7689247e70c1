"""What is refused before a run, and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DistributedType
from torch import nn

from hf_unlearn import MUMisConfig, MUMisTrainer, UnlearningError
from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.trainers.base.classifier import ClassifierConfig, ClassifierTrainer
from hf_unlearn.trainers.safety.preflight import (
    find_problems,
    mend,
    refuse_problems,
    refuse_unverified_distribution,
    take_one_gpu,
)
from tests.tiny import make_dataset, make_model, make_processor

ROOT = Path(__file__).parents[2]


def make_args(tmp_path, **settings):
    return MUMisConfig(output_dir=str(tmp_path), use_cpu=True, **settings)


def test_nothing_is_wrong_with_the_defaults(tmp_path, architecture):
    assert find_problems(make_model(architecture), make_args(tmp_path)) == []


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("ddp_static_graph", True, "ddp_static_graph"),
        ("fsdp", "full_shard", "FSDP"),
        ("deepspeed", "zero3.json", "DeepSpeed"),
        ("torch_compile", True, "torch_compile"),
        ("average_tokens_across_devices", False, "average_tokens_across_devices"),
        ("fp16", True, "fp16"),
    ],
)
def test_arguments_that_go_wrong(tmp_path, field, value, named):
    args = make_args(tmp_path)
    # Set afterwards: what they name need not be installed here.
    setattr(args, field, value)
    with pytest.raises(UnlearningError, match=named):
        refuse_problems(make_model(), args)


def test_activation_checkpointing(tmp_path):
    args = make_args(tmp_path)
    prefix = "activation" if hasattr(args, "activation_checkpointing") else "gradient"
    setattr(args, f"{prefix}_checkpointing", True)
    with pytest.raises(UnlearningError, match="activation checkpointing"):
        refuse_problems(make_model(), args)


def test_weights_that_go_wrong(tmp_path):
    with pytest.raises(UnlearningError, match="float16 weights"):
        refuse_problems(make_model().half(), make_args(tmp_path))
    quantised = make_model()
    quantised.is_quantized = True
    with pytest.raises(UnlearningError, match="quantised weights"):
        refuse_problems(quantised, make_args(tmp_path))


LAUNCHED = [
    ("ACCELERATE_MIXED_PRECISION", "fp16", "fp16"),
    ("ACCELERATE_MIXED_PRECISION", "fp8", "fp8"),
    ("ACCELERATE_DYNAMO_BACKEND", "inductor", "dynamo with inductor"),
    ("ACCELERATE_USE_FSDP", "true", "FSDP"),
    ("ACCELERATE_USE_DEEPSPEED", "true", "DeepSpeed"),
    ("ACCELERATE_USE_MEGATRON_LM", "true", "Megatron-LM"),
    ("ACCELERATE_USE_PARALLELISM_CONFIG", "true", "a parallelism config"),
]


@pytest.mark.parametrize(("variable", "value", "named"), LAUNCHED)
def test_what_the_launcher_was_told(tmp_path, variable, value, named):
    model, args = make_model(), make_args(tmp_path)
    (problem,) = find_problems(model, args, {variable: value})
    assert problem.found == named and problem.why and problem.remedy
    assert find_problems(model, args, {variable: {"true": "false"}.get(value, "NO")}) == []


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [line for line in LAUNCHED if line[1] in ("fp16", "inductor") or "FSDP" in line[0]],
)
def test_a_launched_run_is_refused(tmp_path, variable, value, named):
    # In a process of its own: accelerate keeps what it was told for good.
    code = (
        "from hf_unlearn import MUMisConfig, MUMisTrainer, UnlearningError\n"
        "from tests.tiny import make_dataset, make_model, make_processor\n"
        "given = {'processing_class': make_processor(), 'forget_kind': 'class'}\n"
        "try:\n"
        f"    args = MUMisConfig(output_dir={str(tmp_path)!r}, use_cpu=True)\n"
        "    MUMisTrainer(make_model(), args, train_dataset=make_dataset(8), **given)\n"
        "except UnlearningError as error: print(error)"
    )
    environment = {**os.environ, variable: value}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.stdout.startswith("this run would go wrong: ") and named in done.stdout, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 1


def test_all_problems_are_named_at_once(tmp_path):
    model = make_model("resnet").half()
    model.resnet.embedder.embedder.normalization.running_mean = None
    args = make_args(tmp_path)
    args.ddp_static_graph = True
    named = ["ddp_static_graph", "FSDP", "float16 weights", "BatchNorm without running statistics"]
    problems = find_problems(model, args, {"ACCELERATE_USE_FSDP": "true"})
    assert [problem.found.split(" in ")[0] for problem in problems] == named
    with pytest.raises(UnlearningError) as caught:
        refuse_problems(model, args)
    assert "float16" in str(caught.value) and "ddp_static_graph" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parallel_hardware_that_no_test_has_run_on():
    for kind in (DistributedType.XLA, DistributedType.FSDP, DistributedType.MULTI_XPU):
        with pytest.raises(UnlearningError, match=f"{kind.value}: it is not verified"):
            refuse_unverified_distribution(SimpleNamespace(distributed_type=kind))
    refuse_unverified_distribution(SimpleNamespace(distributed_type=DistributedType.MULTI_GPU))


def test_a_method_that_compares_the_samples_of_a_batch_takes_one_process():
    several = SimpleNamespace(distributed_type=DistributedType.MULTI_CPU, num_processes=2)
    with pytest.raises(UnlearningError, match="2 processes: the method compares the samples of a batch"):
        refuse_unverified_distribution(several, mixes_samples=True)
    refuse_unverified_distribution(several)
    one = SimpleNamespace(distributed_type=DistributedType.NO, num_processes=1)
    refuse_unverified_distribution(one, mixes_samples=True)


# Compiling says that a part of torch is going to go, which is torch's own affair.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_a_wrapped_model(tmp_path, wrap):
    with pytest.raises(UnlearningError, match="give the (bare model|model as it was before)"):
        MUMisTrainer(wrap(make_model()), make_args(tmp_path), train_dataset=make_dataset(8), forget_kind="class")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_compiled_in_place(tmp_path):
    model = make_model()
    model.compile()
    with pytest.raises(UnlearningError, match="a compiled model"):
        refuse_problems(model, make_args(tmp_path))


def test_frozen_weights(tmp_path):
    with pytest.raises(UnlearningError, match="no weight that requires a gradient"):
        refuse_problems(make_model().requires_grad_(False), make_args(tmp_path))


def test_synchronised_batchnorm_is_batchnorm_with_frozen_statistics(tmp_path):
    ends = []
    for convert in (lambda model: model, nn.SyncBatchNorm.convert_sync_batchnorm):
        model = convert(make_model("resnet"))
        args = make_args(tmp_path, max_steps=3, dataloader_pin_memory=False, disable_tqdm=True)
        trainer = MUMisTrainer(
            model, args, train_dataset=make_dataset(8), processing_class=make_processor(), forget_kind="class"
        )
        trainer.train()
        ends.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    assert torch.equal(*ends)


def test_what_can_be_mended_is_mended_and_said(tmp_path):
    vit = make_model("vit")
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    said = vit(pixel_values=pixels).logits
    assert mend(vit, second_order=False) == []
    (line,) = mend(vit, second_order=True)
    assert "math kernel" in line and vit.config._attn_implementation == "sdpa"
    vit.config._attn_implementation = "flash_attention_2"
    (line,) = mend(vit, second_order=True)
    assert "flash_attention_2 attention was replaced" in line and vit.config._attn_implementation == "sdpa"
    torch.testing.assert_close(vit(pixel_values=pixels).logits, said)

    resnet = make_model("resnet")
    resnet.resnet.embedder.embedder.activation = nn.ReLU(inplace=True)
    lines = mend(resnet, second_order=True)
    assert [line.split()[0] for line in lines] == ["1", "6"] and not resnet.resnet.embedder.embedder.activation.inplace
    assert mend(make_model("resnet"), second_order=False, train_mode=True) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"objective": "differnce"}, "did you mean 'difference'"),
        ({"step_rule": "bold"}, "step_rule is 'bold'"),
        ({"stop_window": 0}, "stop_window is 0"),
        ({"remove_unused_columns": True}, "remove_unused_columns"),
    ],
)
def test_settings_out_of_range(tmp_path, settings, named):
    with pytest.raises(UnlearningError, match=named):
        make_args(tmp_path, **settings)


def test_a_process_that_sees_several_gpus_takes_one_and_says_so(tmp_path, caplog):
    # Of a new model there is nothing to forget that could be measured.
    args = make_args(tmp_path, max_steps=1, label_shift=1.0)
    args._n_gpu = 4
    trainer = MUMisTrainer(
        make_model("vit"), args, train_dataset=make_dataset(8), processing_class=make_processor(), forget_kind="subset"
    )
    assert trainer.mended[0] == "one of 4 GPUs is used, the first; started with `accelerate launch` all of them are"
    assert trainer.mended[0] in caplog.text
    assert trainer.args.n_gpu == 1 and trainer.args.train_batch_size == args.per_device_train_batch_size
    assert args.n_gpu == 4, "the caller's arguments are the caller's"
    trainer.train()
    assert not isinstance(trainer.model_wrapped, torch.nn.DataParallel) and trainer.state.global_step == 1


@pytest.mark.parametrize("number", [0, 1])
def test_one_gpu_or_none_is_nothing_to_speak_of(tmp_path, number):
    args = make_args(tmp_path)
    args._n_gpu = number
    assert take_one_gpu(args) == [] and args.n_gpu == number


def test_training_takes_one_gpu_too(tmp_path):
    args = ClassifierConfig(str(tmp_path), use_cpu=True)
    args._n_gpu = 2
    pixels = PixelDataset(make_dataset(8), make_processor(), "image", "label", range(4))
    trainer = ClassifierTrainer(make_model(), args, pixels, make_processor())
    assert trainer.mended and trainer.args.train_batch_size == args.per_device_train_batch_size

"""What is refused before a run, and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from hf_unlearn import MUMisConfig, UnlearningError
from hf_unlearn.trainers.guards import find_problems, refuse_problems
from tests.tiny import make_model

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
        ("_n_gpu", 4, "4 GPUs in one process"),
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


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [("ACCELERATE_MIXED_PRECISION", "fp16", "fp16"), ("ACCELERATE_DYNAMO_BACKEND", "inductor", "dynamo")],
)
def test_what_the_launcher_was_told(tmp_path, variable, value, named):
    # In a process of its own: accelerate keeps what it was told for good.
    code = (
        "from hf_unlearn import MUMisConfig, MUMisTrainer, UnlearningError\n"
        "from tests.tiny import make_dataset, make_model, make_processor\n"
        f"args = MUMisConfig(output_dir={str(tmp_path)!r}, use_cpu=True)\n"
        "try: MUMisTrainer(make_model(), args, make_dataset(8), processing_class=make_processor())\n"
        "except UnlearningError as error: print(error)"
    )
    environment = {**os.environ, variable: value}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert "as it was launched" in done.stdout and named in done.stdout, done.stderr[-2000:]


def test_all_problems_are_named_at_once(tmp_path):
    model = nn.SyncBatchNorm.convert_sync_batchnorm(make_model("resnet"))
    args = make_args(tmp_path)
    args.ddp_static_graph = True
    problems = find_problems(model, args)
    assert len(problems) == 2
    with pytest.raises(UnlearningError) as caught:
        refuse_problems(model, args)
    assert "SyncBatchNorm" in str(caught.value) and "ddp_static_graph" in str(caught.value)
    assert "\n" not in str(caught.value)


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

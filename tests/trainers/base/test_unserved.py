"""Settings of the Trainer that cannot be served are refused in words, most of them when the config is made."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest
from transformers import TrainingArguments

from hf_unlearn import MUMisConfig
from hf_unlearn.errors import UnlearningError
from hf_unlearn.trainers.base.classifier import ClassifierConfig, ClassifierTrainer
from hf_unlearn.trainers.methods.delete import DeleteConfig
from tests.tiny import make_model, make_processor
from tests.trainers.runs import make

CONFIGS = {"unlearn": MUMisConfig, "train": ClassifierConfig}


@pytest.fixture(params=list(CONFIGS))
def config(request, tmp_path):
    def build(**settings):
        return CONFIGS[request.param](output_dir=str(tmp_path), use_cpu=True, **settings)

    return build


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("seed", value) for value in (-1, 2**32, 5_000_000_000)),
        *(("data_seed", value) for value in (-1, 2**32)),
        *(("gradient_accumulation_steps", value) for value in (0, -1)),
        *((f"per_device_{what}_batch_size", value) for what in ("train", "eval") for value in (0, -1, 10**20)),
        *(("max_steps", value) for value in (0, -2, 10**20)),
        *(("num_train_epochs", value) for value in (0, -1.0, math.nan, math.inf)),
        *(("learning_rate", value) for value in (0, -1.0, math.nan, math.inf, 1e300)),
        *(("warmup_steps", value) for value in (-1, math.nan, math.inf)),
        *(("logging_steps", value) for value in (0, -1, math.inf)),
        *(("adam_beta1", value) for value in (-0.1, 1.0, math.nan)),
        *(("dataloader_num_workers", value) for value in (-1, 10**9)),
        *(("label_smoothing_factor", value) for value in (-0.1, 1.1, math.nan)),
        *(("lr_scheduler_kwargs", value) for value in ("", "nonsense", "{", "[1]")),
        ("weight_decay", -1.0),
        ("max_grad_norm", -1.0),
        ("save_total_limit", 0),
        ("save_steps", 0),
        ("eval_accumulation_steps", 0),
        ("dataloader_persistent_workers", True),
        ("ddp_timeout", 0),
        ("neftune_noise_alpha", 5.0),
        ("use_liger_kernel", True),
        ("load_best_model_at_end", True),
        ("save_strategy", "best"),
        ("optim", "lomo"),
        ("train_sampling_strategy", "group_by_length"),
        ("deepspeed", "ds.json"),
        ("deepspeed", {"zero_optimization": {"stage": 3}}),
        ("fsdp", "full_shard"),
    ],
)
def test_a_setting_that_cannot_be_served_is_named(config, name, value):
    said = {"deepspeed": "DeepSpeed", "fsdp": "FSDP"}.get(name, f"{name} is ")
    with pytest.raises(UnlearningError, match=said) as caught:
        config(**{name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "1e-4") for name in ("learning_rate", "weight_decay", "warmup_steps", "max_steps", "seed")),
        ("max_steps", [1]),
        ("lr_scheduler_type", "lineer"),
        ("optim", "adan"),
        ("save_strategy", "hourly"),
    ],
)
def test_a_setting_of_another_type_is_named_in_one_line(config, name, value):
    with pytest.raises(UnlearningError, match=re.escape(str(value))) as caught:
        config(**{name: value})
    assert "\n" not in str(caught.value)


def test_every_number_must_be_one(config):
    numbers = [field.name for field in dataclasses.fields(TrainingArguments) if isinstance(field.default, float)]
    assert len(numbers) > 5
    for name in numbers:
        for value in (math.nan, math.inf, -math.inf, 1e39):
            with pytest.raises(UnlearningError, match=re.escape(f"{name} is {value}")):
                config(**{name: value})


@pytest.mark.parametrize(
    "variable",
    [f"ACCELERATE_USE_{name}" for name in ("DEEPSPEED", "FSDP", "MEGATRON_LM", "PARALLELISM_CONFIG")],
)
def test_a_launcher_cannot_ask_for_what_is_not_verified(config, monkeypatch, variable):
    monkeypatch.setenv(variable, "false")
    config()
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UnlearningError, match="not verified|are verified|second-order"):
        config()


def test_the_defaults_and_what_is_usual_are_served(config):
    config()
    config(seed=2**32 - 1, data_seed=0, num_train_epochs=0.5, gradient_accumulation_steps=4, warmup_steps=0)
    config(lr_scheduler_type="linear", lr_scheduler_kwargs="{}", logging_steps=0.5, dataloader_num_workers=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("optim", "sgd"), ("weight_decay", 0.1), ("max_grad_norm", 1.0), ("adam_beta2", 0.9), ("optim_args", "a=1")],
)
def test_relative_steps_take_no_settings_of_an_optimizer(tmp_path, name, value):
    with pytest.raises(UnlearningError, match=f"{name} is .*step_rule 'optim'"):
        MUMisConfig(output_dir=str(tmp_path), **{name: value})
    MUMisConfig(output_dir=str(tmp_path), step_rule="optim", **{name: value})
    DeleteConfig(output_dir=str(tmp_path), **{name: value})


@pytest.mark.parametrize("settings", [{"label_smoothing_factor": 0.1}, {"auto_find_batch_size": True}])
def test_the_loss_and_the_steps_are_the_methods_own(tmp_path, settings):
    (name,) = settings
    with pytest.raises(UnlearningError, match=f"{name} is"):
        MUMisConfig(output_dir=str(tmp_path), **settings)


# What is not installed, unknown, or lacks something that the Trainer asks for when it is made or begins.
LATER = [
    ({"report_to": "wandb"}, "wandb"),
    ({"report_to": "wadb"}, "wadb"),
    ({"report_to": ""}, "is not supported"),
    ({"eval_strategy": "epoch"}, "eval_dataset"),
    ({"eval_on_start": True}, "eval_dataset"),
    ({"optim": "adamw_8bit"}, "optim 'adamw_8bit' cannot be used: .*bitsandbytes"),
    ({"optim": "schedule_free_sgd"}, "optim 'schedule_free_sgd' cannot be used"),
    ({"optim": "adamw_torch", "optim_args": "nonsense"}, "cannot be used"),
    ({"lr_scheduler_type": "cosine_with_min_lr"}, "lr_scheduler_type 'cosine_with_min_lr' .*min_lr"),
    ({"lr_scheduler_type": "warmup_stable_decay"}, "lr_scheduler_type 'warmup_stable_decay' .*num_decay_steps"),
    ({"lr_scheduler_type": "linear", "lr_scheduler_kwargs": {"a": 1}}, "lr_scheduler_kwargs {'a': 1} cannot be used"),
]


@pytest.mark.parametrize(("settings", "said"), LATER)
@pytest.mark.parametrize("command", list(CONFIGS))
def test_what_a_library_refuses_is_one_line(tmp_path, command, settings, said):
    with pytest.raises(UnlearningError, match=said) as caught:
        if command == "unlearn":
            make(tmp_path, "delete", max_steps=1, **settings).train()
        else:
            args = ClassifierConfig(output_dir=str(tmp_path), use_cpu=True, max_steps=1, disable_tqdm=True, **settings)
            data = make(tmp_path, "delete").train_dataset
            ClassifierTrainer(make_model("vit"), args, data, make_processor()).train()
    assert "\n" not in str(caught.value)

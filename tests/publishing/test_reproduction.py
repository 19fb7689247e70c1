"""The card's command does the run again: every setting that is not the default stands in it."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_unlearn import MUMisConfig
from hf_unlearn.commands.main import main
from hf_unlearn.commands.parsing import parse
from hf_unlearn.publishing.markup import as_shell
from hf_unlearn.publishing.record import read_record
from hf_unlearn.publishing.reproduction import _flag
from hf_unlearn.publishing.settings import given_arguments, public_arguments

CPU = ["--use_cpu", "--disable_tqdm", "true", "--report_to", "none"]
RUNS = {
    "class": ["--forget_classes", "red", "--objective", "log_ratio", "--learning_rate", "0.003", "--label_shift", "2"],
    "optimizer": [
        *("--forget_fraction", "0.2", "--forget_seed", "7", "--publish_request", "--step_rule", "optim"),
        *("--weight_decay", "0.1", "--fast_double_backward", "false", "--seed", "11"),
    ],
    "method": [
        "--forget_classes",
        "red",
        "--method",
        "gradient_ascent",
        "--num_train_epochs",
        "2",
        "--max_steps",
        "-1",
    ],
}


def command_of(card):
    (block,) = re.findall(r"(?s)^```bash\n(.*?)\n```$", card.split("## Reproduce")[1], flags=re.MULTILINE)
    return shlex.split(block)


@pytest.mark.parametrize("run", RUNS)
def test_it_makes_the_same_weights(saved_model, saved_dataset, tmp_path, run):
    words = ["unlearn", "--model_name_or_path", saved_model(), "--dataset_name", saved_dataset, *CPU, *RUNS[run]]
    steps = [] if "--max_steps" in words else ["--max_steps", "3", "--num_rounds", "1"]
    assert main([*words, *steps, "--stop_rule", "steps", "--output_dir", str(tmp_path / "one")]) == 0
    again = command_of((tmp_path / "one" / "README.md").read_text())
    assert again[:2] == ["hf-unlearn", "unlearn"]
    # Folders are named by their last part; what is said on the way is not part of a run.
    places = {"resnet": saved_model(), "colours": saved_dataset, "unlearned": str(tmp_path / "two")}
    assert main([*(places.get(word, word) for word in again[1:]), "--report_to", "none"]) == 0
    records = [read_record(str(tmp_path / name)) for name in ("one", "two")]
    assert records[0]["weights_sha256"] == records[1]["weights_sha256"]
    assert records[0]["settings"] == records[1]["settings"] and records[0]["request"] == records[1]["request"]


VALUES = {
    "learning_rate": st.floats(1e-6, 1.0),
    "max_steps": st.integers(1, 500),
    "num_rounds": st.integers(0, 3),
    "seed": st.integers(0, 2**32 - 1),
    "head_scale": st.floats(0.1, 10.0),
    "objective": st.sampled_from(["matched", "anchored", "log_ratio", "difference"]),
    "label_shift": st.floats(0.0, 5.0) | st.just(float("inf")),
    "fast_double_backward": st.booleans(),
    "gradient_accumulation_steps": st.integers(1, 4),
    "per_device_train_batch_size": st.integers(1, 64),
    "full_determinism": st.just(False),
    "stop_rule": st.sampled_from(["steps", "round", "forget_accuracy"]),
    "logging_steps": st.integers(1, 5),
}


@settings(max_examples=40)
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_the_flags_of_given_settings_give_them_again(chosen):
    args = MUMisConfig("out", use_cpu=True, **chosen)
    given_ones = given_arguments(args)
    assert "logging_steps" not in given_ones and given_ones["use_cpu"] is True
    flags = [word for name, value in given_ones.items() for word in _flag(name, value)]
    words = [*shlex.split(as_shell(flags)), "--output_dir", "out"]
    (again,) = parse("unlearn", "", (), lambda: MUMisConfig, None, words)
    before, after = public_arguments(args), public_arguments(again)
    assert {name: after[name] for name in VALUES if name != "logging_steps"} == {
        name: before[name] for name in VALUES if name != "logging_steps"
    }


def test_a_default_stands_in_no_command():
    assert given_arguments(MUMisConfig("out", use_cpu=True)) == {"use_cpu": True}
    assert given_arguments(MUMisConfig("out", use_cpu=True, label_shift=1.0), ["label_shift"]) == {"use_cpu": True}


def test_a_card_keeps_the_name_that_it_had(unlearned):
    assert main(["card", str(unlearned), "--hub_model_id", "org/forgot"]) == 0
    named = (unlearned / "README.md").read_text()
    assert 'model="org/forgot"' in named and main(["card", str(unlearned)]) == 0
    assert (unlearned / "README.md").read_text() == named

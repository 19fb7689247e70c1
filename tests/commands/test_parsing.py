"""What is written on the command line and in a file of settings is what a command gets, or is refused."""

from __future__ import annotations

import os

import pytest
import yaml
from hypothesis import given as for_all
from hypothesis import strategies as st

from hf_unlearn.commands.arguments import PATHS, DataArguments, ModelArguments, RequestArguments
from hf_unlearn.commands.evaluate import EvaluationArguments
from hf_unlearn.commands.parsing import parse
from hf_unlearn.commands.train import StartArguments
from hf_unlearn.commands.words import peek
from hf_unlearn.errors import UnlearningError

BASE = ("--model_name_or_path", "m", "--dataset_name", "d")


def flags(*words, heavy=None):
    """The flags of a command, by name."""
    classes = (ModelArguments, DataArguments, RequestArguments, EvaluationArguments)
    classes = classes if heavy is None else classes[:3]
    parsed = parse("evaluate", "", classes, heavy, None, [*BASE, *map(str, words)])
    return {name: value for instance in parsed for name, value in vars(instance).items()}


def trainer_arguments():
    from hf_unlearn.trainers.base.classifier import ClassifierConfig

    return ClassifierConfig


@pytest.fixture
def config(tmp_path):
    """A function that writes a file of settings and gives the words that name it."""

    def write(text):
        (tmp_path / "settings.yaml").write_text(text, encoding="utf-8")
        return ("--config", str(tmp_path / "settings.yaml"))

    return write


def test_a_null_character_is_refused_wherever_it_stands(config):
    for line in ('image_column_name: "a\\0b"', 'forget_classes: [red, "a\\0b"]'):
        with pytest.raises(UnlearningError, match=r"'a.x00b' holds a null character"):
            flags(*config(f"{line}\n"))


@pytest.mark.parametrize(
    "words",
    [
        ["--forget_classes", "red", "green"],
        ["--forget_classes", "red", "--forget_classes", "green"],
        ["--forget_classes=red", "--forget-classes=green"],
        ["--forget_classes=red", "green"],
        ["--forget_classes", "red", "--seed", "1", "--forget-classes", "green"],
    ],
)
def test_the_values_of_a_list_add_up(words):
    assert flags(*words)["forget_classes"] == ["red", "green"]


@pytest.mark.parametrize("name", ["forget_subclasses", "forget_indices", "forget_where", "reference_model"])
def test_the_values_of_every_list_add_up(name):
    assert flags(f"--{name}", "1", "2", f"--{name}", "3")[name] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "words",
    [
        ["--seed", "1", "--seed", "2"],
        ["--seed=1", "2"],
        ["--level", "fast", "--level", "standard"],
        ["--use_cpu", "--use_cpu", "false"],
        ["--output_dir", "a", "--output-dir", "b"],
        ["--model_name_or_path", "other"],
        ["--config", "a.yaml", "--config", "b.yaml"],
    ],
)
def test_one_value_cannot_be_two(words):
    with pytest.raises(UnlearningError, match="expected one"):
        flags(*words)


def test_one_value_may_be_said_twice():
    assert flags("--seed", "3", "--seed=3", "--use_cpu", "--use_cpu", "yes")["seed"] == 3


def test_a_setting_of_the_trainer_takes_a_word_or_several():
    assert flags("--report_to", "none", "--output_dir", "o", heavy=trainer_arguments)["report_to"] == []
    given = flags("--optim_target_modules", "a", "b", "--output_dir", "o", heavy=trainer_arguments)
    assert given["optim_target_modules"] == ["a", "b"]
    with pytest.raises(UnlearningError, match="expected one"):
        flags("--average_tokens_across_devices", "--no_average_tokens_across_devices", heavy=trainer_arguments)


@pytest.mark.parametrize(
    "text",
    ["0001", "no", "1e3", "2024-01-01", "1_000", "0x10", "12:30:00", "-red", "--seed", "~", "null", "1.0", "True"],
)
def test_a_value_in_a_file_is_the_text_that_stands_there(config, text):
    assert flags(*config(f"forget_classes: [{text}, 'x']"))["forget_classes"] == [text, "x"]
    assert flags(*config(f"forget_where:\n- person={text}"))["forget_where"] == [f"person={text}"]
    if text not in ("~", "null"):
        assert flags(*config(f"forget_classes: {text}"))["forget_classes"] == [text]


@for_all(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8), min_size=1))
def test_any_name_comes_through_a_file(names):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "settings.yaml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump({"forget_classes": names}, file, default_style='"')
        assert flags("--config", path)["forget_classes"] == names


def test_a_file_gives_numbers_words_and_mappings(config):
    text = "seed: 7\nuse_cpu: on\noutput_dir: out\nlr_scheduler_kwargs: {min_lr: 1.0e-6}\nlearning_rate: 1e-3\n"
    given = flags(*config(f"{text}save_strategy: no\nmax-steps: 5\n"), heavy=trainer_arguments)
    assert (given["seed"], given["use_cpu"], given["learning_rate"], given["max_steps"]) == (7, True, 1e-3, 5)
    assert given["lr_scheduler_kwargs"] == {"min_lr": 1e-6} and given["save_strategy"].value == "no"


def test_a_setting_without_a_value_is_not_given(config):
    given = flags(*config("dataset_config_name:\ntrain_split: null\nforget_classes: ~\n"))
    assert (given["dataset_config_name"], given["train_split"], given["forget_classes"]) == (None, None, None)


def test_a_file_may_take_another_mapping_in(config):
    given = flags(*config("<<: {seed: 1, level: fast}\nseed: 2\n"))
    assert (given["seed"], given["level"]) == (2, "fast")


def test_the_command_line_overrides_the_file(config):
    words = config("forget_classes: [red]\nseed: 1\nlevel: fast\n")
    given = flags(*words, "--forget_classes", "blue", "--seed", "2")
    assert (given["forget_classes"], given["seed"], given["level"]) == (["blue"], 2, "fast")
    assert peek("seed", [*words, "--seed", "2"]) == "2" and peek("level", words) == "fast" and peek("x", words) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("forget_classes: [red]\nforget_classes: [green]", "'forget_classes' twice"),
        ("forget_classes: [red]\nforget-classes: [green]", "'forget-classes' twice"),
        ("lr_scheduler_kwargs: {a: 1, a: 2}", "'a' twice"),
        ("lr_scheduler_kwargs: {a: {b: 1, b: 2}}", "'b' twice"),
        ("lr_scheduler_kwargs: {a: 2024-01-01}", "cannot be JSON"),
        ("lr_scheduler_kwargs: &x {a: *x}", "is not YAML"),
        ("seed: [1, 2]", "expected one value"),
        ("seed: 1e3", "invalid int value: '1e3'"),
        ("use_cpu: perhaps", "invalid boolean value"),
        ("forget_classes: []", "empty list"),
        ("forget_classes: [[red]]", "a list that holds a list"),
        ("forget_classes: [{a: b}]", "a list that holds a list or mapping"),
        ("? [a]\n: b", "by a list or mapping"),
        ("config: other.yaml", "'config'"),
        ("--seed: 1", "'--seed'"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("just words", "holds a single value"),
        ("x: !!python/object:os.system y", "is no flag"),
        ("[" * 5000, "is not YAML"),
    ],
)
def test_what_a_file_must_not_hold(config, text, named):
    with pytest.raises(UnlearningError) as caught:
        flags(*config(text))
    assert named in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--forget_classes", "green", "-red"], ["green", "-red"]),
        (["--forget_classes=-red", "--forget_classes=--seed"], ["-red", "--seed"]),
        (["--forget_classes", "-1"], ["-1"]),
    ],
)
def test_a_class_may_begin_with_a_dash(words, given):
    assert flags(*words)["forget_classes"] == given


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--forget_classes", "--red"], "--forget_classes=--red"),
        (["--forget_classes", "red", "--blue"], "--forget_classes=--blue"),
        (["--forget_classes", "red", "-seed"], "did you mean '--seed'"),
        (["--forget_classes"], "has no value"),
        (["--seed"], "has no value"),
        (["--sede", "1"], "did you mean '--seed'"),
        (["--"], "is not a flag"),
        (["--use_cpu", "red"], "invalid boolean value: 'red'"),
    ],
)
def test_a_word_that_is_no_value_is_told(words, named):
    with pytest.raises(UnlearningError) as caught:
        flags(*words)
    assert named in str(caught.value)


def test_a_word_before_every_flag_is_told():
    with pytest.raises(UnlearningError, match="'stray' is not a flag"):
        parse("evaluate", "", (EvaluationArguments,), None, None, ["stray", "--seed", "1"])


def test_the_home_folder_is_expanded_everywhere(config, monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    known = {
        name
        for each in (ModelArguments, DataArguments, RequestArguments, EvaluationArguments, StartArguments)
        for name in each.__dataclass_fields__
    }
    for name in sorted(PATHS & known):
        words = [f"--{name}=~/x"]
        for given in (words, config(yaml.safe_dump({name: "~/x"}))):
            base = [word for word in zip(BASE[::2], BASE[1::2], strict=True) if word[0] != f"--{name}"]
            parsed = parse(
                "c",
                "",
                (ModelArguments, DataArguments, RequestArguments, EvaluationArguments),
                None,
                None,
                [*(word for pair in base for word in pair), *given],
            )
            (value,) = (vars(each)[name] for each in parsed if name in vars(each))
            assert value in ("/somewhere/x", ["/somewhere/x"]), name
    given = flags("--resume_from_checkpoint=~/x", "--output_dir=~/o", heavy=trainer_arguments)
    assert (given["resume_from_checkpoint"], given["output_dir"]) == ("/somewhere/x", "/somewhere/o")
    # What is no path stays as it is.
    assert flags("--forget_classes=~/x")["forget_classes"] == ["~/x"]
    with pytest.raises(UnlearningError, match="no such user"):
        flags("--output_dir=~nobody-of-this-name/x")

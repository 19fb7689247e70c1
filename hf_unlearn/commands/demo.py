"""`hf-unlearn demo`: the whole way on real data that needs no download, through the commands a user has."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_unlearn.commands.arguments import OutputArguments, flag
from hf_unlearn.commands.output_folder import check_output_dir
from hf_unlearn.commands.parsing import parse, say
from hf_unlearn.commands.terminal import seconds_as_text
from hf_unlearn.files import REPORT_NAME, RESULTS_NAME
from hf_unlearn.progress import quiet_unless_terminal

if TYPE_CHECKING:
    from datasets import DatasetDict

DESCRIPTION = (
    "Train a small ResNet on scikit-learn's handwritten digits, make it forget one of them, retrain it without that "
    "digit for comparison, and print how close the two are. About two minutes on two cores."
)
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEST_SHARE = 0.25
FOLDERS = ("dataset", "original", "retrained", "unlearned")
# Percent of a forgotten digit's images that may still be recognised.
RECOGNISED = 2.0
RESNET = '{"embedding_size": 32, "hidden_sizes": [32, 64, 128], "depths": [1, 1, 1], "layer_type": "basic"}'


@dataclass
class DemoArguments:
    """What to show"""

    output_dir: str = flag("Folder for dataset, models and results.", "outputs/demo")
    forget_class: str = flag("The digit to forget, by name.", "eight", choices=NAMES)
    num_train_epochs: float = flag("Passes over the training set, for the original and the retrained model.", 15.0)
    seed: int = flag("Of the models' random weights and of everything after.", 0)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was written.
    """
    flags, output = parse("demo", DESCRIPTION, (DemoArguments, OutputArguments), None, None, argv or ())
    check_output_dir(flags.output_dir, output.overwrite_output_dir or _holds_a_demo(flags.output_dir))
    started = time.monotonic()
    dataset, original, retrained, unlearned = (os.path.join(flags.output_dir, name) for name in FOLDERS)
    with quiet_unless_terminal():
        digits_dataset().save_to_disk(dataset)
    data = ["--dataset_name", dataset]
    request = ["--forget_classes", flags.forget_class]
    again = ["--overwrite_output_dir"]
    training = training_flags(flags.num_train_epochs, flags.seed)
    seed = ["--seed", str(flags.seed)]
    digit = flags.forget_class
    say("", "1 of 4: a small ResNet learns all ten digits. This is the original model.")
    _run("train", *data, *training, "--output_dir", original, *again)
    say("", f"2 of 4: another one learns all but {digit}. This is the retrained model, to compare with.")
    _run("train", *data, *training, *request, "--output_dir", retrained, *again)
    say("", f"3 of 4: the original forgets {digit}. This is the unlearned model.")
    _run("unlearn", "--model_name_or_path", original, *data, *request, *seed, "--output_dir", unlearned, *again)
    say("", "4 of 4: the three side by side.")
    _run(
        *("evaluate", "--model_name_or_path", unlearned, "--original_model", original),
        *("--reference_model", retrained, *data, *request, "--output_dir", flags.output_dir, *again),
    )
    from hf_unlearn.publishing.card import CARD_NAME, PLOTS

    with open(os.path.join(flags.output_dir, RESULTS_NAME), encoding="utf-8") as file:
        models = json.load(file)["models"]
    say(
        "",
        f"Verdict: {_verdict(models, digit)}",
        *_beside(models, digit),
        "",
        f"  picture  {os.path.join(unlearned, PLOTS, 'per_class_accuracy.png')}",
        f"  table    above, and with more pictures in {os.path.join(flags.output_dir, REPORT_NAME)}",
        f"  card     {os.path.join(unlearned, CARD_NAME)}",
        f"  models   {flags.output_dir}: original, retrained, unlearned",
        "",
        f"All of it took {seconds_as_text(time.monotonic() - started)}.",
    )


def training_flags(num_train_epochs: float, seed: int) -> list[str]:
    """How the demo's models are trained, as words of `hf-unlearn train`."""
    model = ["--model_type", "resnet", "--image_size", "32", "--config_overrides", RESNET]
    return [*model, "--num_train_epochs", str(num_train_epochs), "--seed", str(seed)]


def _holds_a_demo(folder: str) -> bool:
    """Whether there is nothing in the folder but what an earlier demo left, which nobody will miss."""
    return os.path.isdir(folder) and set(os.listdir(folder)) <= {*FOLDERS, RESULTS_NAME, REPORT_NAME}


def _verdict(models: dict[str, Any], digit: str) -> str:
    """Whether the digit is forgotten, and how near the model is to the retrained one."""
    gap, nothing = models["unlearned"]["average_gap"], models["original"]["average_gap"]
    forgotten = models["unlearned"]["forget_accuracy"] <= RECOGNISED and gap < nothing
    return (
        f"{digit} is {'' if forgotten else 'NOT '}forgotten. On average the unlearned model is {gap:.2f} points of "
        f"accuracy from the retrained one, the original {nothing:.2f}."
    )


def _beside(models: dict[str, Any], digit: str) -> list[str]:
    """The two figures that say most, of the three models."""
    rows = {
        f"{digit}, training images recognised": "forget_accuracy",
        "other digits, test images recognised": "test_accuracy_remaining",
    }
    width = max(map(len, rows))
    heads = "".join(f"{role:>12}" for role in models)
    lines = [f"  {'':<{width}}{heads}"]
    for title, key in rows.items():
        lines.append(f"  {title:<{width}}" + "".join(f"{figures[key]:>10.2f} %" for figures in models.values()))
    return lines


def digits_dataset() -> DatasetDict:
    """Scikit-learn's digits: 1,797 greyscale images of 8 × 8 pixels, split into train and test."""
    import numpy as np
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
    from PIL import Image as PILImage
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(pixels))
    test_size = round(TEST_SHARE * len(pixels))
    features = Features({"image": Image(), "label": ClassLabel(names=NAMES)})
    splits = {
        name: Dataset.from_dict(
            {
                "image": [PILImage.fromarray(pixels[row]) for row in rows],
                "label": [int(digits.target[row]) for row in rows],
            },
            features=features,
        )
        for name, rows in {"train": order[test_size:], "test": order[:test_size]}.items()
    }
    return DatasetDict(splits)


def _run(command: str, *argv: str) -> None:
    """Show a command as the user would type it, and run it."""
    import importlib

    shown = [word for word in argv if word != "--overwrite_output_dir"]
    say("", f"$ hf-unlearn {command} {shlex.join(shown)}")
    sys.stdout.flush()
    importlib.import_module(f"hf_unlearn.commands.{command}").main(argv)

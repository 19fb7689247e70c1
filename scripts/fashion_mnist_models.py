"""Fashion-MNIST from end to end: a ResNet and a ViT forget a class, each beside three models retrained without it.

    python scripts/fashion_mnist_models.py --fashion_mnist outputs/fashion-mnist --work_dir outputs/fashion-mnist-models

Everything goes through the commands that a user has, on every fourth training sample; what is there already is not made
again. The comparison of each model lies in its folder `unlearned`. On two idle cores it takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from hf_unlearn.commands.main import main as hf_unlearn

SETTINGS = Path(__file__).parent / "fashion_mnist"
MODELS = ("resnet", "vit")
RETRAINED_SEEDS = (1, 2, 3)
EVERY, EPOCHS = 4, "10"


def run(*words: str) -> None:
    """A command, or the end of the script."""
    print("$ hf-unlearn", *words, flush=True)
    if status := hf_unlearn(words):
        raise SystemExit(status)


def thinned(source: str, folder: Path) -> str:
    """A folder with every so-manieth training sample and the whole test set."""
    from datasets import DatasetDict

    if not folder.is_dir():
        whole = DatasetDict.load_from_disk(source)
        train = whole["train"].select(range(0, len(whole["train"]), EVERY))
        DatasetDict({"train": train, "test": whole["test"]}).save_to_disk(str(folder))
    return str(folder)


def make(model: str, data: list[str], request: list[str], folder: Path) -> None:
    """Original, retrained and unlearned models of one architecture, and their comparison."""
    settings = ["--config", str(SETTINGS / f"{model}.yaml"), "--num_train_epochs", EPOCHS, *data]
    original, unlearned = folder / "original", folder / "unlearned"
    retrained = [folder / f"retrained-{seed}" for seed in RETRAINED_SEEDS]
    if not (original / "train_results.json").is_file():
        run("train", *settings, "--seed", "0", "--output_dir", str(original), "--overwrite_output_dir")
    for seed, reference in zip(RETRAINED_SEEDS, retrained, strict=True):
        if not (reference / "train_results.json").is_file():
            run(
                "train",
                *settings,
                *request,
                "--seed",
                str(seed),
                "--output_dir",
                str(reference),
                "--overwrite_output_dir",
            )
    if not (unlearned / "unlearning.json").is_file():
        run("unlearn", "--model_name_or_path", str(original), *data, *request, "--output_dir", str(unlearned))
    references = [str(reference) for reference in retrained]
    run(
        *("evaluate", "--model_name_or_path", str(unlearned), "--original_model", str(original)),
        *("--reference_model", *references, *data, *request),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist", help="From make_fashion_mnist.py.")
    parser.add_argument("--work_dir", type=Path, default=Path("outputs/fashion-mnist-models"))
    parser.add_argument("--forget_class", default="Sneaker")
    flags = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    dataset = thinned(flags.fashion_mnist, flags.work_dir / "fashion-mnist")
    for model in MODELS:
        data, request = ["--dataset_name", dataset], ["--forget_classes", flags.forget_class]
        make(model, data, request, flags.work_dir / model)


if __name__ == "__main__":
    main()

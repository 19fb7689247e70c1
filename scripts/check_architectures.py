"""Which image classifiers of transformers can be unlearned: each is built small and tried.

    python scripts/check_architectures.py            # rewrites scripts/results/architectures.csv and its part of
                                                     # docs/supported.md

Of each: the gradient of MU-Mis's loss against finite differences in float64, one sample's independence of the others, a
step of the trainer, and that a saved model and a checkpoint restore every tensor to the last bit.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from page_parts import Part
from PIL import Image
from tiny_architectures import LABELS, NOT_BUILT, OVERRIDES, image_size, make_tiny
from transformers import PreTrainedModel, PrinterCallback
from transformers.utils import logging

from hf_unlearn import MUMisConfig, MUMisTrainer, UnlearningError
from hf_unlearn.data.pixels import PixelDataset, try_forward
from hf_unlearn.errors import one_line
from hf_unlearn.models.from_scratch import new_image_processor
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.objectives import difference_loss, double_backward, squared_input_sensitivities
from hf_unlearn.trainers.base.checkpoints import restore_weights
from hf_unlearn.trainers.safety.probe import probe_double_backward
from hf_unlearn.trainers.safety.samples import Sample

CSV = Path(__file__).parent / "results" / "architectures.csv"
PART = Part("architectures", "check_architectures.py", "docs/supported.md")
COLUMNS = ("architecture", "verified", "gradient", "step", "saved", "restored", "reason")
DIRECTIONS = 3
TOLERANCE = 1e-4


def forget_set(side: int) -> datasets.Dataset:
    """Eight images of noise as a `datasets` dataset."""
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(8)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=LABELS)})
    return datasets.Dataset.from_dict({"image": images, "label": [row % 4 for row in range(8)]}, features=features)


def gradient_error(model: PreTrainedModel, side: int) -> float:
    """Largest relative error of the loss's directional derivatives against central differences, in float64.

    The loss is the paper's (arXiv 2402.15109, Eq. 3) on two images of noise. A step that crosses a kink of a
    piecewise-linear network, or that drowns in what a network computes in float32 in spite of its dtype, says nothing
    of the gradient: of several step lengths the best counts, the same for all directions.
    """
    model = model.double().eval()
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 3, side, side, dtype=torch.float64, generator=generator)
    own, irrelevant = torch.tensor([0, 1]), torch.tensor([2, 3])

    def loss() -> torch.Tensor:
        inputs = pixels.clone().requires_grad_()
        with double_backward():
            logits = model(pixel_values=inputs)["logits"]
            target, other = squared_input_sensitivities(logits, inputs, own, irrelevant)
            return difference_loss(target, other).mean()

    model.zero_grad()
    loss().backward()
    weights = list(model.parameters())
    start = [weight.detach().clone() for weight in weights]
    directions = [
        [
            torch.randn(weight.shape, dtype=torch.float64, generator=generator) * weight.detach().std()
            for weight in start
        ]
        for _ in range(DIRECTIONS)
    ]
    expected = [
        sum(float((w.grad * d).sum()) for w, d in zip(weights, direction, strict=True) if w.grad is not None)
        for direction in directions
    ]
    errors = []
    for length in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
        found = []
        for direction in directions:
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    for weight, origin, change in zip(weights, start, direction, strict=True):
                        weight.copy_(origin + sign * length * change)
                ends.append(float(loss()))
            found.append((ends[0] - ends[1]) / (2 * length))
        scale = max(map(abs, expected))
        errors.append(max(abs(a - b) for a, b in zip(found, expected, strict=True)) / scale if scale else 1.0)
    return min(errors)


def same_weights(model: PreTrainedModel, other: PreTrainedModel) -> bool:
    """Whether every tensor of the one is that of the other, to the last bit."""
    ours, theirs = model.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


def check(architecture: str) -> dict[str, str]:
    """A line of the table: `yes` where it was seen, else why not."""
    row = dict.fromkeys(COLUMNS, "")
    row |= {"architecture": architecture, "verified": "no"}
    try:
        if architecture in NOT_BUILT:
            raise UnlearningError(NOT_BUILT[architecture])
        side = image_size(architecture)
        model, processor = make_tiny(architecture), new_image_processor(side)
        forget = PixelDataset(forget_set(side), processor, "image", "label", range(len(LABELS)))
        try_forward(model, forget)
        problems = probe_double_backward(model, Sample.of(forget, len(forget), model, 2))
        if problems:
            raise UnlearningError(str(problems[0]))
        error = gradient_error(make_tiny(architecture), side)
        if error > TOLERANCE:
            raise UnlearningError(f"its gradient is wrong by {error:.1g}")
        row["gradient"] = "yes"
        with tempfile.TemporaryDirectory() as folder:
            trainer = one_step(folder, model, forget, processor)
            if same_weights(model, make_tiny(architecture)):
                raise UnlearningError("a step moved no weight")
            row["step"] = "yes"
            trainer.save_model()
            if not same_weights(model, load_image_classifier(folder)):
                raise UnlearningError("a saved model comes back with other weights")
            row["saved"] = "yes"
            other = make_tiny(architecture, seed=1)
            restore_weights(other, f"{folder}/checkpoint-1")
            if not same_weights(model, other):
                raise UnlearningError("a checkpoint comes back with other weights")
            row["restored"] = row["verified"] = "yes"
    except UnlearningError as error:
        row["reason"] = one_line(error)
    return row


def one_step(folder: str, model: PreTrainedModel, forget: PixelDataset, processor: Any) -> MUMisTrainer:
    """A trainer that has made one step, with a checkpoint of it."""
    args = MUMisConfig(
        output_dir=folder,
        max_steps=1,
        per_device_train_batch_size=4,
        save_strategy="steps",
        save_steps=1,
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        logging_strategy="no",
    )
    trainer = MUMisTrainer(model, args, train_dataset=forget, forget_kind="class", processing_class=processor)
    trainer.remove_callback(PrinterCallback)
    # An untrained model has no rest that could be damaged.
    trainer.least_agreement = 0.0
    trainer.train()
    return trainer


def table(rows: list[dict[str, str]]) -> str:
    """The part of docs/supported.md."""
    verified = [row["architecture"] for row in rows if row["verified"] == "yes"]
    lines = [
        f"Verified, {len(verified)} of {len(rows)}: {', '.join(verified)}.",
        "",
        "| not verified | why |",
        "|---|---|",
        *(f"| {row['architecture']} | {row['reason']} |" for row in rows if row["verified"] != "yes"),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--architectures", nargs="+", default=sorted({*OVERRIDES, *NOT_BUILT}))
    flags = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    rows = []
    for architecture in flags.architectures:
        rows.append(check(architecture))
        print(*rows[-1].values(), sep="  ", flush=True)
    with flags.csv.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if flags.csv == CSV:
        PART.write(table(rows))


if __name__ == "__main__":
    main()

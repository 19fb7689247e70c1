"""A forget sample that the model gets wrong: does its label say what to forget, or what the model takes it for?

    python scripts/study_misclassified.py --fashion_mnist outputs/fashion-mnist

Three requests with misclassified samples in them: a class, random 5 %, and 5 % whose labels were replaced at random
before training. Each is unlearned by the defaults with either answer, and compared to a retrained model: the average
gap, and on the misclassified samples alone the total variation between the two models' answers. Writes a CSV.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from regime_data import mislabelled
from study_runs import Measured, run_variant
from study_settings import ModelCache, Request, Setting, load_data, splits_of
from torch import nn

from hf_unlearn import ForgetRequest, MUMisTrainer
from hf_unlearn.evaluation.metrics.accuracies import average_gap
from hf_unlearn.evaluation.predict import predict_logits

SHARE = 0.05
REQUESTS = {
    "class:Shirt": ForgetRequest(classes=("Shirt",)),
    "random:5%": ForgetRequest(fraction=SHARE),
    "mislabelled:5%": ForgetRequest(where={"mislabelled": ("yes",)}),
}


class ByPrediction(MUMisTrainer):
    """Takes what the original model says of a sample for its label."""

    def unlearning_loss(self, model: nn.Module, inputs: dict[str, torch.Tensor]) -> Any:
        with torch.no_grad():
            predicted = self.original_model(pixel_values=inputs["pixel_values"])["logits"].argmax(-1)
        return super().unlearning_loss(model, {**inputs, "labels": predicted})


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.from_numpy(logits).double().softmax(1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", default="outputs/study-misclassified", help="Where trained models are kept.")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist", help="From make_fashion_mnist.py.")
    parser.add_argument("--models", nargs="+", default=["resnet-basic", "vit"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--csv", type=Path, default=Path(__file__).parent / "results" / "study_misclassified.csv")
    flags = parser.parse_args()
    torch.set_num_threads(1)
    plain = load_data("fashion-mnist", flags.fashion_mnist)
    rows = []
    for seed in flags.seeds:
        for model in flags.models:
            for name, request in REQUESTS.items():
                noisy = name.startswith("mislabelled")
                data = mislabelled(plain, seed, SHARE) if noisy else plain
                cache = ModelCache(f"{flags.work_dir}/{'noisy' if noisy else 'plain'}")
                setting = Setting(model, "fashion-mnist", seed, Request(name, request))
                splits = splits_of(setting, data)
                original, retrained = cache.original(setting, data), cache.retrained(setting, splits)
                measured = Measured(splits, original.config)
                forget = measured.parts["forget"]
                said = predict_logits({"original": original, "retrained": retrained}, forget)
                wrong = said["original"].argmax(1) != forget.labels.numpy()
                target = softmax(said["retrained"])
                figures = {"do nothing": (measured.figures(original), softmax(said["original"]))}
                for variant, trainer_class in {"label": MUMisTrainer, "prediction": ByPrediction}.items():
                    model_now = cache.original(setting, data)
                    unlearned, run = run_variant({}, model_now, measured, seed, trainer_class=trainer_class)
                    answers = softmax(predict_logits({"m": unlearned}, forget)["m"])
                    figures[variant] = (measured.figures(unlearned), answers)
                    print(name, model, seed, variant, run["stopped"], flush=True)
                reference = measured.figures(retrained)
                for variant, (found, answers) in figures.items():
                    distance = 0.5 * np.abs(answers - target).sum(1)
                    rows.append(
                        {
                            "model": model,
                            "seed": seed,
                            "request": name,
                            "misclassified": int(wrong.sum()),
                            "forget_samples": len(wrong),
                            "target": variant,
                            "forget_accuracy": round(found["forget_accuracy"] or 0.0, 3),
                            "retrained_forget_accuracy": round(reference["forget_accuracy"] or 0.0, 3),
                            "average_gap": round(average_gap(found, reference) or 0.0, 4),
                            "distance_misclassified": round(float(distance[wrong].mean()), 5),
                            "distance_others": round(float(distance[~wrong].mean()), 5),
                        }
                    )
    flags.csv.parent.mkdir(parents=True, exist_ok=True)
    with flags.csv.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

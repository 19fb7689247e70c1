"""How deep forgetting goes: a linear probe for the forgotten class on the features before the classifier's head.

    python scripts/probe_features.py --work_dir outputs/study --fashion_mnist outputs/fashion-mnist

Takes the study's models (trains them if they are missing), unlearns a class with the defaults, fits a ridge classifier
on features of training samples of *all* classes, and prints its recall of the forgotten class on the test set.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.linear_model import RidgeClassifier
from study_runs import Measured, run_variant
from study_settings import REQUESTS, ModelCache, Setting, load_data, splits_of
from transformers import PreTrainedModel

from hf_unlearn.evaluation import features_of

TRAIN_SAMPLES = 2_000


def recall(model: PreTrainedModel, measured: Measured, forgotten: int) -> float:
    """Percent of the forgotten class's test samples that the probe finds."""
    rng = np.random.default_rng(0)
    inputs, answers = [], []
    num_forget, num_retain = len(measured.splits.forget), len(measured.splits.retain)
    share = num_forget / (num_forget + num_retain)
    for name, size in {"forget": share * TRAIN_SAMPLES, "retain": (1 - share) * TRAIN_SAMPLES}.items():
        pixels = measured.parts[name]
        rows = rng.permutation(len(pixels))[: round(size)]
        inputs.append(features_of(model, pixels, rows)[0])
        answers.append(pixels.labels.numpy()[rows])
    found = np.concatenate(inputs)
    mean, deviation = found.mean(0), found.std(0) + 1e-6
    probe = RidgeClassifier(alpha=10.0).fit((found - mean) / deviation, np.concatenate(answers))
    test = measured.parts["test"]
    rows = np.flatnonzero(test.labels.numpy() == forgotten)
    return 100 * float((probe.predict((features_of(model, test, rows)[0] - mean) / deviation) == forgotten).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", default="outputs/study")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist")
    parser.add_argument("--models", nargs="+", default=["resnet-basic", "vit"])
    flags = parser.parse_args()
    cache = ModelCache(flags.work_dir)
    line = "{:<52} {:8.1f}  {:9.1f}  {:9.1f}"
    print(f"{'recall of the probe, percent':<52} original  unlearned  retrained")
    found = []
    for dataset in ("fashion-mnist", "digits"):
        data = load_data(dataset, flags.fashion_mnist)
        for model_name in flags.models:
            for request in [request for request in REQUESTS[dataset] if request.kind == "class"]:
                setting = Setting(model_name, dataset, 0, request)
                splits = splits_of(setting, data)
                original = cache.original(setting, data)
                measured = Measured(splits, original.config)
                unlearned, _ = run_variant({}, cache.original(setting, data), measured, 0)
                (forgotten,) = splits.forgotten_class_ids
                models = (original, unlearned, cache.retrained(setting, splits))
                recalls = [recall(model, measured, forgotten) for model in models]
                print(line.format(setting.name, *recalls), flush=True)
                found.append(recalls)
    print(line.format("mean", *np.mean(found, axis=0)))


if __name__ == "__main__":
    main()

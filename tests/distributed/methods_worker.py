"""One process of a distributed test: methods that need retained samples, one after the other."""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import Any

from hf_unlearn.trainers import UnlearningTrainer
from tests.distributed.worker import vector
from tests.tiny import make_model
from tests.trainers.runs import make

GRADIENT: dict[str, Any] = {"max_steps": 3, "optim": "sgd", "learning_rate": 0.05}
METHODS: dict[str, dict[str, Any]] = {
    **{name: GRADIENT for name in ("scrub", "salun", "amun", "lotus")},
    "ssd": {"alpha": 1.5},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int)
    parser.add_argument("--out")
    flags = parser.parse_args()
    # An untrained model has no rest that could be damaged.
    UnlearningTrainer.least_agreement = 0.0
    figures: dict[str, Any] = {"before": vector(make_model("vit"))}
    for method, settings in METHODS.items():
        model = make_model("vit")
        trainer = make(tempfile.mkdtemp(), method, model, per_device_train_batch_size=flags.batch, **settings)
        trainer.train()
        figures[method] = vector(model)
    figures["num_processes"] = trainer.accelerator.num_processes
    if trainer.is_world_process_zero():
        with open(flags.out, "w", encoding="utf-8") as file:
            json.dump(figures, file)


if __name__ == "__main__":
    main()

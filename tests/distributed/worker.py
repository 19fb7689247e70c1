"""One process of a distributed test: unlearns a tiny model and writes down what happened."""

from __future__ import annotations

import argparse
import json
import tempfile

import torch
from datasets import Dataset

from hf_unlearn import MUMisConfig, MUMisTrainer
from hf_unlearn.publishing.record import read_record
from tests.tiny import make_dataset, make_model, make_processor


def vector(model: torch.nn.Module) -> list[float]:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])[::7].tolist()


def others(count: int) -> Dataset:
    """Reference samples that teach other labels than the forget set's, so that there is something to forget."""
    data = make_dataset(count, seed=5)
    labels = [(label + 1) % data.features["label"].num_classes for label in data["label"]]
    return data.remove_columns("label").add_column("label", labels).cast_column("label", data.features["label"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--objective")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--kind", default="class")
    parser.add_argument("--references", type=int, default=0)
    parser.add_argument("--drop_last", action="store_true")
    parser.add_argument("--save")
    parser.add_argument("--out")
    flags = parser.parse_args()
    model = make_model(flags.model)
    before = vector(model)
    trainer = MUMisTrainer(
        model,
        MUMisConfig(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=flags.batch,
            objective=flags.objective,
            gradient_accumulation_steps=flags.accumulation,
            max_steps=flags.steps,
            num_rounds=1,
            dataloader_drop_last=flags.drop_last,
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=make_dataset(flags.samples),
        processing_class=make_processor(),
        forget_kind=flags.kind,
        reference_dataset=others(flags.references) if flags.references else None,
    )
    trainer.train()
    if flags.save:
        trainer.save_model(flags.save)
        read_record(flags.save)  # There it is for every process.
    if trainer.is_world_process_zero():
        figures = {
            "num_processes": trainer.accelerator.num_processes,
            "steps": trainer.state.global_step,
            "reason": trainer.stop_reason,
            "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
            "gradients": [entry["grad_norm"] for entry in trainer.state.log_history if "loss" in entry],
            "before": before,
            "weights": vector(model),
        }
        with open(flags.out, "w", encoding="utf-8") as file:
            json.dump(figures, file)


if __name__ == "__main__":
    main()

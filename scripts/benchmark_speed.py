"""What a step costs against a cross-entropy step of the same model: MU-Mis as published, the default, a textbook's.

    python scripts/benchmark_speed.py                 # rewrites scripts/results/benchmark_speed.csv; minutes
    python scripts/benchmark_speed.py --parts scale   # only the rows of this part
    python scripts/speed_report.py                    # then the part of docs/cost.md and the figure

Everything is timed in turns in one run, so that what else the machine does falls on all alike. The models have random
weights. Steps of this library are those of its trainer: `compute_loss` and the way back. "textbook" is two
`torch.autograd.grad` with `create_graph`, and nothing else: the yardstick. All of them run in a process that keeps
freed memory, as the command has it, so none pays for what the others are spared.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from study_defaults import read_rows
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Dataset
from transformers import PreTrainedModel, PrinterCallback

from hf_unlearn import MUMisConfig, MUMisTrainer
from hf_unlearn.commands.memory import keep_freed_memory
from hf_unlearn.models.from_scratch import new_image_classifier
from hf_unlearn.publishing.record import hardware

CSV = Path(__file__).parent / "results" / "benchmark_speed.csv"
_VIT = {"image_size": 224, "patch_size": 16}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "ResNet-18": (
        "resnet",
        {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    ),
    "ResNet-50": ("resnet", {}),
    "ViT-S": ("vit", {**_VIT, "hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}),
    "ViT-B": ("vit", dict(_VIT)),
}
# No attention, or the one that `from_pretrained` chooses.
USUAL_ATTENTION = ("", "sdpa")
VARIANTS = ("cross-entropy", "textbook", "paper's difference", "default")
PRECISIONS = {"cuda": ("fp32", "tf32", "bf16"), "cpu": ("fp32",)}
COLUMNS = (
    *("part", "model", "variant", "precision", "attention", "image_size", "batch_size"),
    *("num_labels", "num_samples", "processes"),
    *("median_seconds", "ratio", "low", "high", "peak_mib", "device"),
)


class Noise(Dataset):
    """Images of noise that lie in memory, as a forget set."""

    def __init__(self, num_samples: int, image_size: int, num_labels: int):
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randn(min(num_samples, 256), 3, image_size, image_size, generator=generator)
        self.labels = torch.arange(num_samples) % min(num_labels, 2)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pixels = self.pixels[index % len(self.pixels)]
        return {"pixel_values": pixels, "labels": int(self.labels[index]), "index": index}


def make_model(name: str, image_size: int, num_labels: int, attention: str = "") -> PreTrainedModel:
    """One of the shapes with random weights."""
    kind, overrides = SHAPES[name]
    overrides = {**overrides, "image_size": image_size} if kind == "vit" else overrides
    model = new_image_classifier(kind, [f"class {index}" for index in range(num_labels)], overrides).eval()
    if attention:
        model.set_attn_implementation(attention)
    return model


def make_trainer(
    model: PreTrainedModel, data: Dataset, batch_size: int, objective: str, **settings: Any
) -> MUMisTrainer:
    """The trainer whose step is timed."""
    given = {"objective": objective, "per_device_train_batch_size": batch_size, "report_to": "none", **settings}
    args = MUMisConfig(tempfile.mkdtemp(), disable_tqdm=True, logging_strategy="no", **given)
    trainer = MUMisTrainer(model, args, train_dataset=data, forget_kind="class")
    # A model with random weights has no rest that could be damaged.
    trainer.least_agreement = 0.0
    trainer.remove_callback(PrinterCallback)
    return trainer


def textbook(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> None:
    """Eq. 3 of arXiv 2402.15109 as one would write it down."""
    pixels = batch["pixel_values"].clone().requires_grad_()
    with sdpa_kernel([SDPBackend.MATH]):
        logits = model(pixel_values=pixels)["logits"]
        norms = []
        for classes in (batch["labels"], (batch["labels"] + 1) % logits.shape[1]):
            chosen = logits.gather(1, classes.unsqueeze(1)).sum()
            (gradient,) = torch.autograd.grad(chosen, pixels, create_graph=True)
            norms.append(gradient.flatten(1).square().sum(1))
        (norms[0] - norms[1]).mean().backward()


def make_step(variant: str, model: PreTrainedModel, data: Noise, batch_size: int, bf16: bool) -> Callable[[], None]:
    """A function that makes one step's gradient; the batch is on the model's device already."""
    use_cpu = not torch.cuda.is_available()
    objective = "difference" if variant != "default" else "matched"
    trainer = make_trainer(model, data, batch_size, objective, use_cpu=use_cpu, bf16=bf16)
    device = trainer.model.device
    items = [data[index] for index in range(batch_size)]
    batch = {name: value.to(device) for name, value in trainer.data_collator(items).items()}
    cast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()

    def step() -> None:
        trainer.model.zero_grad()
        if variant == "cross-entropy":
            with cast:
                logits = trainer.model(pixel_values=batch["pixel_values"])["logits"]
                loss = torch.nn.functional.cross_entropy(logits.float(), batch["labels"])
            loss.backward()
        elif variant == "textbook":
            with cast:
                textbook(trainer.model, batch)
        else:
            trainer.training_step(trainer.model, dict(batch), torch.tensor(batch_size))
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def seconds(step: Callable[[], None]) -> float:
    """Wall-clock time of a call."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def peak_mib(name: str, variant: str, flags: argparse.Namespace) -> float:
    """How much memory a first step takes beyond the model and its copies, in a process of its own, MiB."""
    words = ["--peak_of", name, variant, "--image_size", str(flags.image_size), "--batch_size", str(flags.batch_size)]
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def print_peak(name: str, variant: str, flags: argparse.Namespace) -> None:
    """The other side of [`peak_mib`]: of the process's resident memory, or of the GPU's allocator."""
    model = make_model(name, flags.image_size, 10)
    step = make_step(variant, model, Noise(flags.batch_size, flags.image_size, 10), flags.batch_size, False)
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        print((torch.cuda.max_memory_allocated() - before) / 2**20)
    else:
        before = resident_peak_kib(reset=True)
        step()
        print((resident_peak_kib() - before) / 1024)


def resident_peak_kib(reset: bool = False) -> int:
    """Most memory that this process ever had resident, or has now if that is to be forgotten first (Linux only)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def in_turns(steps: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Times of each step, taken in turns after one round that does not count, seconds."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            used = seconds(step)
            if turn:
                taken[name].append(used)
    return taken


def row(part: str, variant: str, times: list[float], base: list[float], **known: Any) -> dict[str, Any]:
    """A line of the CSV: the ratio of medians, and the quartiles of the ratios turn by turn."""
    turns = [ours / theirs for ours, theirs in zip(times, base, strict=True)]
    quartiles = statistics.quantiles(turns, n=4) if len(turns) > 1 else [turns[0]] * 3
    where = hardware() if torch.cuda.is_available() else f"{hardware()}, {torch.get_num_threads()} threads"
    return {
        **dict.fromkeys(COLUMNS, ""),
        **{"part": part, "variant": variant, "precision": "fp32", "processes": 1, "device": where},
        "median_seconds": f"{statistics.median(times):.5f}",
        "ratio": f"{statistics.median(times) / statistics.median(base):.3f}",
        "low": f"{quartiles[0]:.3f}",
        "high": f"{quartiles[2]:.3f}",
        **known,
    }


def steps_part(flags: argparse.Namespace) -> list[dict[str, Any]]:
    """A step of each variant, for each shape, precision and, in a transformer, kind of attention."""
    rows = []
    precisions = PRECISIONS["cuda" if torch.cuda.is_available() else "cpu"]
    for name, precision in itertools.product(flags.models, precisions):
        for attention in flags.attentions if SHAPES[name][0] == "vit" else [""]:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
            model = make_model(name, flags.image_size, 10, attention)
            data = Noise(flags.batch_size, flags.image_size, 10)
            steps = {
                variant: make_step(variant, model, data, flags.batch_size, precision == "bf16") for variant in VARIANTS
            }
            taken = in_turns(steps, flags.repeats)
            for variant, times in taken.items():
                known = {"model": name, "precision": precision, "attention": attention, "num_labels": 10}
                known |= {"image_size": flags.image_size, "batch_size": flags.batch_size}
                if precision == "fp32" and attention in USUAL_ATTENTION:
                    known["peak_mib"] = f"{peak_mib(name, variant, flags):.0f}"
                rows.append(row("step", variant, times, taken["cross-entropy"], **known))
                print(*rows[-1].values(), flush=True)
    return rows


def scale_part(flags: argparse.Namespace) -> list[dict[str, Any]]:
    """The default's step against image size and number of classes, and whole runs against the forget set's size."""
    name, rows = flags.models[0], []
    # Each against the first one, in turns.
    for part, axis, values in (
        ("image size", "image_size", flags.image_sizes),
        ("classes", "num_labels", flags.class_counts),
    ):
        shapes = [{"image_size": flags.image_sizes[0], "num_labels": 10, axis: value} for value in values]
        steps = {}
        for variant in ("cross-entropy", "default"):
            for shape in shapes:
                data = Noise(flags.batch_size, shape["image_size"], shape["num_labels"])
                steps[f"{variant}|{shape[axis]}"] = make_step(
                    variant, make_model(name, **shape), data, flags.batch_size, False
                )
        taken = in_turns(steps, flags.repeats)
        for key, times in taken.items():
            variant, _, value = key.partition("|")
            known = {"model": name, "batch_size": flags.batch_size, axis: value}
            rows.append(row(part, variant, times, taken[f"{variant}|{values[0]}"], **known))
            print(*rows[-1].values(), flush=True)
    taken = in_turns({str(size): run_of(name, size, flags) for size in flags.sample_counts}, flags.repeats)
    for size, times in taken.items():
        known = {"model": name, "num_samples": size, "image_size": flags.image_sizes[0]}
        rows.append(row("forget set", "run", times, taken[str(flags.sample_counts[0])], **known))
        print(*rows[-1].values(), flush=True)
    return rows


def run_of(name: str, num_samples: int, flags: argparse.Namespace) -> Callable[[], None]:
    """A function that unlearns for a few steps, with all that comes before and after them."""
    model, data = make_model(name, flags.image_sizes[0], 10), Noise(num_samples, flags.image_sizes[0], 10)
    settings = {"max_steps": flags.run_steps, "stop_rule": "steps", "num_rounds": 1}
    use_cpu = not torch.cuda.is_available()

    def run() -> None:
        make_trainer(model, data, flags.batch_size, "matched", use_cpu=use_cpu, **settings).train()

    return run


def processes_part(flags: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs of one and two processes with as large a batch in all, one thread a process, in turns."""

    def start(number: int) -> float:
        words = ["--worker", "--models", flags.models[0], "--image_sizes", str(flags.image_sizes[0])]
        words += ["--batch_size", str(2 * flags.batch_size // number), "--run_steps", str(flags.run_steps)]
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(number), __file__, *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        told = json.loads(done.stdout.strip().splitlines()[-1])
        if told["processes"] != number:
            raise RuntimeError(f"{told['processes']} processes ran; expected {number}")
        return float(told["seconds"])

    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(flags.repeats):
        for number, times in taken.items():
            times.append(start(number))
    known = {"model": flags.models[0], "image_size": flags.image_sizes[0], "batch_size": 2 * flags.batch_size}
    return [row("processes", "run", times, taken[1], **{**known, "processes": n}) for n, times in taken.items()]


def worker(flags: argparse.Namespace) -> None:
    """A process of [`processes_part`]: a run, and how long its steps took."""
    data = Noise(256, flags.image_sizes[0], 10)
    settings = {"max_steps": flags.run_steps, "stop_rule": "steps", "num_rounds": 1, "use_cpu": True}
    trainer = make_trainer(
        make_model(flags.models[0], flags.image_sizes[0], 10), data, flags.batch_size, "matched", **settings
    )
    trainer.train()
    if trainer.is_world_process_zero():
        print(json.dumps({"processes": trainer.accelerator.num_processes, "seconds": trainer.seconds}))


PARTS = {"steps": steps_part, "scale": scale_part, "processes": processes_part}
# What the rows of the parts are called, as they come in the CSV.
ORDER = ("step", "image size", "classes", "forget set", "processes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--models", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--image_size", type=int, default=224, help="Of the steps, pixels.")
    parser.add_argument("--batch_size", type=int, default=4)
    default = ["sdpa", "eager"] if torch.cuda.is_available() else ["sdpa"]
    parser.add_argument("--attentions", nargs="+", default=default, help="Of transformers' own, to be compared.")
    parser.add_argument("--repeats", type=int, default=5, help="Turns that count.")
    parser.add_argument("--image_sizes", type=int, nargs="+", default=[64, 128, 224])
    parser.add_argument("--class_counts", type=int, nargs="+", default=[10, 1000, 21000])
    parser.add_argument("--sample_counts", type=int, nargs="+", default=[100, 1000, 10000, 50000])
    parser.add_argument("--run_steps", type=int, default=20)
    parser.add_argument("--peak_of", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    keep_freed_memory()
    if flags.peak_of:
        name, variant = flags.peak_of
        print_peak(name, variant, flags)
    elif flags.worker:
        worker(flags)
    else:
        for part in flags.parts:
            write(flags.csv, PARTS[part](flags))


def write(path: Path, found: list[dict[str, Any]]) -> None:
    """Put the rows into the CSV, in the place of those of the same parts."""
    measured = {row["part"] for row in found}
    kept = [row for row in read_rows(path) if row["part"] not in measured]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(sorted([*kept, *found], key=lambda row: ORDER.index(row["part"])))


if __name__ == "__main__":
    main()

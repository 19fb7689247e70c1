"""What the reference code of other methods gives on tiny inputs: tests/parity/*.json, which the tests hold ours
against.

    python scripts/make_parity.py --references FOLDER

FOLDER holds a clone of each repository of `REPOSITORIES`, as OWNER+NAME. Their functions are taken from there and run
here; nothing of them is copied into this project. Each result says of which file, at which commit, and what was run.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import json
import math
import subprocess
import sys
import tempfile
import time
import typing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.parity.inputs import CLASSES, Tiny, answers, confidences, flat, images, margins  # noqa: E402

FOLDER = ROOT / "tests" / "parity"
SALUN = ("OPTML-Group/Unlearn-Saliency", "Classification/generate_mask.py")
SPARSE = ("OPTML-Group/Unlearn-Sparse", "unlearn/FT.py")
SSD = ("if-loops/selective-synaptic-dampening", "src/ssd.py")
SCRUB = ("meghdadk/SCRUB", "thirdparty/repdistiller/helper/loops.py")
DISTILL = ("meghdadk/SCRUB", "thirdparty/repdistiller/distiller_zoo/KD.py")
TEACHER = ("vikram2000b/bad-teaching-unlearning", "unlearn.py")
TEACHER_METRICS = ("vikram2000b/bad-teaching-unlearning", "metrics.py")
AMUN = ("Ali-E/AMUN", "pgdl2_modified.py")
AMUN_ATTACK = ("Ali-E/AMUN", "evaluation/SVC_MIA.py")
LOTUS = ("cspartalis/LoTUS", "src/unlearning_methods/lotus_class.py")
SPOTTER = ("Seung-B/Spotter-Unlearning", "ov_utils.py")
METER = ("privacytrustlab/ml_privacy_meter", "modules/mia/attacks/rmia.py")
KLOM = ("RoyRin/data-unlearning-bench", "unlearning_bench/eval.py")
REGUN = ("jmirlach/ReGUn", "mul/regun.py")
REPOSITORIES = (SALUN, SPARSE, SSD, SCRUB, TEACHER, AMUN, LOTUS, SPOTTER, METER, KLOM, REGUN)


class References:
    """Functions and classes of the repositories, without what else their files import."""

    def __init__(self, folder: Path):
        self.folder = folder

    def take(self, source: tuple[str, str], *names: str, **given: Any) -> list[Any]:
        """The definitions called `names` of a file, run with torch, numpy and what is given."""
        path = self.folder / source[0].replace("/", "+") / source[1]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        kinds = (ast.FunctionDef, ast.ClassDef)
        wanted: list[Any] = [node for node in tree.body if isinstance(node, kinds) and node.name in names]
        assert {node.name for node in wanted} == set(names), f"{path} lacks some of {names}"
        for node in wanted:
            node.decorator_list = []
        space: dict[str, Any] = {"torch": torch, "nn": nn, "F": functional, "np": np, "stats": stats, "time": time}
        # What their annotations name.
        space |= {name: Any for name in ("Any", "DataLoader", "dataset", "Subset")}
        space |= {"Dict": dict, "List": list, "Optional": {int: Any}, "sys": sys, **given}
        exec(compile(ast.Module(wanted, []), str(path), "exec"), space)
        return [space[name] for name in names]

    def provenance(self, *sources: tuple[str, str], ran: str) -> dict[str, Any]:
        """Where something was taken from."""
        clone = self.folder / sources[0][0].replace("/", "+")
        found = subprocess.run(
            ["git", "-C", str(clone), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        repository = {"repository": sources[0][0], "commit": found.stdout.strip()}
        return {**repository, "files": [path for _, path in sources], "ran": ran}


@contextlib.contextmanager
def without_cuda() -> Iterator[None]:
    """Their code moves everything to a GPU."""
    moves = torch.Tensor.cuda
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.cuda = moves  # type: ignore[method-assign]


class Meter:
    """A running mean, as their meters are used."""

    val = avg = 0.0

    def update(self, value: float, count: int = 1) -> None:
        self.val = self.avg = value


def rounded(values: Any) -> Any:
    """Numbers as they go into a file."""
    array = np.asarray(values.detach() if isinstance(values, torch.Tensor) else values)
    return array.tolist() if array.dtype.kind in "iub" else np.round(array.astype(float), 8).tolist()


def salun(references: References) -> dict[str, Any]:
    """The salient weights at a share of one half."""
    pixels, labels = images()
    model = Tiny()
    with tempfile.TemporaryDirectory() as folder, without_cuda():
        (ratio,) = references.take(SALUN, "save_gradient_ratio", os=__import__("os"))
        args = SimpleNamespace(unlearn_lr=0.1, momentum=0.9, weight_decay=0.0, save_dir=folder)
        batches = [(pixels[rows], labels[rows]) for rows in torch.arange(24).split(8)]
        ratio({"forget": batches}, model, nn.CrossEntropyLoss(), args)
        mask = torch.load(Path(folder) / "with_0.5.pt", weights_only=True)
    chosen = torch.cat([mask[name].flatten() for name, _ in model.named_parameters()])
    ran = "save_gradient_ratio on three batches of 8: the mask with_0.5.pt"
    return {**references.provenance(SALUN, ran=ran), "chosen": chosen.nonzero().squeeze(1).tolist()}


def ssd(references: References) -> dict[str, Any]:
    """The weights after dampening."""
    pixels, labels = images()
    model = Tiny()
    (perturber,) = references.take(SSD, "ParameterPerturber")
    parameters: dict[str, Any] = dict(
        lower_bound=1, exponent=1, magnitude_diff=None, min_layer=-1, max_layer=-1, forget_threshold=1
    )
    parameters |= {"dampening_constant": 0.5, "selection_weighting": 1.2}
    with contextlib.redirect_stdout(None):
        made = perturber(model, torch.optim.SGD(model.parameters(), 0.1), "cpu", parameters)

    def batches(rows: torch.Tensor) -> list[Any]:
        return [(pixels[some], labels[some], labels[some]) for some in rows.split(4)]

    whole, forget = (made.calc_importance(batches(torch.arange(24)[rows])) for rows in (slice(None), slice(8)))
    made.modify_weight(whole, forget)
    ran = "calc_importance in batches of 4 (8 forget samples of 24), then modify_weight with alpha 1.2 and lambda 0.5"
    return {**references.provenance(SSD, ran=ran), "weights": rounded(flat(model))}


def l1_sparse(references: References) -> dict[str, Any]:
    """The weights after one step with the penalty, in the first and in a later pass."""
    pixels, labels = images()
    accuracy = SimpleNamespace(AverageMeter=Meter, accuracy=lambda *_, **__: [torch.zeros(())])
    iterate = references.take(SPARSE, "l1_regularization", "FT_iter", utils=accuracy)[1]
    found = {}
    for epoch in (0, 2):
        model = Tiny()
        args = SimpleNamespace(
            imagenet_arch=False, warmup=0, unlearn_epochs=4, no_l1_epochs=0, alpha=0.01, print_freq=9
        )
        with without_cuda(), contextlib.redirect_stdout(None):
            step = torch.optim.SGD(model.parameters(), 1.0)
            iterate({"retain": [(pixels, labels)]}, model, nn.CrossEntropyLoss(), step, epoch, args, with_l1=True)
        found[f"weights after a step of pass {epoch}"] = rounded(flat(model))
    ran = "FT_iter with one batch of 24 and SGD of rate 1, alpha 0.01, passes 0 and 2 of 4"
    return {**references.provenance(SPARSE, ran=ran), **found}


def scrub(references: References) -> dict[str, Any]:
    """The weights after one step that minimises, and after one that maximises."""
    pixels, labels = images()
    (divergence,) = references.take(DISTILL, "DistillKL")
    names: dict[str, Any] = {"AverageMeter": Meter, "accuracy": lambda *_, **__: [[torch.zeros(())]]}
    (distill,) = references.take(SCRUB, "train_distill", **names)
    opt = SimpleNamespace(distill="kd", gamma=0.7, alpha=0.3, beta=0.0, print_freq=9)
    found = {}
    for split in ("minimize", "maximize"):
        student, teacher = Tiny(5), Tiny(0)
        criteria = nn.ModuleList([nn.CrossEntropyLoss(), divergence(4.0), divergence(4.0)])
        step = torch.optim.SGD(student.parameters(), 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            models = nn.ModuleList([student, teacher])
            distill(0, [(pixels, labels)], models, None, criteria, step, opt, split, quiet=True)
        found[split] = rounded(flat(student))
    ran = "train_distill with one batch of 24 and SGD of rate 1, T 4, gamma 0.7, alpha 0.3"
    return {**references.provenance(SCRUB, DISTILL, ran=ran), **found}


def bad_teacher(references: References) -> dict[str, Any]:
    """The loss of a batch of both kinds, and the JS divergence of its metrics."""
    (loss,) = references.take(TEACHER, "UnlearnerLoss")
    (js,) = references.take(TEACHER_METRICS, "JSDiv")
    forget = torch.arange(12) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = loss(answers(), forget, answers(seed=10), answers(seed=11), 2.0)
        apart = js(answers().softmax(1), answers(seed=10).softmax(1))
    ran = "UnlearnerLoss at temperature 2 of 12 answers, every other a forget sample's; JSDiv of 12 answers"
    source = references.provenance(TEACHER, TEACHER_METRICS, ran=ran)
    return {**source, "loss": rounded(value), "js_divergence": rounded(apart)}


def amun(references: References) -> dict[str, Any]:
    """Adversarial examples, and the modified entropy of its attack."""

    class Attack:
        def __init__(self, name: str, model: nn.Module):
            self.get_logits = model

    (search,) = references.take(AMUN, "PGDL2", Attack=Attack)
    pixels, _ = images()
    model = Tiny().eval()
    labels = model(pixels).argmax(1)
    found, _, taken_for, radius, length = search(model, eps=0.04).forward(pixels, labels)
    found = found.detach()
    assert float(found.min()) > 0 and float(found.max()) < 1, "their clipping to [0, 1] must not bind"
    (entropy,) = references.take(AMUN_ATTACK, "m_entropy")
    own = torch.arange(12) % CLASSES
    ran = "PGDL2 with eps 0.04 and 50 steps around 24 images with the labels that the model gives them; m_entropy"
    return {
        **references.provenance(AMUN, AMUN_ATTACK, ran=ran),
        "labels": rounded(taken_for),
        "radius": rounded(radius),
        "length": rounded(length),
        "modified_entropy": rounded(entropy(answers().softmax(1), own)),
    }


def lotus(references: References) -> dict[str, Any]:
    """The loss of a batch of both kinds, with softmax and with Gumbel noise from a seed."""
    given = {"UnlearningBaseClass": object, "Dataset": object, "DEVICE": "cpu"}
    names = ("LoTUS", "GumbelSoftmaxWithTemperature", "SoftmaxWithTemperature")
    method, gumbel, plain = references.take(LOTUS, *names, **given)
    forget = torch.arange(12) % 2
    found = {}
    for name, transform in (("softmax", plain()), ("gumbel", gumbel())):
        stub = SimpleNamespace(ProbabilityTranformer=transform, temperature=torch.tensor(math.exp(2 * 0.3)))
        torch.manual_seed(7)
        found[name] = rounded(method.unlearning_loss(stub, answers(), forget, answers(seed=10)))
    ran = (
        "LoTUS.unlearning_loss at the temperature of alpha 2 and an accuracy gap of 0.3, noise by torch.manual_seed(7)"
    )
    return {**references.provenance(LOTUS, ran=ran), **found}


def spotter(references: References) -> dict[str, Any]:
    """Masked distillation, dispersion, and how its perturbed samples lie to the class they are to come near to."""
    names = ("mask_full_target_soft", "dispersion_loss", "create_adversarial_loader_pgd_multi")
    given = {"TensorDataset": torch.utils.data.TensorDataset, "DataLoader": torch.utils.data.DataLoader}
    mask, dispersion, perturb = references.take(SPOTTER, *names, **given)
    target = mask(answers(seed=10).softmax(1), [1, 3])
    distilled = functional.kl_div(answers().log_softmax(1), target, reduction="batchmean")
    features = torch.randn(12, WIDTH_OF_FEATURES, generator=torch.Generator().manual_seed(8))
    spread = dispersion(features, torch.arange(12) % 3, metric="cosine")
    pixels, _ = images()
    model = Tiny()
    labels = model(pixels).argmax(1)
    batches: Callable[..., Any] = torch.utils.data.DataLoader
    clean = batches(torch.utils.data.TensorDataset(pixels, labels), batch_size=24)
    torch.manual_seed(9)
    moved = next(iter(perturb(model, clean, 0.03, 0.01, 3, device="cpu")))[0]
    wanted = model(pixels).scatter(1, labels.unsqueeze(1), -math.inf).argmax(1)
    losses = [functional.cross_entropy(model(each), wanted).item() for each in (pixels, moved)]
    ran = (
        "mask_full_target_soft of classes 1 and 3, with kl_div as in Spotter.ipynb; dispersion_loss; "
        "create_adversarial_loader_pgd_multi with epsilon 0.03, step 0.01 and 3 steps"
    )
    source = references.provenance(SPOTTER, ran=ran)
    found = {"distillation": rounded(distilled), "dispersion": rounded(spread)}
    return {**source, **found, "loss of the target class before and after": rounded(losses)}


def regun(references: References) -> dict[str, Any]:
    """The target of a batch, and its loss with a batch of retained samples."""

    class Held(list):
        """Held-out samples, one of each class but the last."""

        targets = list(range(CLASSES - 1))

    def choices(source: list[int], k: int) -> list[int]:
        assert len(source) == 1, "no draw is left to chance"
        return source * k

    given = {name: getattr(typing, name) for name in ("Optional", "Tuple", "Dict", "List", "Sequence", "Iterable")}
    given |= {"pl": SimpleNamespace(LightningModule=nn.Module), "MulticlassAccuracy": lambda **_: lambda *_: None}
    given |= {"random": SimpleNamespace(choices=choices, shuffle=lambda _: None), "Subset": torch.utils.data.Subset}
    (method,) = references.take(REGUN, "_ReGUnModule", copy=copy, cycle=iter, **given)
    pixels, labels = images()
    forget, retain = labels < CLASSES - 1, slice(12, 24)
    held = Held(zip(images(seed=12)[0][: CLASSES - 1], Held.targets, strict=True))
    settings: dict[str, Any] = {"selector": "class_informed", "aggregation": "mean_probs", "fixed_reference": True}
    settings |= {"temperature": 1.0, "retain_weight": 0.4, "forget_weight": 0.6}
    model: Any = Tiny(5)
    model.num_classes = CLASSES
    cfg = SimpleNamespace(optim=None, scheduler=None, regun=SimpleNamespace(**settings))
    batches: Any = SimpleNamespace(dataset=held)
    module = method(model, cfg, batches, [(pixels[retain], labels[retain])])
    module.log = lambda *_, **__: None
    target = module._supervision_distribution(pixels.device, 1, labels[forget])
    loss = module.training_step((pixels[forget], labels[forget]), 0)
    ran = (
        "training_step of the forget samples of classes 0 to 3 among 24 images, with a held-out image of each, 12 "
        "retained ones, class_informed, mean_probs and weights 0.6 and 0.4; its target"
    )
    return {**references.provenance(REGUN, ran=ran), "target": rounded(target[0]), "loss": rounded(loss)}


def rmia(references: References) -> dict[str, Any]:
    """Scores with four reference models that no sample is a member of."""
    (_, run) = references.take(METER, "get_out_ref_signals", "run_rmia")
    target, out = confidences()[:, 0], confidences(seed=5)
    population, theirs = confidences(seed=6)[:, 0], confidences(seed=7)
    scores = run(target, out, np.zeros_like(out, dtype=bool), population, theirs, 0.3, 4)
    ran = "run_rmia with offline_a 0.3 and 4 reference models, all of them OUT"
    return {**references.provenance(METER, ran=ran), "scores": rounded(scores)}


def klom(references: References) -> dict[str, Any]:
    """Divergences of six samples over thirty models of each kind."""
    names = ("to_np_cpu", "compute_binned_KL_div", "kl_from_margins")
    divergences = references.take(KLOM, *names, tqdm=lambda each, **_: each)[2]
    with contextlib.redirect_stdout(None):
        found = divergences(torch.tensor(margins()), torch.tensor(margins(seed=5, shift=1.0)))
    ran = "kl_from_margins of 30 unlearned and 30 retrained models"
    return {**references.provenance(KLOM, ran=ran), "divergences": rounded(found)}


WIDTH_OF_FEATURES = 6
PARTS = {
    part.__name__: part for part in (salun, ssd, l1_sparse, scrub, bad_teacher, amun, lotus, spotter, rmia, klom, regun)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=Path, required=True, help="Folder with the clones, OWNER+NAME.")
    parser.add_argument("--output_dir", type=Path, default=FOLDER)
    flags = parser.parse_args()
    missing = [name for name, _ in REPOSITORIES if not (flags.references / name.replace("/", "+")).is_dir()]
    if missing:
        print(f"error: {flags.references} has no clone of {', '.join(missing)}", file=sys.stderr)
        return 2
    references = References(flags.references)
    found = {name: part(references) for name, part in PARTS.items()}
    flags.output_dir.mkdir(parents=True, exist_ok=True)
    # A line for each value.
    lines = {
        name: ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in part.items())
        for name, part in found.items()
    }
    parts = [f' "{name}": {{\n{text}\n }}' for name, text in lines.items()]
    (flags.output_dir / "references.json").write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

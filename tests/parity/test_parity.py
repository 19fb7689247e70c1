"""Ours beside the reference code of other methods, on the same tiny inputs.

references.json holds what their code gave, once: see scripts/make_parity.py. Where the two differ the test says which
is right, and why.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from hf_unlearn.data.pixels import collate
from hf_unlearn.evaluation.attacks.rmia import likelihood_ratios, rmia_scores
from hf_unlearn.evaluation.audits.klom import bins_of, klom
from hf_unlearn.evaluation.metrics.divergences import js_divergence
from hf_unlearn.evaluation.metrics.samples import modified_entropies
from hf_unlearn.objectives import (
    dampening_factors,
    l1_norm,
    label_loss,
    saliency_mask,
    shifted_divergence,
    teacher_divergence,
)
from hf_unlearn.objectives.adversarial import nearest_adversarial, towards_class
from hf_unlearn.objectives.contrast import dispersion
from hf_unlearn.objectives.matching import matched_rows
from hf_unlearn.objectives.tempering import smoothed_distillation, tempered
from hf_unlearn.trainers.base.gradients import mean_gradient, mean_squared_gradient
from tests.parity.inputs import CLASSES, Tiny, answers, confidences, flat, images, margins

THEIRS = json.loads((Path(__file__).parent / "references.json").read_text(encoding="utf-8"))
FORGET = torch.arange(12) % 2 == 1


def samples(rows=slice(None)):
    pixels, labels = images()
    every = [
        {"pixel_values": p, "labels": int(y), "index": i} for i, (p, y) in enumerate(zip(pixels, labels, strict=True))
    ]
    return every[rows]


def stepped(model, loss):
    """The weights after a step of plain gradient descent at rate 1."""
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return flat(model) - torch.cat([gradient.flatten() for gradient in gradients])


def close(ours, theirs, rtol=1e-4, atol=1e-6):
    torch.testing.assert_close(torch.as_tensor(ours), torch.tensor(theirs, dtype=ours.dtype), rtol=rtol, atol=atol)


def test_each_figure_says_where_it_is_from():
    listed = {"salun", "ssd", "l1_sparse", "scrub", "bad_teacher", "amun", "lotus", "spotter", "rmia", "klom", "regun"}
    assert set(THEIRS) == listed
    for part in THEIRS.values():
        assert re.fullmatch(r"[0-9a-f]{40}", part["commit"]) and part["repository"] and part["files"] and part["ran"]


def test_salun_chooses_the_same_weights():
    mask = saliency_mask(mean_gradient(Tiny(), samples(), collate), 0.5)
    chosen = torch.cat([part.flatten() for part in mask.values()]).nonzero().squeeze(1).tolist()
    assert chosen == THEIRS["salun"]["chosen"] and len(chosen) == len(flat(Tiny())) // 2


def test_ssd_leaves_the_same_weights():
    model = Tiny()
    forget, whole = (mean_squared_gradient(model, samples(rows), collate, 4) for rows in (slice(8), slice(None)))
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.mul_(dampening_factors(forget[name], whole[name], 1.2, 0.5))
    assert not torch.equal(flat(model), flat(Tiny()))
    close(flat(model), THEIRS["ssd"]["weights"])


@pytest.mark.parametrize("finished", [0, 2])
def test_l1_sparse_makes_the_same_step(finished):
    pixels, labels = images()
    model = Tiny()
    # Theirs falls pass by pass, ours step by step: the same at the start of each pass.
    penalty = 0.01 * (1 - finished / 4) * l1_norm(model.parameters())
    loss = label_loss(model(pixels), labels).mean() + penalty
    close(stepped(model, loss), THEIRS["l1_sparse"][f"weights after a step of pass {finished}"])


def test_scrub_makes_the_same_steps():
    pixels, labels = images()
    for kind in ("minimize", "maximize"):
        student = Tiny(5)
        logits = student(pixels)
        divergence = 16 * teacher_divergence(logits, Tiny(0)(pixels), 4.0)
        losses = 0.3 * divergence + 0.7 * label_loss(logits, labels) if kind == "minimize" else -divergence
        close(stepped(student, losses.mean()), THEIRS["scrub"][kind])


def test_bad_teachers_loss_is_ours_over_the_number_of_classes():
    # Theirs is kl_div with its default reduction, a mean over samples and classes: the divergence over the number of
    # classes. The paper has the divergence (its Eq. 3). The optimum is the same, the length of a plain step is not.
    said = torch.where(FORGET.unsqueeze(1), answers(seed=11), answers(seed=10))
    ours = teacher_divergence(answers(), said, 2.0).mean()
    close(ours / CLASSES, THEIRS["bad_teacher"]["loss"])


def test_the_copied_js_divergence_is_none():
    p, q = (answers(seed=seed).double() for seed in (2, 10))
    ours = js_divergence(p.numpy(), q.numpy())
    a, b = p.softmax(1), q.softmax(1)
    middle = (a + b) / 2
    definition = 0.5 * (a * (a / middle).log()).sum(1).mean() + 0.5 * (b * (b / middle).log()).sum(1).mean()
    assert ours == pytest.approx(float(definition)) and 0 < ours < math.log(2), "ours is the definition"
    # Theirs is the divergence from each to the middle the other way round, over the number of classes besides. SSD's
    # repository has the same lines.
    reverse = 0.5 * (middle * (middle / a).log()).sum(1) + 0.5 * (middle * (middle / b).log()).sum(1)
    assert THEIRS["bad_teacher"]["js_divergence"] == pytest.approx(float(reverse.mean()) / CLASSES, rel=1e-5)
    assert abs(THEIRS["bad_teacher"]["js_divergence"] - ours) > 0.02
    # It has no bound: of two answers that share nothing it is infinite, where JS is ln 2.
    sure = np.array([[40.0, -40.0]])
    assert js_divergence(sure, -sure) == pytest.approx(math.log(2))


def test_amun_finds_the_same_adversarial_examples():
    pixels, _ = images()
    model = Tiny().eval()
    labels = model(pixels).argmax(1)
    found = nearest_adversarial(model, pixels, labels, 0.04)
    theirs = THEIRS["amun"]
    assert found.labels.tolist() == theirs["labels"] and (found.labels != labels).all()
    close(found.radius, theirs["radius"])
    close((found.pixel_values - pixels).flatten(1).norm(dim=1), theirs["length"])
    assert len(found.radius.unique()) > 1, "some radius was doubled more often than others"


def test_the_copied_modified_entropy_takes_one_index_for_all_samples():
    labels = np.arange(12) % CLASSES
    ours = modified_entropies(answers().double().numpy(), labels)
    p = answers().double().softmax(1).numpy()
    definition = [
        -(1 - p[i, y]) * math.log(p[i, y]) - sum(p[i, k] * math.log(1 - p[i, k]) for k in range(CLASSES) if k != y)
        for i, y in enumerate(labels)
    ]
    np.testing.assert_allclose(ours, definition)
    # Theirs writes to the columns of all labels in every row, and has log p where log (1 - p) belongs. With all labels
    # among the samples it is a sum over all classes of -(1 - p) log p, whatever a sample's own label is.
    np.testing.assert_allclose(THEIRS["amun"]["modified_entropy"], -((1 - p) * np.log(p)).sum(1), rtol=1e-4)
    assert np.corrcoef(THEIRS["amun"]["modified_entropy"], ours)[0, 1] < 0.9


def test_lotus_has_the_same_loss():
    temperature = tempered(0.9, 0.6, 2.0)
    logits, said = answers(), answers(seed=10)
    plain = smoothed_distillation(logits, said, torch.zeros_like(said), temperature, ~FORGET)
    close(plain.mean(), THEIRS["lotus"]["softmax"])
    torch.manual_seed(7)
    # Theirs draws twice, once for each kind of target.
    hard, soft = (-torch.empty_like(said).exponential_().log() for _ in range(2))
    noise = torch.where(FORGET.unsqueeze(1), soft, hard)
    close(smoothed_distillation(logits, said, noise, temperature, ~FORGET).mean(), THEIRS["lotus"]["gumbel"])


def test_spotter_has_the_same_divergence_and_dispersion():
    gone = torch.tensor([False, True, False, True, False])
    said = answers(seed=10)
    ours = shifted_divergence(answers(), said, gone.expand_as(said), math.inf).mean()
    close(ours, THEIRS["spotter"]["distillation"])
    features = torch.randn(12, 6, generator=torch.Generator().manual_seed(8))
    close(dispersion(features, torch.arange(12) % 3).mean(), THEIRS["spotter"]["dispersion"])


def test_spotters_perturbed_samples_should_come_nearer_to_the_other_class():
    pixels, _ = images()
    model = Tiny()
    said = model(pixels)
    labels = said.argmax(1)
    target = said.scatter(1, labels.unsqueeze(1), -math.inf).argmax(1)
    before, after = THEIRS["spotter"]["loss of the target class before and after"]
    assert before == pytest.approx(cross_entropy(said, target).item(), rel=1e-5)
    # Theirs adds the gradient of the cross-entropy with the target class, which leads away from it. The samples are
    # meant to lie where the boundary to it does.
    assert after > before
    ours = towards_class(model, pixels, pixels, target, 0.03, 0.01, 3)
    assert cross_entropy(model(ours), target) < before


def test_regun_has_the_same_target_and_loss():
    # The reference is the same model before its first step.
    pixels, labels = images()
    forget, retain = labels < CLASSES - 1, slice(12, 24)
    held, model = images(seed=12)[0][: CLASSES - 1], Tiny(5)
    rows = matched_rows(labels[forget], torch.arange(CLASSES - 1), torch.zeros(int(forget.sum())))
    q = model(held).softmax(1)[rows].mean(0)
    close(q.detach(), THEIRS["regun"]["target"])
    apart = teacher_divergence(model(pixels[forget]), q.log().expand(int(forget.sum()), -1)).mean()
    close(0.6 * apart + 0.4 * label_loss(model(pixels[retain]), labels[retain]).mean(), THEIRS["regun"]["loss"])


def test_rmia_has_the_same_scores():
    # Of models of which none saw a sample, theirs averages all; so does ours.
    target, out = np.log(confidences()[:, 0]), np.log(confidences(seed=5)).T
    population, theirs = np.log(confidences(seed=6)[:, 0]), np.log(confidences(seed=7)).T
    scores = rmia_scores(likelihood_ratios(target, out), likelihood_ratios(population, theirs))
    np.testing.assert_allclose(scores, THEIRS["rmia"]["scores"], atol=1e-7)


def test_kloms_reference_puts_the_largest_margin_into_no_bin():
    unlearned, retrained = margins(), margins(seed=5, shift=1.0)
    theirs = np.array(THEIRS["klom"]["divergences"])
    np.testing.assert_allclose(klom(unlearned, retrained, reference_compatible=True), theirs, rtol=1e-6)
    both = np.concatenate([unlearned, retrained])
    assert (bins_of(both, reference_compatible=True) == 20).sum() == both.shape[1], "one of each sample is lost"
    assert bins_of(both).max() == 19, "ours counts all of them, as shares of all models must"
    assert (klom(unlearned, retrained) != theirs).all()

"""What makes each method the method it is called."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from hf_unlearn.data.pixels import collate
from hf_unlearn.models.from_scratch import new_weights
from hf_unlearn.objectives import nearest_other_class
from hf_unlearn.trainers.base.sampling import JointDataset
from tests.tiny import make_model
from tests.trainers.methods.test_mu_mis import weights
from tests.trainers.runs import NUM_FORGET, make


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    monkeypatch.setattr("hf_unlearn.trainers.base.trainer.UnlearningTrainer.least_agreement", 0.0)


def batch_of(trainer, rows):
    """Rows of the forget set, then of the retain set; indices as the method sees them."""
    data = trainer.train_dataset
    if trainer.retain_dataset is not None:
        data = JointDataset(trainer.train_dataset, trainer.retain_dataset)
    return collate([data[row] for row in rows])


def nudged(model):
    """The model a little away from the original."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.05)
    return model


def loss_of(trainer, batch):
    return trainer.compute_loss(trainer.model.train(), dict(batch))


def test_gradient_ascent_is_minus_the_ordinary_loss(tmp_path):
    trainer = make(tmp_path, "gradient_ascent")
    batch = batch_of(trainer, range(6))
    loss = loss_of(trainer, batch)
    gradient = torch.autograd.grad(loss, trainer.model.classifier.weight)[0]
    ordinary = trainer.model(pixel_values=batch["pixel_values"], labels=batch["labels"]).loss
    torch.testing.assert_close(loss, -ordinary)
    torch.testing.assert_close(gradient, -torch.autograd.grad(ordinary, trainer.model.classifier.weight)[0])


def test_random_labels_are_wrong_and_the_same_in_every_pass(tmp_path):
    for seed in (0, 1):
        trainer = make(tmp_path, "random_labels", seed=seed)
        batch = batch_of(trainer, range(6))
        logits = trainer.model(pixel_values=batch["pixel_values"]).logits
        losses = []
        for epoch in (0.0, 1.5):
            trainer.state.epoch = epoch
            losses.append(trainer.unlearning_loss(trainer.model, batch)[0])
        # Which label it was is seen from the loss: none is the own one, 0.
        taken = (losses[0].unsqueeze(1) + logits.log_softmax(1)).abs().argmin(1)
        torch.testing.assert_close(losses[0], cross_entropy(logits, taken, reduction="none"))
        assert (taken != batch["labels"]).all() and torch.equal(losses[0], losses[1])


def test_delete_distils_the_original_without_the_own_class(tmp_path):
    trainer = make(tmp_path, "delete")
    batch = batch_of(trainer, range(6))
    nudged(trainer.model)
    q = make_model("vit")(pixel_values=batch["pixel_values"]).logits
    q = q.scatter(1, batch["labels"].unsqueeze(1), float("-inf")).softmax(1)
    assert (q.gather(1, batch["labels"].unsqueeze(1)) == 0).all()
    p = trainer.model(pixel_values=batch["pixel_values"]).logits.log_softmax(1)
    torch.testing.assert_close(loss_of(trainer, batch), torch.nn.functional.kl_div(p, q, reduction="batchmean"))


def test_jit_is_a_mean_of_lipschitz_ratios(tmp_path):
    trainer = make(tmp_path, "jit", noise_draws=3, noise_deviation=0.7)
    batch = batch_of(trainer, range(4))
    torch.manual_seed(1)
    loss, _, _ = trainer.unlearning_loss(trainer.model, batch)
    torch.manual_seed(2)
    again, _, _ = trainer.unlearning_loss(trainer.model, batch)
    assert torch.equal(loss, again), "noise is tied to sample and pass"
    from hf_unlearn.objectives import SampleNoise

    noise = SampleNoise(NUM_FORGET, trainer.args.seed, 0.7, 3).of(batch["pixel_values"], batch["index"], 0)
    clean = trainer.model(pixel_values=batch["pixel_values"]).logits
    expected = torch.stack(
        [
            (clean - trainer.model(pixel_values=batch["pixel_values"] + one).logits).norm(dim=1)
            / one.flatten(1).norm(dim=1)
            for one in noise
        ]
    ).mean(0)
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-7)
    trainer.state.epoch = 1.0
    assert not torch.equal(trainer.unlearning_loss(trainer.model, batch)[0], loss)


def test_boundary_shrink_goes_to_the_originals_neighbours(tmp_path):
    trainer = make(tmp_path, "boundary_shrink", max_steps=2, learning_rate=0.01)
    trainer.train()
    batch = batch_of(trainer, range(NUM_FORGET))
    original = make_model("vit")
    expected = nearest_other_class(
        lambda pixels: original(pixel_values=pixels).logits, batch["pixel_values"], batch["labels"], 0.2
    )
    assert torch.equal(trainer.nearest, expected) and (expected != batch["labels"]).all()
    logits = trainer.model(pixel_values=batch["pixel_values"]).logits
    torch.testing.assert_close(loss_of(trainer, batch), cross_entropy(logits, expected))


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.5)


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9, weight_decay=0.5)


@pytest.mark.parametrize("optimizer", [adamw, sgd])
@pytest.mark.parametrize("name", ["salun", "salun_forget"])
def test_salun_leaves_the_other_weights_alone_to_the_bit(tmp_path, name, optimizer):
    model, original = make_model("resnet"), make_model("resnet")
    trainer = make(tmp_path, name, model, optimizers=(optimizer(model), None), max_steps=4, salient_share=0.3)
    outside = []
    finish = trainer.finish_step

    def spy():
        outside.extend(float(p.grad[~trainer.mask[n]].abs().sum()) for n, p in model.named_parameters())
        finish()

    trainer.finish_step = spy
    trainer.train()
    assert len(outside) > 4 and not any(outside), "neither momentum nor a norm may see these gradients"
    batch = batch_of(trainer, range(NUM_FORGET))
    cross_entropy(original(pixel_values=batch["pixel_values"]).logits, batch["labels"]).backward()
    sizes = torch.cat([parameter.grad.abs().flatten() for parameter in original.parameters()])
    threshold = sizes.sort(descending=True).values[round(0.3 * len(sizes)) - 1]
    moved = 0
    for (name, now), before in zip(model.named_parameters(), original.parameters(), strict=True):
        mask = trainer.mask[name]
        # Away from the threshold, where rounding decides.
        sure = (before.grad.abs() - threshold).abs() > 1e-4 * threshold
        assert torch.equal(mask[sure], (before.grad.abs() >= threshold)[sure])
        assert torch.equal(now[~mask], before[~mask])
        moved += int((now != before).sum())
    salient = sum(int(mask.sum()) for mask in trainer.mask.values())
    assert salient == round(0.3 * len(sizes)) and moved > 0.9 * salient
    assert all(not parameter._backward_hooks for parameter in model.parameters())


def test_salun_relabels_forget_samples_only(tmp_path):
    trainer = make(tmp_path, "salun")
    batch = batch_of(trainer, [0, 3, NUM_FORGET, NUM_FORGET + 7])
    labels = trainer.wrong_labels(batch, 4)
    assert (labels[:2] != batch["labels"][:2]).all() and torch.equal(labels[2:], batch["labels"][2:])


def test_scrubs_phases_alternate_by_pass(tmp_path):
    trainer = make(tmp_path, "scrub", num_train_epochs=3, max_passes=2)
    kinds = []
    loss = trainer.unlearning_loss

    def spy(model, inputs):
        (kind,) = {bool(kept) for kept in trainer.is_retained(inputs)}
        kinds.append("min" if kind else "max")
        return loss(model, inputs)

    trainer.unlearning_loss = spy
    trainer.train()
    # Ten forget samples are two steps of eight, eighteen retained ones three; after two passes no more maximisation.
    assert kinds == [*["max"] * 2, *["min"] * 3, *["max"] * 2, *["min"] * 3, *["min"] * 3]


def test_scrub_maximises_and_minimises_by_the_paper(tmp_path):
    trainer = make(tmp_path, "scrub", distillation_weight=0.3, label_weight=0.7, temperature=2.0)
    batch = batch_of(trainer, [0, 1, NUM_FORGET, NUM_FORGET + 1])
    nudged(trainer.model)
    said, now = (m(pixel_values=batch["pixel_values"]).logits for m in (make_model("vit"), trainer.model))
    t, s = (said / 2).softmax(1), (now / 2).log_softmax(1)
    d = 4 * (t * (t.log() - s)).sum(1)
    expected = torch.cat([-d[:2], 0.3 * d[2:] + 0.7 * cross_entropy(now[2:], batch["labels"][2:], reduction="none")])
    torch.testing.assert_close(trainer.unlearning_loss(trainer.model, batch)[0], expected, rtol=1e-4, atol=1e-6)


def test_bad_teacher_has_two_teachers(tmp_path):
    trainer = make(tmp_path, "bad_teacher", seed=5)
    nudged(trainer.model)
    batch = batch_of(trainer, [0, 1, NUM_FORGET, NUM_FORGET + 1])
    original = make_model("vit")
    bad = new_weights(original, 5)
    assert not torch.equal(bad.classifier.weight, original.classifier.weight)
    said = torch.cat(
        [bad(pixel_values=batch["pixel_values"][:2]).logits, original(pixel_values=batch["pixel_values"][2:]).logits]
    )
    now = trainer.model(pixel_values=batch["pixel_values"]).logits
    expected = torch.nn.functional.kl_div(now.log_softmax(1), said.softmax(1), reduction="batchmean")
    torch.testing.assert_close(loss_of(trainer, batch), expected, rtol=1e-4, atol=1e-7)


def test_ssd_dampens_what_its_rule_selects_and_by_its_factor(tmp_path):
    model, original = make_model("resnet"), make_model("resnet")
    trainer = make(tmp_path, "ssd", model, alpha=1.5, dampening=0.9, importance_batch_size=1)
    trainer.train()
    importance = []
    for rows in (range(NUM_FORGET), range(NUM_FORGET + 18)):
        total = [torch.zeros_like(parameter) for parameter in original.parameters()]
        for row in rows:
            one = batch_of(trainer, [row])
            loss = cross_entropy(original(pixel_values=one["pixel_values"]).logits, one["labels"])
            for value, gradient in zip(total, torch.autograd.grad(loss, list(original.parameters())), strict=True):
                value += gradient.square() / len(rows)
        importance.append(total)
    dampened = 0
    for now, before, forget, whole in zip(model.parameters(), original.parameters(), *importance, strict=True):
        ratio = forget / whole
        # Away from the threshold, where rounding decides.
        chosen, sure = ratio > 1.5, (ratio - 1.5).abs() > 1e-4
        torch.testing.assert_close(now[chosen & sure], (before * (0.9 / ratio).clamp(max=1))[chosen & sure])
        assert torch.equal(now[~chosen & sure], before[~chosen & sure])
        dampened += int(chosen.sum())
    total = sum(parameter.numel() for parameter in model.parameters())
    assert 0.01 * total < dampened < 0.99 * total and abs(trainer.num_dampened - dampened) < 0.01 * total
    assert trainer.state.global_step == 1 and f"{trainer.num_dampened} weights" in trainer.stop_reason
    assert trainer.seconds > 0, "what is not a step takes time, too"
    once = weights(trainer)
    trainer.train()
    assert torch.equal(weights(trainer), once), "a second run starts from the original, too"


def test_the_l1_penalty_falls_linearly_to_nothing(tmp_path):
    trainer = make(tmp_path, "l1_sparse", l1_weight=0.01, max_steps=4)
    plain = make(tmp_path, "fine_tune", max_steps=4)
    batch = batch_of(trainer, [NUM_FORGET, NUM_FORGET + 1])
    trainer.state.max_steps = 4
    for step, weight in ((0, 0.01), (1, 0.0075), (4, 0.0)):
        trainer.state.global_step = step
        assert trainer.penalty_weight == pytest.approx(weight)
        with_penalty, without = (
            torch.autograd.grad(loss_of(one, batch), one.model.classifier.weight)[0] for one in (trainer, plain)
        )
        sign = trainer.model.classifier.weight.sign()
        torch.testing.assert_close(with_penalty - without, weight * sign, rtol=1e-3, atol=1e-7)


def test_neggrad_plus_is_a_convex_combination_of_two_means(tmp_path):
    trainer = make(tmp_path, "neggrad_plus", retain_share=0.8)
    batch = batch_of(trainer, [0, NUM_FORGET, 1, NUM_FORGET + 1])
    losses = cross_entropy(trainer.model(pixel_values=batch["pixel_values"]).logits, batch["labels"], reduction="none")
    expected = 0.8 * losses[1::2].mean() - 0.2 * losses[::2].mean()
    torch.testing.assert_close(loss_of(trainer, batch), expected)


def test_fine_tuning_freezes_batchnorm_unless_told(tmp_path):
    for train_mode in (False, True):
        model = make_model("resnet")
        before = {name: value.clone() for name, value in model.named_buffers()}
        make(tmp_path, "fine_tune", model, max_steps=2, train_mode=train_mode).train()
        same = [torch.equal(value, before[name]) for name, value in model.named_buffers() if "running" in name]
        assert any(same) != train_mode and all(same) != train_mode
        assert not model.training


def test_retraining_knows_nothing_of_the_originals_weights(tmp_path):
    ends = []
    for original, seed in ((0, 3), (1, 3), (0, 4)):
        trainer = make(tmp_path, "retrain", make_model("resnet", seed=original), max_steps=2, seed=seed)
        trainer.train()
        ends.append(weights(trainer))
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_new_weights_leave_the_global_random_state_alone():
    model = make_model("resnet")
    torch.manual_seed(0)
    first = torch.rand(1)
    torch.manual_seed(0)
    fresh = new_weights(model, 7)
    assert torch.equal(torch.rand(1), first)
    assert torch.equal(fresh.classifier[1].weight, new_weights(model, 7).classifier[1].weight)
    assert {**fresh.config.to_dict(), "dtype": None} == model.config.to_dict()

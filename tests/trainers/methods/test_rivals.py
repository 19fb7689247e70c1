"""What makes the methods of 2024 to 2026 the methods they are called."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy, kl_div

from hf_unlearn import UnlearningError
from hf_unlearn.objectives.adversarial import nearest_adversarial
from hf_unlearn.objectives.gaussians import ClassGaussians
from hf_unlearn.objectives.tempering import SampleGumbel
from hf_unlearn.trainers.methods import lotus_forget
from hf_unlearn.trainers.safety.unfamiliar import Caught
from tests.objectives.test_rivals import Calls
from tests.tiny import make_dataset, make_model
from tests.trainers.methods.test_definitions import batch_of, nudged, untrained  # noqa: F401
from tests.trainers.methods.test_mu_mis import weights
from tests.trainers.runs import NUM_FORGET, NUM_RETAIN, OTHERS, make


def first_loss(trainer, rows=None):
    """The loss of the run's first batch (or of some rows) as the method computes it, its batch, and what was set up."""
    seen = {}
    loss = trainer.unlearning_loss

    def spy(model, inputs):
        if not seen:
            mine = inputs if rows is None else batch_of(trainer, rows)
            nudged(trainer.model)
            seen["losses"], _, seen["figures"] = loss(model, mine)
            seen["inputs"], seen["logits"] = mine, trainer.model(pixel_values=mine["pixel_values"]).logits.detach()
        return loss(model, inputs)

    trainer.unlearning_loss = spy
    trainer.train()
    return seen


def original_logits(inputs, model_type="vit"):
    return make_model(model_type)(pixel_values=inputs["pixel_values"]).logits.detach()


# Controls


def test_mask_logit_changes_one_answer_and_nothing_else(tmp_path):
    model, original = make_model("resnet"), make_model("resnet")
    trainer = make(tmp_path, "mask_logit", model)
    trainer.train()
    pixels = batch_of(make(tmp_path, "fine_tune"), range(NUM_FORGET + NUM_RETAIN))["pixel_values"]
    now, before = (each(pixel_values=pixels).logits for each in (model, original))
    assert torch.equal(now[:, 1:], before[:, 1:]) and (now[:, 0] < before.min() - 1000).all()
    changed = [
        name for name, value in model.state_dict().items() if not torch.equal(value, original.state_dict()[name])
    ]
    assert changed == ["classifier.1.bias"] and trainer.stop_reason == "the logits of 1 classes were masked"
    # Shifted back it is the original's logit: the mask hides it, no more.
    torch.testing.assert_close(now[:, 0] - now[:, 0].mean(), before[:, 0] - before[:, 0].mean(), rtol=0, atol=5e-3)


@pytest.mark.parametrize("name", ["mask_logit", "spotter"])
@pytest.mark.parametrize("kind", ["subset", "subclass"])
def test_methods_for_whole_classes_alone_say_so(tmp_path, name, kind):
    with pytest.raises(UnlearningError, match=f"{name}' is for classes that vanish") as caught:
        make(tmp_path, name, kind=kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", OTHERS)
def test_a_class_must_be_left(tmp_path, name):
    with pytest.raises(UnlearningError, match="all 4 classes are to be forgotten") as caught:
        make(tmp_path, name, forget=make_dataset(8))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mask_logit", "spotter"])
def test_classes_of_earlier_requests_count_as_gone(tmp_path, name):
    trainer = make(tmp_path, name)
    trainer.__dict__["earlier_labels"] = torch.tensor([1, 2, 3])
    before = weights(trainer)
    with pytest.raises(UnlearningError, match="all 4 classes are to be forgotten, now or by earlier requests"):
        trainer.train()
    assert torch.equal(weights(trainer), before)


def test_head_only_moves_the_head_alone(tmp_path):
    model, original = make_model("resnet"), make_model("resnet")
    trainer = make(tmp_path, "head_only", model, max_steps=3, learning_rate=1e-2)
    trainer.train()
    for (name, now), before in zip(model.named_parameters(), original.parameters(), strict=True):
        assert torch.equal(now, before) != name.startswith("classifier")
        assert now.requires_grad, "afterwards all may move again"


# ESC


def test_esc_answers_without_the_leading_directions_of_the_forget_features(tmp_path):
    model, original = make_model("resnet"), make_model("resnet")
    trainer = make(tmp_path, "esc", model, erased_percent=20.0)
    batch = batch_of(trainer, range(NUM_FORGET))
    trainer.train()
    with Caught(original, trainer.train_dataset) as caught, torch.no_grad():
        original(pixel_values=batch["pixel_values"])
        features = caught.features.double()
    u = torch.linalg.svd(features.T, full_matrices=True)[0]
    width = features.shape[1]
    erased = int(0.2 * width)
    kept = features - (features @ u[:, :erased]) @ u[:, :erased].T
    head = original.classifier[1]
    expected = kept @ head.weight.double().T + head.bias
    now = model(pixel_values=batch["pixel_values"]).logits
    torch.testing.assert_close(now.double(), expected, rtol=1e-4, atol=1e-5)
    assert trainer.stop_reason == f"{erased} of {width} directions were erased"
    once = weights(trainer)
    trainer.train()
    assert torch.equal(weights(trainer), once), "a second run starts from the original, too"


def test_a_projection_is_folded_on_the_cpu_as_not_every_accelerator_has_float64(tmp_path):
    trainer = make(tmp_path, "esc")
    projection = torch.eye(trainer.model.classifier.in_features, dtype=torch.float64)
    with torch.no_grad(), Calls() as calls:
        trainer.fold(projection)
    assert calls.names.index("cpu") < calls.names.index("double")


def test_esc_t_erases_what_it_learned_to_and_leaves_the_body_alone(tmp_path):
    model, original = make_model("resnet"), make_model("resnet")
    with torch.no_grad():
        for each in (model, original):
            each.classifier[1].bias[0] += 0.5  # so that it knows the class
    settings = {"mask_learning_rate": 5.0, "mask_passes": 20}
    trainer = make(tmp_path, "esc_t", model, **settings)
    trainer.train()
    for (name, now), before in zip(model.named_parameters(), original.parameters(), strict=True):
        assert torch.equal(now, before) != (name == "classifier.1.weight")
    again = make(tmp_path, "esc_t", original, **settings)
    again.train()
    assert torch.equal(weights(again), weights(trainer)), "the seed says it all"


# Spotter


def test_spotter_by_the_paper(tmp_path):
    trainer = make(tmp_path, "spotter", max_steps=1, own_weight=0.6, dispersion_weight=0.4)
    seen = first_loss(trainer, range(6))
    inputs, logits = seen["inputs"], seen["logits"]
    perturbed = trainer.perturbed.of(inputs["index"])
    assert ((perturbed - inputs["pixel_values"]).abs() <= 0.03 + 1e-6).all()
    q = []
    for pixels in (inputs["pixel_values"], perturbed):
        said = make_model("vit")(pixel_values=pixels).logits.detach().softmax(1)
        said[:, 0] = 0
        q.append(said / said.sum(1, keepdim=True))
    trainer = make(tmp_path, "spotter", nudged(make_model("vit")))
    with Caught(trainer.model, trainer.train_dataset) as caught, torch.no_grad():
        there = trainer.model(pixel_values=perturbed).logits
        torch.testing.assert_close(trainer.model(pixel_values=inputs["pixel_values"]).logits, logits)
        f = caught.features
    cosines = [cosine_similarity(f[i], f[j], dim=0) for i in range(6) for j in range(6) if i != j]
    expected = (
        0.6 * kl_div(logits.log_softmax(1), q[0], reduction="batchmean")
        + 0.4 * kl_div(there.log_softmax(1), q[1], reduction="batchmean")
        + 0.4 * torch.stack(cosines).mean()
    )
    torch.testing.assert_close(seen["losses"].mean(), expected, rtol=1e-4, atol=1e-6)


def test_spotters_perturbed_samples_come_nearer_to_another_class(tmp_path):
    trainer = make(tmp_path, "spotter", max_steps=1, perturbation=0.5, perturbation_step=0.2)
    trainer.train()
    batch = batch_of(trainer, range(NUM_FORGET))
    before = original_logits(batch).log_softmax(1)
    target = before.scatter(1, batch["labels"].unsqueeze(1), -math.inf).argmax(1, keepdim=True)
    after = original_logits({"pixel_values": trainer.perturbed.of(batch["index"])}).log_softmax(1)
    assert (after.gather(1, target) > before.gather(1, target)).all()


# AMUN


def test_amun_learns_its_nearest_mistakes(tmp_path):
    trainer = make(tmp_path, "amun_forget", max_steps=1)
    seen = first_loss(trainer, range(6))
    original = make_model("vit")

    def answer(pixels):
        return original(pixel_values=pixels).logits

    found = nearest_adversarial(answer, seen["inputs"]["pixel_values"], seen["inputs"]["labels"], 0.08)
    assert (found.labels != seen["inputs"]["labels"]).all()
    logits = nudged(make_model("vit"))(pixel_values=found.pixel_values).logits
    torch.testing.assert_close(
        seen["losses"], cross_entropy(logits, found.labels, reduction="none"), rtol=1e-3, atol=1e-5
    )


def test_a_model_that_knows_one_answer_has_no_adversarial_examples(tmp_path):
    model = make_model("vit")
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias[0] = 1.0
    with pytest.raises(UnlearningError, match="there are no adversarial examples: 10 samples are taken"):
        make(tmp_path, "amun_forget", model, attack_steps=1).train()


def test_amun_with_retained_samples_learns_all_of_them(tmp_path):
    rows = [0, NUM_FORGET, 3]
    both, alone = (
        first_loss(make(tmp_path, "amun", max_steps=1, own_labels=own), rows)["losses"].detach()
        for own in (True, False)
    )
    inputs = batch_of(make(tmp_path, "amun"), rows)
    plain = cross_entropy(
        nudged(make_model("vit"))(pixel_values=inputs["pixel_values"]).logits, inputs["labels"], reduction="none"
    )
    # A retained sample counts once; a forget sample as itself and as its adversarial counterpart.
    torch.testing.assert_close(both[1], plain[1])
    torch.testing.assert_close(alone[1], plain[1])
    torch.testing.assert_close(both[[0, 2]], plain[[0, 2]] + alone[[0, 2]], rtol=1e-4, atol=1e-5)


# LoTUS


def test_lotus_tempers_by_the_accuracy_gap(tmp_path):
    model = make_model("vit")
    with torch.no_grad():
        model.classifier.bias[0] = 50.0
    settings = {"max_steps": 1, "temperature_rate": 2.0, "gumbel_noise": False}
    trainer = make(tmp_path, "lotus_forget", model, **settings)
    inputs = {}
    loss = trainer.unlearning_loss

    def spy(wrapped, given):
        inputs.update(given)
        inputs["losses"] = loss(wrapped, given)[0]
        return loss(wrapped, given)

    trainer.unlearning_loss = spy
    before = model(pixel_values=batch_of(trainer, range(NUM_FORGET))["pixel_values"]).logits.detach()
    trainer.train()
    assert trainer.tempering.accuracy == 1.0 and trainer.temperature == pytest.approx(math.exp(2.0))
    said = before[inputs["index"]]
    expected = -((said / math.exp(2.0)).softmax(1) * said.log_softmax(1)).sum(1)
    torch.testing.assert_close(inputs["losses"], expected)


def test_lotus_sharpens_retained_samples_and_draws_noise_by_sample_and_pass(tmp_path):
    # An untrained model: its forget accuracy is 0, as that on unseen data.
    trainer = make(tmp_path, "lotus", max_steps=1)
    seen = first_loss(trainer, [0, NUM_FORGET + 2])
    said = original_logits(seen["inputs"])
    noise = SampleGumbel(NUM_FORGET + NUM_RETAIN, 4, trainer.args.seed)
    said = said + noise.of(seen["inputs"]["index"], 0)
    target = torch.stack([said[0].softmax(0), torch.nn.functional.one_hot(said[1].argmax(), 4).float()])
    torch.testing.assert_close(seen["losses"], -(target * seen["logits"].log_softmax(1)).sum(1), rtol=1e-4, atol=1e-5)


def test_lotus_ends_a_run_that_is_below_unseen_data(tmp_path):
    model = make_model("vit")
    trainer = make(tmp_path, "lotus_forget", model, unseen_accuracy=90.0, kind="subset")
    before = weights(trainer)
    trainer.train()
    assert trainer.state.global_step == 0 and torch.equal(weights(trainer), before)
    assert "below unseen data's" in trainer.stop_reason
    with torch.no_grad():
        model.classifier.bias[0] = 0.3
    trainer = make(
        tmp_path, "lotus_forget", model, unseen_accuracy=99.0, kind="subset", learning_rate=0.1, num_train_epochs=8
    )
    assert trainer.forget_accuracy() == 1.0
    trainer.train()
    assert trainer.state.global_step < 16 and "points below that on unseen data" in trainer.stop_reason


def test_lotus_draws_the_noise_of_a_pass_and_measures_before_it_once(tmp_path, monkeypatch):
    made, measured = [], []
    monkeypatch.setattr(lotus_forget, "SampleGumbel", lambda *given: made.append(1) or SampleGumbel(*given))
    trainer = make(tmp_path, "lotus_forget", num_train_epochs=1, per_device_train_batch_size=2)
    accuracy = trainer.forget_accuracy
    monkeypatch.setattr(trainer, "forget_accuracy", lambda: measured.append(1) or accuracy())
    trainer.train()
    assert trainer.state.global_step == 5 and len(made) == len(measured) == 1
    trainer.args.seed = 1
    trainer.train()
    assert len(made) == 2, "another run has noise of its own"
    trainer.unseen = 2.0
    trainer.train()
    assert trainer.state.global_step == 0, "no step of an earlier run is counted"


def test_lotus_says_what_it_needs_where_labels_stay(tmp_path):
    with pytest.raises(UnlearningError, match="needs the original's accuracy on unseen data"):
        make(tmp_path, "lotus_forget", kind="subset")
    trainer = make(tmp_path, "lotus_forget", kind="subset", unseen=make_dataset(40, seed=5))
    expected = (trainer.unseen_odds > 0).float().mean()
    assert trainer.unseen == pytest.approx(float(expected))


# SCAR


def test_scar_by_the_paper(tmp_path):
    trainer = make(tmp_path, "scar", max_steps=1, distance_weight=0.5, distillation_weight=2.0)
    seen = first_loss(trainer, range(6))
    inputs = seen["inputs"]
    assert set(trainer.classes.labels.tolist()) == {1, 2, 3}, "the forgotten class is no goal"
    nearest = trainer.nearest.of(inputs["index"])
    original, now = make_model("vit"), nudged(make_model("vit"))
    features = []
    for model in (original, now):
        with Caught(model, trainer.train_dataset) as caught, torch.no_grad():
            model(pixel_values=inputs["pixel_values"])
            features.append(caught.features)
    assert torch.equal(nearest, trainer.classes.distances(features[0]).argmin(1)), "chosen once, under the original"
    distances = trainer.classes.distances(features[1]).gather(1, nearest.unsqueeze(1)).squeeze(1)
    held = trainer.held[trainer._rows.of(inputs["index"], 0)]
    q = original(pixel_values=held).logits.detach()
    q[:, 0] = -math.inf
    p = now(pixel_values=held).logits.log_softmax(1)
    expected = 0.5 * distances + 2.0 * kl_div(p, q.softmax(1), reduction="none").sum(1)
    torch.testing.assert_close(seen["losses"], expected, rtol=1e-3, atol=1e-5)


def test_scar_measures_the_distance_to_one_class_in_a_step(tmp_path, monkeypatch):
    to_all, calls = ClassGaussians.distances, []
    monkeypatch.setattr(ClassGaussians, "distances", lambda *given: calls.append(1) or to_all(*given))
    make(tmp_path, "scar", max_steps=3).train()
    assert len(calls) == 1, "to all of them once, to find the nearest"


def test_scar_keeps_all_answers_where_labels_stay(tmp_path):
    trainer = make(tmp_path, "scar", kind="subset", max_steps=1)
    trainer.train()
    assert not trainer.gone.any() and set(trainer.classes.labels.tolist()) == {0, 1, 2, 3}
    own = trainer.classes.labels[trainer.nearest.of(torch.arange(NUM_FORGET))]
    assert (own != 0).all(), "a class other than the sample's own"


def test_scar_needs_samples_of_other_classes(tmp_path):
    with pytest.raises(UnlearningError, match="method 'scar' needs labelled samples"):
        make(tmp_path, "scar", unseen=False)
    only = make_dataset(80, seed=5).filter(lambda label: label == 0, input_columns="label")
    with pytest.raises(UnlearningError, match="every reference sample is of a class that goes"):
        make(tmp_path, "scar", unseen=only, max_steps=1).train()
    with pytest.raises(UnlearningError, match="all reference samples are of one class"):
        make(tmp_path, "scar", unseen=only, kind="subset", max_steps=1).train()


# COLA


def test_cola_collapses_then_aligns(tmp_path):
    model, original = make_model("resnet"), make_model("resnet")
    trainer = make(tmp_path, "cola", model, collapse_passes=1, num_train_epochs=1, learning_rate=1e-2)
    head = {name: value.clone() for name, value in model.classifier.state_dict().items()}
    trainer.train()
    assert all(torch.equal(value, head[name]) for name, value in model.classifier.state_dict().items())
    assert not torch.equal(next(model.parameters()), next(original.parameters()))
    trainer = make(tmp_path, "cola", make_model("vit"), collapse_passes=1, num_train_epochs=2)
    kinds = []
    loss = trainer.unlearning_loss

    def spy(wrapped, inputs):
        losses, outputs, figures = loss(wrapped, inputs)
        ordinary = cross_entropy(outputs["logits"], inputs["labels"], reduction="none")
        kinds.append("align" if torch.allclose(losses, ordinary) else "collapse")
        return losses, outputs, figures

    trainer.unlearning_loss = spy
    trainer.train()
    assert kinds == ["collapse"] * 3 + ["align"] * 3


@pytest.mark.parametrize("name", ["spotter", "scar"])
def test_classes_of_earlier_requests_stay_away(tmp_path, name):
    trainer = make(tmp_path, name, max_steps=1)
    trainer.__dict__["earlier_labels"] = torch.tensor([2])
    trainer.train()
    assert trainer.gone.tolist() == [True, False, True, False] and trainer.keeps_earlier
    if name == "scar":
        assert trainer.classes.labels.tolist() == [1, 3], "nor are they a goal"

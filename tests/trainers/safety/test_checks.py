"""The premise is measured, a wrong way is undone, a collapse is never a success."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from hf_unlearn import DivergenceError, MUMisConfig, MUMisTrainer
from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.objectives import squared_input_sensitivities
from hf_unlearn.trainers.safety.outcome import surroundings_agreement
from hf_unlearn.trainers.safety.premise import Premise, measure_premise
from hf_unlearn.trainers.safety.samples import Sample, chunk_size, own_logits
from hf_unlearn.trainers.safety.stopping import StopRule
from hf_unlearn.trainers.safety.wrong_way import WrongWay
from tests.tiny import make_dataset, make_model, make_processor
from tests.trainers.safety.test_stopping import BATCH


def make_sample(num_samples=12):
    pixels = PixelDataset(make_dataset(num_samples), make_processor(), "image", "label", range(4))
    return Sample.of(pixels, num_samples, make_model())


def test_premise_by_hand(architecture):
    model, sample = make_model(architecture), make_sample()
    pixels = sample.pixel_values.clone().requires_grad_()
    logits = model(pixel_values=pixels).logits
    every = torch.stack(
        squared_input_sensitivities(logits, pixels, *(torch.full((12,), k) for k in range(4)), create_graph=False)
    ).T
    own = torch.nn.functional.one_hot(sample.labels, 4).bool()
    ranked = logits.detach().masked_fill(own, float("inf")).argsort(1)
    premise = measure_premise(model, sample, seed=0, batch_size=5)
    assert premise.target == pytest.approx(every[own].mean().item(), rel=1e-4)
    assert premise.irrelevant == pytest.approx(every[~own].mean().item(), rel=1e-4)
    assert premise.unlikely == pytest.approx(every.gather(1, ranked[:, :2]).mean().item(), rel=1e-4)


def test_large_images_are_checked_a_few_at_a_time():
    sizes = [chunk_size(torch.empty(1, 3, side, side)) for side in (16, 64, 128, 224, 1024)]
    assert sizes == [64, 64, 16, 5, 1]
    model, sample = make_model(), make_sample(12)
    whole, parts = (measure_premise(model, sample, seed=0, batch_size=size) for size in (None, 5))
    assert whole == pytest.approx(parts, rel=1e-5)


def test_the_premise_says_whether_it_holds():
    assert Premise(3.0, 1.0, 0.5).holds and "holds" in str(Premise(3.0, 1.0, 0.5))
    assert not Premise(1.0, 3.0, 0.5).holds and "fails here" in str(Premise(1.0, 3.0, 0.5))


def test_a_model_agrees_with_itself_and_not_with_another():
    sample = make_sample()
    model = make_model("vit")
    assert surroundings_agreement(model, model, sample, 12, seed=0) == 1.0
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.classifier.weight.neg_()
        broken.classifier.bias.neg_()
    assert surroundings_agreement(model, broken, sample, 12, seed=0) < 0.5


def test_weights_that_are_not_numbers_agree_with_nothing():
    model = make_model("vit")
    broken = copy.deepcopy(model)
    broken.classifier.bias.data[0] = float("nan")
    assert surroundings_agreement(model, broken, make_sample(), 12, seed=0) == 0.0


def test_log_odds_by_hand():
    class Fixed(torch.nn.Module):
        def forward(self, pixel_values):
            return {"logits": torch.tensor([[2.0, 0.0, 0.0, 0.0]]).expand(len(pixel_values), 4)}

    odds = own_logits(Fixed(), make_sample(4))
    expected = [2 - math.log(3), *[-math.log(2 + math.exp(2))] * 3]
    assert odds.tolist() == pytest.approx(expected, rel=1e-5)


def test_unseen_samples_set_the_shift(tmp_path):
    def make(forget_kind, **settings):
        return MUMisTrainer(
            make_model("vit"),
            MUMisConfig(output_dir=str(tmp_path), use_cpu=True, **settings),
            train_dataset=make_dataset(8),
            reference_dataset=make_dataset(24, seed=5),
            processing_class=make_processor(),
            forget_kind=forget_kind,
        )

    trainer = make("subset", stop_rule="unseen")
    assert trainer.unseen_odds is not None and len(trainer.unseen_odds) == 24
    trainer.train()
    assert trainer.memory is not None
    said = own_logits(trainer.original_model, trainer.forget_sample())
    left = float((said - trainer.memory.amounts).sigmoid().mean())
    expected = min(float(trainer.unseen_odds.sigmoid().mean()), float(said.sigmoid().mean()))
    assert left == pytest.approx(expected, abs=1e-3)
    assert make("subset", label_shift=2.0).args.label_shift == 2.0, "what was set stays"
    assert math.isinf(make("class").args.label_shift), "whole classes are ruled out, whatever else was never seen"


def course(confidences, targets, **kwargs):
    rule = WrongWay(BATCH, **kwargs)
    for step, (confidence, target) in enumerate(zip(confidences, targets, strict=True), start=1):
        figures = {"confidence": confidence * BATCH, "target_sensitivity": target * BATCH, "samples": BATCH}
        if rule.check(figures):
            return step
    return 0


def test_the_wrong_way_is_seen_within_a_few_steps():
    # As in a small ViT under the log ratio: sensitivities collapse, the confidence does not fall.
    assert course([0.89, 0.91, 0.925, 0.93], [2.8, 1.0, 0.08, 0.03]) == 3
    assert course([0.5, 0.52, 0.6], [1.0, 1.0, 1.0]) == 3
    # As in a ResNet: both fall.
    assert course([1.0, 0.95, 0.77, 0.46], [3.1, 1.0, 0.43, 0.15]) == 0
    assert course([0.89, 0.91, 0.925, 0.93], [2.8, 1.0, 0.08, 0.03], watch_sensitivity=False) == 0


def test_batches_that_differ_are_no_wrong_way():
    # As with mislabelled samples: the original is sure of few of them, and those come late.
    rule = WrongWay(BATCH)
    for confidence, before in ((0.06, 0.06), (0.12, 0.13), (0.2, 0.22), (0.1, 0.12)):
        figures = {"confidence": confidence * BATCH, "original_confidence": before * BATCH, "samples": BATCH}
        assert rule.check(figures) is None
    assert "14.0 -> 20.0 %" in str(
        rule.check({"confidence": 0.2 * BATCH, "original_confidence": 0.14 * BATCH, "samples": BATCH})
    )


class Upwards(MUMisTrainer):
    """A method that makes the model surer of the forget samples."""

    def unlearning_loss(self, model, inputs):
        outputs = model(pixel_values=inputs["pixel_values"])
        losses = torch.nn.functional.cross_entropy(outputs.logits, inputs["labels"], reduction="none")
        return losses, outputs, {}


class Scrambled(MUMisTrainer):
    """A method that forgets, and everything else with it."""

    def unlearning_loss(self, model, inputs):
        outputs = model(pixel_values=inputs["pixel_values"])
        return outputs.logits.square().sum(1), outputs, {}

    def create_optimizer(self, model=None):
        with torch.no_grad():
            self.model.classifier.weight.neg_()
            self.model.classifier.bias.neg_()
        return super().create_optimizer(model)


@pytest.mark.parametrize(("method", "named"), [(Upwards, "grew surer"), (Scrambled, "collapsed")])
def test_a_failed_run_puts_the_original_weights_back(tmp_path, method, named):
    model = make_model("vit")
    before = copy.deepcopy(model.state_dict())
    args = MUMisConfig(
        output_dir=str(tmp_path), max_steps=30, learning_rate=1e-2, lr_scheduler_type="constant", use_cpu=True
    )
    args.disable_tqdm, args.dataloader_pin_memory = True, False
    trainer = method(model, args, train_dataset=make_dataset(8), processing_class=make_processor(), forget_kind="class")
    with pytest.raises(DivergenceError, match=named):
        trainer.train()
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    if method is Upwards:
        assert trainer.state.global_step < 30, "it was seen before the end"


def test_only_this_rule_is_fatal():
    assert WrongWay.fatal and not StopRule.fatal

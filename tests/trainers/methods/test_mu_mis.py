"""MUMisTrainer: the objective inside a Trainer, and each trap of the stack that it must survive."""

from __future__ import annotations

import json
import math
import os

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import TrainerCallback

from hf_unlearn import DivergenceError, MUMisConfig, MUMisTrainer, UnlearningError
from hf_unlearn.data.pixels import collate
from hf_unlearn.objectives import double_backward, squared_input_sensitivities
from tests.tiny import LABELS, make_dataset, make_model, make_processor


def make_trainer(tmp_path, model=None, dataset=None, eval_dataset=None, kind="class", **settings):
    settings = {
        "max_steps": 3,
        "per_device_train_batch_size": 8,
        "use_cpu": True,
        "disable_tqdm": True,
        **settings,
    }
    return MUMisTrainer(
        model if model is not None else make_model(),
        MUMisConfig(output_dir=str(tmp_path), dataloader_pin_memory=False, **settings),
        train_dataset=dataset if dataset is not None else make_dataset(16),
        eval_dataset=eval_dataset,
        processing_class=make_processor(),
        forget_kind=kind,
    )


def weights(trainer) -> torch.Tensor:
    return torch.cat([value.detach().flatten().double() for value in trainer.model.state_dict().values()])


def test_loss_is_equation_3(tmp_path, architecture):
    model = make_model(architecture)
    trainer = make_trainer(tmp_path, model, objective="difference")
    batch = collate([trainer.train_dataset[index] for index in range(6)])
    (irrelevant,) = trainer._draw_irrelevant(batch["labels"], batch["index"], len(LABELS))
    expected = []
    for pixels, own, other in zip(batch["pixel_values"], batch["labels"], irrelevant, strict=True):
        norms = []
        for chosen in (own, other):
            one = pixels.unsqueeze(0).clone().requires_grad_()
            (gradient,) = torch.autograd.grad(model(pixel_values=one).logits[0, chosen], one)
            norms.append(gradient.square().sum())
        expected.append(norms[0] - norms[1])
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(model.train(), batch)
    torch.testing.assert_close(loss, torch.stack(expected).mean(), rtol=1e-4, atol=1e-7)


def unlikely_sensitivity(original, trainer):
    """Mean over the forget set of the two least likely of the three other classes, one sample at a time."""
    values = []
    for item in (trainer.train_dataset[index] for index in range(16)):
        pixels = item["pixel_values"].unsqueeze(0).clone().requires_grad_()
        logits = original(pixel_values=pixels).logits[0]
        others = [index for index in logits.argsort().tolist() if index != item["labels"]]
        for chosen in others[:2]:
            (gradient,) = torch.autograd.grad(logits[chosen], pixels, retain_graph=True)
            values.append(gradient.square().sum().item())
    return sum(values) / len(values)


def test_the_objective_on_answers_by_its_parts(tmp_path, architecture):
    model = make_model(architecture)
    trainer = make_trainer(tmp_path, model, features_weight=0.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.05)
    batch = collate([trainer.train_dataset[index] for index in range(6)])
    labels = batch["labels"]
    original = make_model(architecture)
    near = trainer._near(batch["pixel_values"], batch["labels"], batch["index"])
    expected = 0.0
    for inputs in (batch["pixel_values"], near):
        # Masked distillation: KL of the original without the own class to the current over all classes.
        q = original(pixel_values=inputs).logits.scatter(1, labels.unsqueeze(1), float("-inf")).softmax(1)
        p = model(pixel_values=inputs).logits.log_softmax(1)
        expected += torch.nn.functional.kl_div(p, q, reduction="batchmean")
    pixels = batch["pixel_values"].clone().requires_grad_()
    (target,) = squared_input_sensitivities(model(pixel_values=pixels).logits, pixels, labels)
    expected += 0.1 * (target.log() - math.log(0.5 * unlikely_sensitivity(original, trainer))).square().mean()
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(model.train(), batch)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 0])
def test_several_irrelevant_classes_are_a_mean_of_norms(tmp_path, count):
    model = make_model()
    settings = {"objective": "difference", "alpha_target": 0.0, "num_irrelevant_classes": count}
    trainer = make_trainer(tmp_path, model, **settings)
    batch = collate([trainer.train_dataset[index] for index in range(4)])
    drawn = trainer._draw_irrelevant(batch["labels"], batch["index"], len(LABELS))
    assert len(drawn) == (count or 3)
    pixels = batch["pixel_values"].clone().requires_grad_()
    norms = squared_input_sensitivities(model(pixel_values=pixels).logits, pixels, *drawn)
    loss = trainer.compute_loss(model.train(), batch)
    torch.testing.assert_close(loss, -torch.stack(norms).mean(), rtol=1e-4, atol=1e-8)


def test_a_cap_bounds_what_the_irrelevant_term_gains(tmp_path):
    settings = {"objective": "difference", "alpha_target": 0.0, "irrelevant_cap": 1e-6}
    trainer = make_trainer(tmp_path, make_model(), **settings)
    before = weights(trainer)
    trainer.train()
    # Every irrelevant sensitivity lies above so low a cap: nothing is gained by raising it, no weight moves.
    assert torch.equal(weights(trainer), before)
    entry = next(entry for entry in trainer.state.log_history if "loss" in entry)
    assert entry["loss"] == pytest.approx(-1e-6 * trainer.premise.irrelevant, rel=1e-3)


def test_plain_gradient_descent_on_the_papers_loss(tmp_path):
    # The paper's own step: w <- w - lr * gradient, of the whole forget set.
    model = make_model("vit")
    settings = {"objective": "difference", "step_rule": "optim", "optim": "sgd", "lr_scheduler_type": "constant"}
    trainer = make_trainer(tmp_path, model, learning_rate=0.1, max_steps=1, per_device_train_batch_size=16, **settings)
    reference = make_model("vit")
    batch = collate([trainer.train_dataset[index] for index in range(16)])
    (irrelevant,) = trainer._draw_irrelevant(batch["labels"], batch["index"], len(LABELS))
    pixels = batch["pixel_values"].clone().requires_grad_()
    with double_backward():
        logits = reference(pixel_values=pixels).logits
        target, other = squared_input_sensitivities(logits, pixels, batch["labels"], irrelevant)
    (target - other).mean().backward()
    with torch.no_grad():
        for parameter in reference.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    trainer.train()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_outside_training_the_loss_is_the_ordinary_one(tmp_path):
    trainer = make_trainer(tmp_path)
    batch = collate([trainer.train_dataset[index] for index in range(6)])
    inputs = {name: batch[name] for name in ("pixel_values", "labels")}
    ordinary = trainer.model(**inputs).loss
    torch.testing.assert_close(trainer.compute_loss(trainer.model, dict(batch)), ordinary)
    with torch.no_grad():
        torch.testing.assert_close(trainer.compute_loss(trainer.model, dict(batch)), ordinary)


def test_evaluation_while_training(tmp_path):
    splits = {"forget": make_dataset(8)}
    trainer = make_trainer(tmp_path, eval_dataset=splits, eval_strategy="steps", eval_steps=1)
    trainer.compute_metrics = lambda prediction: {
        "accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())
    }
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "eval_forget_accuracy" in entry]
    assert len(logged) == 3 and all(entry["eval_forget_loss"] > 0 for entry in logged)


def test_batchnorm_statistics_and_dropout_stay_out_of_it(tmp_path):
    model = make_model("resnet")
    before = {name: value.clone() for name, value in model.named_buffers()}
    trainer = make_trainer(tmp_path, model)
    trainer.train()
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.named_buffers())
    assert any("running_mean" in name for name in before)

    dropping = make_model("vit")
    dropping.vit.embeddings.dropout.p = 0.9
    plain = make_model("vit")
    weights_of = [weights(trainer) for trainer in (make_trainer(tmp_path, dropping), make_trainer(tmp_path, plain))]
    assert torch.equal(*weights_of)
    for model in (dropping, plain):
        make_trainer(tmp_path, model).train()
    assert all(torch.equal(a, b) for a, b in zip(dropping.parameters(), plain.parameters(), strict=True))


def test_default_attention_has_a_second_derivative(tmp_path):
    model = make_model("vit")
    assert model.config._attn_implementation == "sdpa"
    trainer = make_trainer(tmp_path, model)
    before = weights(trainer)
    trainer.train()
    assert not torch.equal(weights(trainer), before)


def test_default_attention_has_none_without_the_guard(tmp_path, monkeypatch):
    flash = [SDPBackend.FLASH_ATTENTION]
    monkeypatch.setattr("hf_unlearn.trainers.base.trainer.double_backward", lambda fast: sdpa_kernel(flash))
    with pytest.raises(RuntimeError, match="not implemented"):
        make_trainer(tmp_path, make_model("vit")).train()


@pytest.mark.parametrize("layout", [(8, 1), (4, 2), (2, 4), (3, 3)])
def test_accumulation_changes_nothing(tmp_path, architecture, layout):
    # 3 × 3 is 9 a step, hence its own reference: what counts is that micro-batches are uneven in it (16 = 9 + 7).
    batch, accumulation = layout
    reference = make_trainer(
        tmp_path, make_model(architecture), per_device_train_batch_size=batch * accumulation, max_steps=4
    )
    reference.train()
    split = make_trainer(
        tmp_path,
        make_model(architecture),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_steps=4,
    )
    split.train()
    torch.testing.assert_close(weights(split), weights(reference), rtol=1e-4, atol=1e-6)
    losses = [
        [entry["loss"] for entry in trainer.state.log_history if "loss" in entry] for trainer in (split, reference)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_accumulation_with_a_forward_that_takes_no_loss_kwargs(tmp_path):
    def plain():
        model = make_model("vit")

        class Plain(type(model)):
            def forward(self, pixel_values=None, labels=None):
                return super().forward(pixel_values=pixel_values, labels=labels)

        model.__class__ = Plain
        return model

    # 16 samples in steps of 9 and 7: the Trainer counts them only if it is told to.
    whole = make_trainer(tmp_path, plain(), per_device_train_batch_size=9, max_steps=4)
    split = make_trainer(tmp_path, plain(), per_device_train_batch_size=3, gradient_accumulation_steps=3, max_steps=4)
    for trainer in (whole, split):
        trainer.train()
    torch.testing.assert_close(weights(split), weights(whole), rtol=1e-4, atol=1e-6)


def test_same_seed_same_weights_another_seed_others(tmp_path):
    runs = []
    for seed in (0, 0, 1):
        trainer = make_trainer(tmp_path, seed=seed)
        trainer.train()
        runs.append(weights(trainer))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_model_by_folder_brings_its_processor(tmp_path, saved_model):
    args = MUMisConfig(output_dir=str(tmp_path), max_steps=1, use_cpu=True, disable_tqdm=True)
    trainer = MUMisTrainer(saved_model("resnet"), args, train_dataset=make_dataset(8), forget_kind="class")
    assert trainer.processing_class.size["height"] == 16
    trainer.train()


def test_labels_are_matched_by_name(tmp_path):
    turned = make_model(label_names=LABELS[::-1])
    trainer = make_trainer(tmp_path, turned, make_dataset(8))
    assert [trainer.train_dataset[index]["labels"] for index in range(4)] == [3, 2, 1, 0]


def test_resume_gives_the_uninterrupted_run(tmp_path, architecture):
    whole = make_trainer(tmp_path / "whole", make_model(architecture), max_steps=6)
    whole.train()
    settings = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3}
    make_trainer(tmp_path / "cut", make_model(architecture), **settings).train()
    resumed = make_trainer(tmp_path / "cut", make_model(architecture), **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-3"))
    assert resumed.state.global_step == 6
    assert torch.equal(weights(resumed), weights(whole))


def test_a_run_that_had_stopped_is_not_gone_on_with(tmp_path):
    settings = {"stop_rule": "forget_accuracy", "target_forget_accuracy": 100.0, "stop_window": 16, "max_steps": 20}
    settings |= {"save_strategy": "steps", "save_steps": 1}
    stopped = make_trainer(tmp_path, **settings)
    stopped.train()
    assert stopped.state.global_step == 2
    resumed = make_trainer(tmp_path, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert resumed.state.global_step == 2 and resumed.stop_reason == stopped.stop_reason
    assert torch.equal(weights(resumed), weights(stopped))
    stopped.train()
    assert stopped.state.global_step == 2, "a second run starts with fresh rules"


def test_best_model_is_restored_whole(tmp_path, architecture):
    trainer = make_trainer(tmp_path, make_model(architecture), save_strategy="steps", save_steps=1, max_steps=2)
    trainer.train()
    trainer.state.best_model_checkpoint = str(tmp_path / "checkpoint-1")
    trainer._load_best_model()
    fresh = make_trainer(tmp_path / "again", make_model(architecture), max_steps=2, save_strategy="no")
    fresh.args.max_steps = 1
    fresh._load_from_checkpoint(str(tmp_path / "checkpoint-1"))
    assert torch.equal(weights(trainer), weights(fresh))


def test_the_best_of_a_run_is_what_is_left(tmp_path, architecture):
    settings = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1, "max_steps": 4}
    best = {"load_best_model_at_end": True, "metric_for_best_model": "eval_forget_loss", "greater_is_better": False}
    model, splits = make_model(architecture), {"forget": make_dataset(8)}
    trainer = make_trainer(tmp_path, model, eval_dataset=splits, learning_rate=2e-2, **settings, **best)
    trainer.train()
    losses = [entry["eval_forget_loss"] for entry in trainer.state.log_history if "eval_forget_loss" in entry]
    step = 1 + losses.index(min(losses))
    assert trainer.state.best_model_checkpoint == str(tmp_path / f"checkpoint-{step}") and step < 4
    other = make_trainer(tmp_path / "other", make_model(architecture, seed=1))
    assert not torch.equal(weights(other), weights(trainer))
    other._load_from_checkpoint(str(tmp_path / f"checkpoint-{step}"))
    assert torch.equal(weights(other), weights(trainer))


def test_nothing_saved_is_a_pickle_or_holds_a_token(tmp_path):
    trainer = make_trainer(tmp_path, hub_token="hf_secret_of_mine")
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    assert "training_args.bin" not in os.listdir(tmp_path / "saved")
    for path in (path for path in (tmp_path / "saved").rglob("*") if path.is_file()):
        assert b"hf_secret_of_mine" not in path.read_bytes()
    saved = json.loads((tmp_path / "saved" / "training_args.json").read_text())
    assert saved["objective"] == "matched" and str(tmp_path) not in json.dumps(saved)


@pytest.mark.parametrize("runs_away_at", [1, 3])
def test_divergence_puts_the_original_weights_back(tmp_path, runs_away_at):
    # Plain gradient descent at an absurd rate: the first step with it throws the weights away.
    trainer = make_trainer(tmp_path, step_rule="optim", optim="sgd", learning_rate=1e-3, max_steps=5, num_rounds=1)
    before = weights(trainer)

    class Absurd(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == runs_away_at - 1:
                for group in trainer.optimizer.param_groups:
                    group["lr"] = 1e30

    trainer.add_callback(Absurd())
    with pytest.raises(DivergenceError, match=f"ran away at step {runs_away_at}: .*the original weights were put back"):
        trainer.train()
    assert torch.equal(weights(trainer), before)


def test_stops_when_forgotten_and_says_why(tmp_path):
    trainer = make_trainer(
        tmp_path, stop_rule="forget_accuracy", target_forget_accuracy=100.0, stop_window=16, max_steps=50
    )
    trainer.train()
    assert trainer.state.global_step == 2
    assert "forget accuracy" in trainer.stop_reason


def test_says_when_all_steps_were_made(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.train()
    assert trainer.stop_reason == "all 3 steps were made"


def test_figures_are_logged(tmp_path):
    trainer = make_trainer(tmp_path, objective="difference")
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(entries) == 3
    for entry in entries:
        assert 0 <= entry["forget_accuracy"] <= 100
        difference = entry["target_sensitivity"] - entry["irrelevant_sensitivity"]
        assert entry["loss"] == pytest.approx(difference, rel=1e-3, abs=1e-6)


def test_an_empty_forget_set_is_refused(tmp_path):
    with pytest.raises(UnlearningError, match="forget set is empty"):
        make_trainer(tmp_path, dataset=make_dataset(8).select([]))


def test_nothing_to_forget_is_refused(tmp_path):
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(UnlearningError, match="nothing to forget"):
        MUMisTrainer(make_model(), args, processing_class=make_processor(), forget_kind="class")


def test_the_textbooks_double_backward_makes_the_same_run(tmp_path, architecture, monkeypatch):
    ends = []
    for fast in (True, False):
        trainer = make_trainer(tmp_path, make_model(architecture), fast_double_backward=fast)
        if not fast:

            def refuse():
                raise AssertionError("an operation of the library's own")

            monkeypatch.setattr("hf_unlearn.objectives.second_order.context.Operations", refuse)
        trainer.train()
        ends.append(weights(trainer))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-3, atol=1e-5)
    with pytest.raises(AssertionError, match="an operation of the library's own"):
        make_trainer(tmp_path, make_model(architecture)).train()
    assert make_trainer(tmp_path, fast_double_backward=False).record()["settings"]["fast_double_backward"] is False

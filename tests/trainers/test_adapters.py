"""Trainers on a model with an adapter: the adapter alone moves, by the same mathematics, and comes back to the bit."""

from __future__ import annotations

import copy
import json

import peft
import pytest
import torch
from transformers import set_seed

import hf_unlearn.trainers
from hf_unlearn import MUMisConfig, MUMisTrainer, UnlearningError
from hf_unlearn.data.pixels import PixelDataset, collate
from hf_unlearn.models.adapters import adapter_tensors, base_classifier
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.trainers.registry import METHODS
from hf_unlearn.trainers.safety.wrong_way import WrongWay
from tests.tiny import LABELS, make_adapter, make_dataset, make_model, make_processor
from tests.trainers.methods.test_mu_mis import make_trainer
from tests.trainers.runs import make


def tensors(model):
    return {name: tensor.clone() for name, tensor in adapter_tensors(model).items()}


def others(model):
    """What is not the adapter's."""
    return {
        name: tensor.clone()
        for name, tensor in model.state_dict().items()
        if ".lora_" not in name and ".modules_to_save." not in name
    }


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def train(trainer, **kwargs):
    # Untrained, a model has nothing to forget: whether it goes the right way is not the question here.
    trainer.remove_callback(WrongWay)
    trainer.find_damage = lambda: None
    trainer.train(**kwargs)
    return trainer


WHOLE = [name for name, method in METHODS.items() if not getattr(hf_unlearn, method.trainer).unlearns_adapters]


@pytest.mark.parametrize("name", [name for name in METHODS if name not in WHOLE])
def test_every_method_moves_the_adapter_and_nothing_else(tmp_path, name):
    model = make_adapter()
    before, base = tensors(model), others(model)
    steps = {} if name == "ssd" else {"max_steps": 2}
    trainer = train(make(tmp_path, name, model=model, **steps))
    assert trainer.model is model
    assert not same(tensors(model), before)
    assert same(others(model), base)
    assert all(bool(tensor.isfinite().all()) for tensor in tensors(model).values())


@pytest.mark.parametrize("name", WHOLE)
def test_what_needs_all_weights_is_refused(tmp_path, name):
    with pytest.raises(UnlearningError, match=f"method '{name}' needs all weights of a model; expected no adapter"):
        make(tmp_path, name, model=make_adapter())


def test_what_is_not_verified_is_refused(tmp_path):
    model = make_adapter(use_dora=True)
    with pytest.raises(UnlearningError, match="use_dora"):
        make_trainer(tmp_path, model)


class Factors(torch.nn.Module):
    """The same function written plainly: W + 2 B A in each adapted layer, with A, B and the head all that moves."""

    def __init__(self, model):
        super().__init__()
        self.config, self.base_model_prefix = model.config, model.base_model_prefix
        self.whole = copy.deepcopy(model).merge_and_unload().requires_grad_(False)
        self.layers = {
            name.removeprefix("base_model.model."): layer
            for name, layer in copy.deepcopy(model).named_modules()
            if hasattr(layer, "lora_A")
        }
        self.moving = {}
        for name, layer in self.layers.items():
            for part in ("lora_A", "lora_B"):
                weight = getattr(layer, part)["default"].weight.detach().clone()
                self.moving[f"base_model.model.{name}.{part}.weight"] = weight.requires_grad_()
        for part in ("weight", "bias"):
            head = getattr(self.whole.classifier, part).detach().clone().requires_grad_()
            self.moving[f"base_model.model.classifier.{part}"] = head

    def forward(self, pixel_values):
        weights = {
            f"classifier.{part}": self.moving[f"base_model.model.classifier.{part}"] for part in ("weight", "bias")
        }
        for name, layer in self.layers.items():
            a, b = (self.moving[f"base_model.model.{name}.{part}.weight"] for part in ("lora_A", "lora_B"))
            weights[f"{name}.weight"] = layer.base_layer.weight + 2.0 * b @ a
        return torch.func.functional_call(self.whole, weights, kwargs={"pixel_values": pixel_values})


@pytest.mark.parametrize("objective", ["matched", "difference"])
def test_the_gradient_is_that_of_the_same_function_written_plainly(tmp_path, objective):
    model = make_adapter().double()
    trainer = make_trainer(tmp_path, model, objective=objective)
    batch = collate([trainer.train_dataset[index] for index in range(6)])
    plain = Factors(model)
    with torch.no_grad():
        for name, weight in plain.moving.items():
            weight.mul_(1.1)
            adapter_tensors(model)[name].mul_(1.1)
    with trainer.compute_loss_context_manager():
        trainer.compute_loss(model.train(), batch).backward()
        inputs = {**batch, "pixel_values": batch["pixel_values"].double()}
        losses, _, _ = trainer.unlearning_loss(plain, inputs)
        losses.mean().backward()
    moving = {
        name.replace(".modules_to_save", "").replace(".default", ""): each.grad
        for name, each in model.named_parameters()
        if each.requires_grad
    }
    assert moving.keys() == plain.moving.keys()
    for name, gradient in moving.items():
        expected = plain.moving[name].grad
        if expected is None:
            # No sensitivity depends on the head's bias.
            assert name.endswith("classifier.bias") and not gradient.any()
            continue
        assert gradient.any()
        torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-12)


def test_the_head_of_an_adapter_has_the_scale_of_a_head(tmp_path):
    trainer = make_trainer(tmp_path, model := make_adapter())
    head, rest = trainer.create_optimizer().param_groups
    assert head["scale"] == trainer.args.head_scale and rest["scale"] == 1.0
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert sorted(names[id(each)] for each in head["params"]) == [
        f"base_model.model.classifier.modules_to_save.default.{part}" for part in ("bias", "weight")
    ]
    assert len(rest["params"]) == 8 and all(".lora_" in names[id(each)] for each in rest["params"])


@pytest.mark.parametrize("settings", [{}, {"step_rule": "optim", "optim": "adamw_torch"}])
def test_resumed_it_ends_where_an_uninterrupted_run_does(tmp_path, settings):
    settings = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2, **settings}
    whole = train(make_trainer(tmp_path / "whole", make_adapter(), **settings))
    # As if it had been stopped before the last checkpoint was whole.
    (tmp_path / "whole" / "checkpoint-6" / "whole.json").unlink()
    again = make_trainer(tmp_path / "whole", make_adapter(), **settings)
    train(again, resume_from_checkpoint=True)
    assert same(tensors(again.model), tensors(whole.model))
    names = {path.name for path in (tmp_path / "whole" / "checkpoint-4").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "config.json", "whole.json"} <= names
    assert not {"README.md", "training_args.bin", "model.safetensors"} & names


def test_the_best_checkpoint_is_restored_whole(tmp_path):
    trainer = make_trainer(
        tmp_path,
        make_adapter(),
        eval_dataset=make_dataset(8, seed=3),
        max_steps=4,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        # The best is the first: the loss only grows.
        greater_is_better=False,
    )
    train(trainer)
    best = trainer.state.best_model_checkpoint
    assert best is not None and not best.endswith("-4")
    other = make_adapter(seed=8)
    trainer._load_from_checkpoint(best, other)
    assert same(tensors(trainer.model), tensors(other))


def test_a_failed_run_puts_the_adapter_back(tmp_path):
    model = make_adapter()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trainer = make_trainer(tmp_path, model)
    trainer.find_damage = lambda: "it is tested"
    trainer.remove_callback(WrongWay)
    with pytest.raises(hf_unlearn.DivergenceError, match="the original weights were put back"):
        trainer.train()
    assert same(dict(model.state_dict()), before)


def test_by_name(tmp_path):
    make_model("vit").save_pretrained(tmp_path / "base")
    make_processor().save_pretrained(tmp_path / "base")
    model = make_adapter(load_image_classifier(tmp_path / "base"))
    model.save_pretrained(tmp_path / "adapter")
    args = MUMisConfig(str(tmp_path / "out"), max_steps=1, use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False)
    trainer = train(MUMisTrainer(str(tmp_path / "adapter"), args, train_dataset=make_dataset(8), forget_kind="class"))
    trainer.save_model()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *("adapter_config.json", "adapter_model.safetensors", "adapter_base.json", "config.json", "README.md"),
        *("preprocessor_config.json", "training_args.json", "unlearning.json", "unlearning_withheld.json"),
    }
    record = json.loads((tmp_path / "out" / "unlearning.json").read_text())
    assert record["original_model"] == {"name": "adapter", "revision": None, "license": None, "from_hub": False}
    assert record["adapter"] == {"kind": "LORA", "base_model": {"name": "base", "revision": None, "from_hub": False}}
    assert same(tensors(load_image_classifier(tmp_path / "out")), tensors(trainer.model))


@pytest.mark.slow
def test_an_adapter_that_learned_a_task_forgets_a_class(tmp_path):
    """The defaults, on weights that are products: the class is forgotten, and the others are not."""
    set_seed(0)
    model = make_adapter(r=4)
    data = make_dataset(64)
    pixels = PixelDataset.for_model(data, model.config, make_processor(), "image", "label", LABELS)
    batch = collate([pixels[index] for index in range(64)])
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=5e-3)
    for _ in range(150):
        loss = model(pixel_values=batch["pixel_values"], labels=batch["labels"])["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def accuracy(rows):
        with torch.no_grad():
            said = model(pixel_values=batch["pixel_values"][rows])["logits"].argmax(-1)
        return float((said == batch["labels"][rows]).float().mean())

    forget = batch["labels"] == 0
    assert accuracy(forget) == accuracy(~forget) == 1.0
    base = others(model)
    args = MUMisConfig(str(tmp_path), use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False, report_to="none")
    rows = [index for index, label in enumerate(data["label"]) if label == 0]
    trainer = MUMisTrainer(
        model, args, train_dataset=data.select(rows), processing_class=make_processor(), forget_kind="class"
    )
    trainer.train()
    assert accuracy(forget) == 0.0 and accuracy(~forget) >= 0.95
    assert same(others(model), base)
    assert not base_classifier(model).training


def test_the_card_of_a_run_without_splits_can_be_made(tmp_path):
    trainer = train(make_trainer(tmp_path, make_model("vit"), max_steps=1))
    trainer.create_model_card()
    assert "made to forget **a part of its training set**" in (tmp_path / "README.md").read_text()


def test_penalty_and_mask_are_of_the_weights_that_move(tmp_path):
    moving = {name: each for name, each in make_adapter().named_parameters() if each.requires_grad}
    sparse = make(tmp_path, "l1_sparse", model=make_adapter(), l1_weight=1.0, max_steps=1)
    batch = collate([sparse.train_dataset[index] for index in range(2)])
    with torch.no_grad():
        plain = make(tmp_path, "fine_tune", model=make_adapter(), max_steps=1).unlearning_loss(sparse.model, batch)[0]
        penalised = sparse.unlearning_loss(sparse.model, batch)[0]
        norm = sum(each.abs().sum() for each in moving.values())
    torch.testing.assert_close(penalised - plain, norm.expand(2))

    salient = train(make(tmp_path, "salun", model=make_adapter(), salient_share=0.5, max_steps=1))
    assert salient.mask.keys() == moving.keys()
    chosen = sum(int(mask.sum()) for mask in salient.mask.values())
    assert chosen == pytest.approx(0.5 * sum(each.numel() for each in moving.values()), abs=1)


def test_train_mode_is_refused_where_it_moves_the_base(tmp_path):
    config = peft.LoraConfig(target_modules=["convolution"], modules_to_save=["classifier"])
    model = peft.get_peft_model(make_model("resnet"), config)
    with pytest.raises(UnlearningError, match="train_mode would move the base's BatchNorm"):
        make(tmp_path, "fine_tune", model=model, train_mode=True)

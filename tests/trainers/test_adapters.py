"""Adapters are unlearned alone: the base keeps every bit, and checkpoints and results hold the adapter only."""

from __future__ import annotations

import copy

import pytest
import torch
from datasets import DatasetDict
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

import hf_unlearn
from hf_unlearn import ForgetRequest, MUMisTrainer, UnlearningError, make_splits
from hf_unlearn.models.pixels import PixelDataset, collate
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.objectives import squared_input_sensitivities
from hf_unlearn.trainers.guards import find_problems
from hf_unlearn.trainers.registry import METHODS
from hf_unlearn.trainers.request_settings import request_settings
from tests.tiny import make_adapter, make_dataset, make_model, make_processor
from tests.trainers.methods import make
from tests.trainers.test_guards import make_args
from tests.trainers.test_mu_mis_trainer import make_trainer, weights

REFUSED = {"salun", "salun_forget", "l1_sparse", "ssd", "retrain"}


@pytest.fixture
def base(tmp_path):
    make_model("vit").save_pretrained(tmp_path / "base")
    make_processor().save_pretrained(tmp_path / "base")
    return str(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path, base):
    make_adapter(base, tmp_path / "adapter")
    return tmp_path / "adapter"


def parts(model):
    """The weights of the base, and those of the adapter."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    own = {name for name, value in model.named_parameters() if value.requires_grad}
    return (
        {name: value for name, value in state.items() if name not in own},
        {name: value for name, value in state.items() if name in own},
    )


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize("method", [name for name in METHODS if name not in REFUSED])
def test_only_the_adapter_moves(tmp_path, adapter, method, monkeypatch):
    monkeypatch.setattr("hf_unlearn.trainers.retaining.LEAST_AGREEMENT", 0.0)
    model = load_image_classifier(adapter)
    base, own = parts(model)
    trainer = make(tmp_path / "out", method, model, max_steps=2)
    trainer.train()
    after_base, after_own = parts(model)
    assert same(base, after_base) and not same(own, after_own)


@pytest.mark.parametrize("method", sorted(REFUSED))
def test_methods_that_change_all_weights_are_refused(tmp_path, adapter, method):
    with pytest.raises(UnlearningError, match=f"'{method}' changes all weights"):
        make(tmp_path / "out", method, load_image_classifier(adapter))


def test_a_step_is_that_of_the_same_weights_without_peft(tmp_path, adapter):
    # A step along the gradient of MU-Mis's loss, worked out on the weights that a LoRA comes to.
    model = load_image_classifier(adapter)
    before = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    settings = {"objective": "difference", "step_rule": "optim", "optim": "sgd", "lr_scheduler_type": "constant"}
    trainer = make_trainer(
        tmp_path / "out", model, learning_rate=0.1, max_steps=1, per_device_train_batch_size=16, **settings
    )
    whole = copy.deepcopy(model).merge_and_unload()
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(16)])
    (irrelevant,) = trainer._draw_irrelevant(batch["labels"], batch["index"], 4)
    pixels = batch["pixel_values"].clone().requires_grad_()
    whole.requires_grad_(True)
    with hf_unlearn.objectives.double_backward():
        logits = whole(pixel_values=pixels).logits
        target, other = squared_input_sensitivities(logits, pixels, batch["labels"], irrelevant)
    (target - other).mean().backward()
    gradient = whole.vit.layers[0].attention.q_proj.weight.grad
    layer = "base_model.model.vit.layers.0.attention.q_proj"
    up, down = before[f"{layer}.lora_B.default.weight"], before[f"{layer}.lora_A.default.weight"]
    scaling = model.peft_config["default"].lora_alpha / model.peft_config["default"].r
    trainer.train()
    after = dict(model.named_parameters())
    torch.testing.assert_close(
        after[f"{layer}.lora_B.default.weight"], up - 0.1 * scaling * gradient @ down.T, rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(
        after[f"{layer}.lora_A.default.weight"], down - 0.1 * scaling * up.T @ gradient, rtol=1e-4, atol=1e-6
    )


def test_stopped_and_resumed_it_ends_where_it_would_have(tmp_path, adapter):
    settings = {"max_steps": 6, "num_rounds": 1, "stop_rule": "steps", "save_strategy": "steps", "save_steps": 2}
    whole = make_trainer(tmp_path / "whole", load_image_classifier(adapter), **settings)
    whole.train()
    saved = sorted(path.name for path in (tmp_path / "whole" / "checkpoint-2").iterdir())
    assert "adapter_model.safetensors" in saved and "model.safetensors" not in saved
    resumed = make_trainer(tmp_path / "resumed", load_image_classifier(adapter), **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert resumed.state.global_step == 6 and torch.equal(weights(resumed), weights(whole))


def test_the_best_of_a_run_is_restored(tmp_path, adapter):
    settings = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1, "max_steps": 4}
    best = {"load_best_model_at_end": True, "metric_for_best_model": "eval_forget_loss", "greater_is_better": False}
    model, splits = load_image_classifier(adapter), {"forget": make_dataset(8)}
    trainer = make_trainer(tmp_path / "out", model, eval_dataset=splits, learning_rate=5e-2, **settings, **best)
    trainer.train()
    at = trainer.state.best_model_checkpoint
    assert not at.endswith("-4") and same(parts(load_image_classifier(adapter))[0], parts(model)[0])
    other = load_image_classifier(adapter)
    make_trainer(tmp_path / "other", other)._load_from_checkpoint(at)
    assert same(parts(other)[1], parts(model)[1])


def test_what_is_saved_is_the_adapter_and_loads(tmp_path, adapter):
    trainer = make_trainer(tmp_path / "out", load_image_classifier(adapter))
    trainer.train()
    trainer.save_model()
    trainer.create_model_card()
    names = {path.name for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert names == {
        *("adapter_config.json", "adapter_model.safetensors", "config.json", "preprocessor_config.json"),
        *("training_args.json", "unlearning.json", "README.md"),
    }
    assert len(load_file(tmp_path / "out" / "adapter_model.safetensors")) < len(trainer.model.state_dict())
    again = load_image_classifier(tmp_path / "out")
    assert torch.equal(weights(trainer), torch.cat([v.flatten().double() for v in again.state_dict().values()]))


def test_by_name(tmp_path, adapter):
    trainer = MUMisTrainer(str(adapter), make_args(tmp_path / "out", max_steps=1), make_dataset(8))
    trainer.train()
    assert trainer.state.global_step == 1


def test_what_is_not_verified_is_refused(tmp_path, adapter):
    model = load_image_classifier(adapter)
    assert find_problems(model, make_args(tmp_path), {}) == []
    model.merge_adapter()
    (problem,) = find_problems(model, make_args(tmp_path), {})
    assert "merged into its base" in problem.why
    model.unmerge_adapter()
    model.add_adapter("second", LoraConfig(r=2, target_modules=["q_proj"]))
    (problem,) = find_problems(model, make_args(tmp_path), {})
    assert "2 adapters at once (default, second)" in problem.why
    dora = get_peft_model(make_model("vit"), LoraConfig(r=2, target_modules=["q_proj"], use_dora=True))
    (problem,) = find_problems(dora, make_args(tmp_path), {})
    assert "DoRA" in problem.why


def test_an_adapter_forgets_a_class(tmp_path, base):
    model = make_adapter(base, tmp_path / "adapter", rank=8).train()
    data = PixelDataset(make_dataset(64), make_processor(), "image", "label", range(4))
    batch = collate(data.__getitems__(list(range(64))))
    optimizer = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=1e-2)
    for _ in range(80):
        loss = torch.nn.functional.cross_entropy(model(pixel_values=batch["pixel_values"]).logits, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unseen = PixelDataset(make_dataset(64, seed=1), make_processor(), "image", "label", range(4))
    test = collate(unseen.__getitems__(list(range(64))))

    def accuracies():
        with torch.no_grad():
            right = model.eval()(pixel_values=test["pixel_values"]).logits.argmax(1) == test["labels"]
        red = test["labels"] == 0
        return right[red].float().mean().item(), right[~red].float().mean().item()

    assert min(accuracies()) > 0.9
    splits = make_splits(DatasetDict({"train": make_dataset(64)}), ForgetRequest(classes=("red",)))
    settings = {"max_steps": 180, **request_settings(splits)}
    trainer = make_trainer(tmp_path / "out", model, splits.forget, **settings)
    trainer.train()
    forgotten, rest = accuracies()
    assert forgotten < 0.1 and rest > 0.8

"""A method of one's own, written with public names alone."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from hf_unlearn import UnlearningTrainer
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.method import UnlearningMethod
from hf_unlearn.trainers.base.settings import setting
from tests.tiny import make_model, make_processor
from tests.trainers.methods.test_mu_mis import weights
from tests.trainers.runs import NUM_FORGET, NUM_RETAIN, parts

ROOT = Path(__file__).parents[3]


@dataclass
class FlatConfig(PassesConfig):
    flatness: float = setting(1.0, "Weight of the answers' distance from a flat one.")


class FlatTrainer(UnlearningTrainer):
    """Flat answers on forget samples, the labels on retained ones."""

    method_name, title = "flat", "Flat answers"
    retain_free, trains_on, judged_by, least_agreement = False, "both", "retained", 0.0
    config_class = FlatConfig

    def before_first_step(self):
        self.seen = []

    def unlearning_loss(self, model, inputs):
        outputs = model(pixel_values=inputs["pixel_values"])
        self.seen += inputs["index"].tolist()
        shares = outputs["logits"].log_softmax(-1)
        own = -shares.gather(1, inputs["labels"].unsqueeze(1)).squeeze(1)
        flat = -self.args.flatness * shares.mean(1)
        return torch.where(self.is_retained(inputs), own, flat), outputs, {"flat": flat}


def make(tmp_path, trainer_class=FlatTrainer, **settings):
    forget, retain = parts()
    common = {"use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False, "num_train_epochs": 1}
    return trainer_class(
        make_model("vit"),
        trainer_class.config_class(output_dir=str(tmp_path), **common, **settings),
        train_dataset=forget,
        retain_dataset=retain,
        processing_class=make_processor(),
        forget_kind="class",
    )


def test_a_method_is_its_loss_and_what_it_says_of_itself(tmp_path):
    trainer = make(tmp_path)
    before = weights(trainer)
    trainer.train()
    assert sorted(trainer.seen) == list(range(NUM_FORGET + NUM_RETAIN))
    assert not torch.equal(weights(trainer), before)
    assert any("flat" in line and "forget_accuracy" in line for line in trainer.state.log_history)
    record = trainer.record()
    assert record["method"]["name"] == "flat" and record["method"]["title"] == "Flat answers"
    assert record["retain_free"] is False and record["settings"]["flatness"] == 1.0


def test_a_method_may_change_the_run_its_length_and_its_judgement(tmp_path):
    class OneStep(FlatTrainer):
        def num_steps(self):
            return 1

        def unlearning_run(self, resume_from_checkpoint=None, **kwargs):
            self.began = True
            return super().unlearning_run(resume_from_checkpoint, **kwargs)

        def find_damage(self):
            return None if self.began else "it did not begin"

    trainer = make(tmp_path, OneStep)
    trainer.train()
    assert trainer.state.global_step == 1


def test_everything_that_a_method_fills_in_is_documented():
    said = UnlearningMethod.__doc__
    for name, value in vars(UnlearningMethod).items():
        if name.startswith("__"):
            continue
        assert not name.startswith("_"), f"{name} is for the method's author"
        documented = (
            getattr(getattr(value, "func", value), "__doc__", None) if not isinstance(value, (str, dict)) else ""
        )
        assert re.search(rf"^        {name}: ", said, re.MULTILINE) or documented, name


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_no_script_puts_something_in_the_place_of_a_private_name(path):
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own = isinstance(node.value, ast.Name) and node.value.id == "self"
            found += [node.attr] if node.attr.startswith("_") and not own else []
        if isinstance(node, ast.FunctionDef) and node.name.startswith("_") and not node.name.endswith("__"):
            # Overriding what a class of the library has.
            found += [node.name] if hasattr(UnlearningTrainer, node.name) else []
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"_[a-z_]+[a-z]", node.value)
        ):
            found += [node.value] if hasattr(UnlearningTrainer, node.value) else []
    assert found == []

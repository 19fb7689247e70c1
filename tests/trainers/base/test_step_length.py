"""A relative step is shorter in wider models, unless its length was set."""

from __future__ import annotations

import pytest

from hf_unlearn import MUMisConfig, MUMisTrainer
from hf_unlearn.models.from_scratch import new_image_classifier
from hf_unlearn.trainers.base.step_length import STEP_LENGTH, step_length
from tests.tiny import make_dataset, make_processor


def make(width):
    sizes = {"embedding_size": 8, "hidden_sizes": [8, width], "depths": [1, 1], "layer_type": "basic"}
    return new_image_classifier("resnet", ["red", "green", "blue", "grey"], sizes, 0)


@pytest.mark.parametrize(("width", "share"), [(16, 1.0), (128, 1.0), (512, 0.5), (2048, 0.25)])
def test_it_falls_with_the_square_root_of_the_width(width, share):
    assert step_length(make(width)) == pytest.approx(share * STEP_LENGTH)


def test_a_model_without_a_linear_head_has_the_length_of_narrow_ones():
    model = make(512)
    model.classifier = model.classifier[0]
    assert step_length(model) == STEP_LENGTH


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, 1e-3), ({"learning_rate": 3e-3}, 3e-3), ({"step_rule": "optim"}, STEP_LENGTH)]
)
def test_the_trainer_settles_it_and_says_so(tmp_path, settings, expected):
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, max_steps=1, num_rounds=1, **settings)
    data = make_dataset(4)
    trainer = MUMisTrainer(make(512), args, train_dataset=data, processing_class=make_processor(), forget_kind="class")
    assert trainer.args.learning_rate == pytest.approx(expected)
    assert args.learning_rate == settings.get("learning_rate"), "the caller's own settings stay as they are"
    told = [line for line in trainer.settled if "learning_rate" in line]
    assert told == ([] if "learning_rate" in settings else [f"learning_rate {expected:g}: for a model of this width"])
    trainer.train()
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    assert rates == pytest.approx([expected])

"""Every architecture's line of the table is what a new run of its checks gives; its page shows that table."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path

import pytest
import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

ROOT = Path(__file__).parents[2]
# Others are in the slow tests. Of these ViT, BEiT, DINOv2, Swin and Segformer save their weights under other names than
# they hold them, PVT counts its labels apart, DeiT has two heads, and PP-LCNet has no logits.
QUICK = {"resnet", "vit", "beit", "dinov2", "swin", "segformer", "convnext", "pvt", "deit", "pp_lcnet"}

with (ROOT / "scripts" / "results" / "architectures.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("check_architectures")


def test_the_table_is_of_all_architectures():
    named = [row["architecture"] for row in ROWS]
    assert sorted(named) == named and set(named) >= set(MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)
    verified = [row for row in ROWS if row["verified"] == "yes"]
    assert len(verified) >= 25
    for row in ROWS:
        seen = all(row[name] == "yes" for name in ("gradient", "step", "saved", "restored"))
        assert seen == (row["verified"] == "yes") == (row["reason"] == "")


@pytest.mark.parametrize(
    "architecture",
    [
        row["architecture"]
        if row["architecture"] in QUICK
        else pytest.param(row["architecture"], marks=pytest.mark.slow)
        for row in ROWS
    ],
)
def test_a_line_is_what_its_checks_give(script, architecture):
    (committed,) = [row for row in ROWS if row["architecture"] == architecture]
    assert script.check(architecture) == committed


def test_the_page_shows_the_table(script):
    assert script.PART.holds(script.table(ROWS))


def test_a_wrong_gradient_is_seen(script, monkeypatch):
    sound = script.squared_input_sensitivities

    def cut(logits, pixels, *classes):
        target, irrelevant = sound(logits, pixels, *classes)
        # A part of the value that the gradient does not know of.
        return target + 0.01 * (target.detach() * irrelevant.detach()).sqrt(), irrelevant

    model = script.make_tiny("resnet")
    assert script.gradient_error(model, 32) < script.TOLERANCE
    monkeypatch.setattr(script, "squared_input_sensitivities", cut)
    assert script.gradient_error(script.make_tiny("resnet"), 32) > 10 * script.TOLERANCE


def test_a_weight_that_does_not_come_back_is_seen(script):
    model, other = script.make_tiny("resnet"), script.make_tiny("resnet")
    assert script.same_weights(model, other)
    with torch.no_grad():
        next(iter(other.parameters())).view(-1)[0] += 1e-6
    assert not script.same_weights(model, other)

"""A small classifier and an image processor whose code lies beside them, as that of many models on the Hub does."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.tiny import LABELS, make_processor

CONFIGURATION = """
from transformers import PretrainedConfig


class OwnConfig(PretrainedConfig):
    model_type = "own_net"

    def __init__(self, width=8, **kwargs):
        self.width = width
        super().__init__(**kwargs)
"""
MODELING = """
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput

from .configuration_own import OwnConfig


class OwnForImageClassification(PreTrainedModel):
    config_class = OwnConfig
    main_input_name = "pixel_values"

    def __init__(self, config):
        super().__init__(config)
        self.conv = nn.Conv2d(3, config.width, 3)
        self.classifier = nn.Linear(config.width, config.num_labels)
        self.post_init()

    def forward(self, pixel_values=None, labels=None, **kwargs):
        logits = self.classifier(self.conv(pixel_values).relu().mean((2, 3)))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)
"""
PROCESSING = """
from transformers import ViTImageProcessorPil


class OwnImageProcessor(ViTImageProcessorPil):
    model_input_names = ["pixel_values"]
"""
CODE = {"configuration_own.py": CONFIGURATION, "modeling_own.py": MODELING, "image_processing_own.py": PROCESSING}


def save_own_model(folder: Path) -> str:
    """The folder of such a model, untrained; nothing of its code is imported here."""
    folder.mkdir(parents=True)
    for name, text in CODE.items():
        (folder / name).write_text(text)
    config = {
        "architectures": ["OwnForImageClassification"],
        "auto_map": {
            "AutoConfig": "configuration_own.OwnConfig",
            "AutoModelForImageClassification": "modeling_own.OwnForImageClassification",
        },
        "model_type": "own_net",
        "id2label": dict(enumerate(LABELS)),
        "label2id": {name: number for number, name in enumerate(LABELS)},
    }
    (folder / "config.json").write_text(json.dumps(config))
    make_processor().save_pretrained(folder)
    processing = json.loads((folder / "preprocessor_config.json").read_text())
    processing.update(
        auto_map={"AutoImageProcessor": "image_processing_own.OwnImageProcessor"},
        image_processor_type="OwnImageProcessor",
    )
    (folder / "preprocessor_config.json").write_text(json.dumps(processing))
    generator = torch.Generator().manual_seed(0)
    shapes = {"conv.weight": (8, 3, 3, 3), "conv.bias": (8,), "classifier.weight": (4, 8), "classifier.bias": (4,)}
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)

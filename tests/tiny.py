"""Tiny models and data, made in a moment."""

from __future__ import annotations

import numpy as np

LABELS = ["red", "green", "blue", "grey"]


def make_dataset(num_samples: int = 24, seed: int = 0, label_names: list[str] | None = None, size: int = 16):
    """Noisy squares whose colour is their label, with a `person` column; labels go round."""
    from datasets import ClassLabel, Dataset, Features, Image, Value
    from PIL import Image as PILImage

    names = label_names or LABELS
    rng = np.random.default_rng(seed)
    colours = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200), "grey": (120, 120, 120)}
    rows = [names[index % len(names)] for index in range(num_samples)]
    pixels = [
        np.clip(np.array(colours[name]) + rng.normal(0, 25, (size, size, 3)), 0, 255).astype(np.uint8) for name in rows
    ]
    return Dataset.from_dict(
        {
            "image": [PILImage.fromarray(image) for image in pixels],
            "label": [names.index(name) for name in rows],
            "person": [f"p{index % 6}" for index in range(num_samples)],
        },
        features=Features({"image": Image(), "label": ClassLabel(names=names), "person": Value("string")}),
    )


def make_model(model_type: str = "resnet", seed: int = 0, label_names: list[str] | None = None):
    """An untrained classifier of a few thousand parameters for 16-pixel images."""
    from hf_unlearn.models.from_scratch import new_image_classifier

    vit = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    overrides = {
        "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
        "vit": {**vit, "image_size": 16, "patch_size": 8},
    }
    return new_image_classifier(model_type, label_names or LABELS, overrides[model_type], seed).eval()


def make_reference(seed: int = 2, without: int = 0, **made):
    """A model that never answers one of its labels, as one that was retrained without it."""
    import torch

    model = make_model(seed=seed, **made)
    head = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        head.bias[without] -= 30.0
    return model


def make_processor():
    from hf_unlearn.models.from_scratch import new_image_processor

    return new_image_processor(16)


def make_adapter(base=None, seed=0, **settings):
    """A LoRA on a ViT's queries and values, with a head of its own, as if it had been trained; all from `seed`."""
    import peft
    import torch

    base = make_model("vit") if base is None else base
    places = {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["classifier"]}
    given = {"r": 2, "lora_alpha": 4, "lora_dropout": 0.1, **places}
    model = peft.get_peft_model(base, peft.LoraConfig(**{**given, **settings}))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()

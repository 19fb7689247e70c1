"""What the pages name: ORG/MODEL and its like on a local Hub, and small folders beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

COLOURS = {"rocket": (200, 40, 40), "plane": (40, 200, 40), "boat": (40, 40, 200), "car": (120, 120, 120)}
CLASSES = list(COLOURS)
GERMAN = ["Rakete", "Flugzeug", "Boot", "Auto"]
# Finer labels, two a class.
FINE = [f"{size} {name}" for name in CLASSES for size in ("small", "large")]
SIZE = 16


def picture(name: str, large: bool, rng: np.random.Generator):
    """A noisy square of the class's colour, with a bright corner in the large ones."""
    from PIL import Image

    pixels = np.array(COLOURS[name]) + rng.normal(0, 25, (SIZE, SIZE, 3))
    if large:
        pixels[:6, :6] = 230
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def pictures(num_samples: int, seed: int, label_names: list[str] = CLASSES):
    """A dataset of them, with columns `image`, `label`, `fine_label` and `photographer_id`; labels go round."""
    from datasets import ClassLabel, Dataset, Features, Image, Value

    rng = np.random.default_rng(seed)
    fine = [index % len(FINE) for index in range(num_samples)]
    features = {"image": Image(), "label": ClassLabel(names=label_names), "fine_label": ClassLabel(names=FINE)}
    return Dataset.from_dict(
        {
            "image": [picture(CLASSES[label // 2], label % 2 == 1, rng) for label in fine],
            "label": [label // 2 for label in fine],
            "fine_label": fine,
            "photographer_id": [str(40 + index % 5) for index in range(num_samples)],
        },
        features=Features({**features, "photographer_id": Value("string")}),
    )


def trained(model_type: str, dataset: Any, seed: int = 0, classes: list[str] = CLASSES) -> Any:
    """A small classifier that knows the dataset's images."""
    from hf_unlearn.models.from_scratch import new_image_classifier

    overrides = {
        "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
        "vit": {
            **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
            **{"image_size": SIZE, "patch_size": 8},
        },
    }
    return taught(new_image_classifier(model_type, classes, overrides[model_type], seed), dataset)


def taught(model: Any, dataset: Any) -> Any:
    """The same model, after it has seen the dataset's images."""
    import torch

    from hf_unlearn.models.from_scratch import new_image_processor

    pixels = new_image_processor(SIZE)([image.convert("RGB") for image in dataset["image"]], return_tensors="pt")[
        "pixel_values"
    ]
    labels = torch.tensor(list(dataset["label"]))
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    model.train()
    for _ in range(40):
        optimizer.zero_grad()
        model(pixel_values=pixels, labels=labels).loss.backward()
        optimizer.step()
    return model.eval()


def adapter(base: Any, name: str, dataset: Any) -> Any:
    """A LoRA on the base that is on the Hub as `name`."""
    import copy

    import peft

    places = {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["classifier"]}
    model = peft.get_peft_model(copy.deepcopy(base), peft.LoraConfig(r=2, lora_alpha=4, **places))
    model.peft_config["default"].base_model_name_or_path = name
    return taught(model, dataset)


def save(model: Any, folder: Path) -> None:
    """The model with its image processor."""
    from hf_unlearn.models.from_scratch import new_image_processor

    model.save_pretrained(folder)
    new_image_processor(SIZE).save_pretrained(folder)


def lay_out_demo(folder: Path) -> None:
    """What `hf-unlearn demo` leaves, with smaller models of fewer digits."""
    from hf_unlearn.commands.demo import NAMES, digits_dataset

    data = digits_dataset()
    data["train"] = data["train"].select(range(600))
    data.save_to_disk(str(folder / "dataset"))
    without = data["train"].filter(lambda label: label != NAMES.index("eight"), input_columns="label")
    for name, seen in (("original", data["train"]), ("retrained", without)):
        save(trained("resnet", seen, classes=NAMES), folder / name)


def lay_out(folder: Path) -> None:
    """What the pages find in their folder: models retrained without the rockets, and photographs to forget."""
    train = pictures(96, 0)
    without = train.filter(lambda label: label != CLASSES.index("rocket"), input_columns="label")
    for number in (1, 2):
        save(trained("resnet", without, seed=number), folder / f"retrained-{number}")
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(5)
    for number in range(20):
        picture("rocket", number % 2 == 1, rng).save(photos / f"{number:02}.jpg", quality=95)

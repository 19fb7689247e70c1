"""What training starts from: a trained model with a head for the labels at hand, or random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import BaseImageProcessor, PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.adapters import find_adapter
from hf_unlearn.models.from_scratch import image_size_of, new_image_classifier, new_image_processor
from hf_unlearn.models.labels import has_labels, labels_of_new_head
from hf_unlearn.models.pretrained import load_config, load_image_classifier, load_image_processor

# Of images for random weights, in pixels.
IMAGE_SIZE = 224


@dataclass(frozen=True)
class Start:
    """Where training starts: a model by name, or an architecture of random weights; one of the two.

    Args:
        model_name_or_path: a name on the Hub, or a folder.
        model_revision: its branch, tag or commit.
        trust_remote_code: run code that comes with it.
        model_type: transformers' name of an architecture: `"resnet"`, `"vit"` ...
        config_overrides: fields of the architecture's configuration.
        image_size: height and width of images for random weights, in pixels.

    Raises:
        UnlearningError: neither or both were named, or what is for the other one.
    """

    model_name_or_path: str | None = None
    model_revision: str | None = None
    trust_remote_code: bool = False
    model_type: str | None = None
    config_overrides: Mapping[str, Any] | None = None
    image_size: int | None = None

    def __post_init__(self) -> None:
        if (self.model_name_or_path is None) == (self.model_type is None):
            raise UnlearningError(
                "expected either --model_name_or_path (to fine-tune) or --model_type (random weights)"
            )
        if self.model_type is None:
            for name in ("config_overrides", "image_size"):
                if getattr(self, name) is not None:
                    raise UnlearningError(f"{name} is for random weights (--model_type); a trained model has its own")
            return
        if self.model_revision is not None:
            raise UnlearningError(
                "model_revision is for a trained model (--model_name_or_path), not for random weights"
            )
        if self.image_size is not None and self.image_size < 1:
            raise UnlearningError(f"image_size is {self.image_size}; expected at least 1 pixel")
        said = image_size_of(dict(self.config_overrides or {}))
        if self.image_size is not None and said not in (None, self.image_size):
            raise UnlearningError(f"image_size is {self.image_size}, and {said} in config_overrides; expected one")

    def classifier(self, labels: tuple[Any, ...], seed: int) -> tuple[PreTrainedModel, BaseImageProcessor]:
        """The model to train, with a head for the dataset's labels, and its image processor.

        Args:
            labels: the names of the dataset's labels, the label mapping, and the integers that they stand for, if any.
            seed: of random weights; those of a new head on a trained model are from the global random state.

        Raises:
            UnlearningError: there is no such model or architecture, or it is an adapter.
        """
        if self.model_type is not None:
            overrides = dict(self.config_overrides or {})
            size, names = self.image_size or image_size_of(overrides) or IMAGE_SIZE, labels_of_new_head(*labels)
            return new_image_classifier(self.model_type, names, overrides, seed, size), new_image_processor(size)
        assert self.model_name_or_path is not None
        if find_adapter(self.model_name_or_path, revision=self.model_revision):
            raise UnlearningError(
                f"model {self.model_name_or_path!r} is an adapter, and train makes whole models; expected one of these"
            )
        trusted: Any = {"trust_remote_code": self.trust_remote_code}
        config = load_config(self.model_name_or_path, revision=self.model_revision or "main", **trusted)
        # A head of these labels is trained on, whatever their order.
        if not has_labels(config, *labels):
            names = labels_of_new_head(*labels)
            config.id2label = dict(enumerate(names))
            config.label2id = {name: index for index, name in enumerate(names)}
        # What is trained gives an image one label, whatever the model was trained for before.
        config.problem_type = None
        place: Any = {"revision": self.model_revision, **trusted}
        model = load_image_classifier(self.model_name_or_path, config=config, ignore_mismatched_sizes=True, **place)
        return model, load_image_processor(self.model_name_or_path, **place)

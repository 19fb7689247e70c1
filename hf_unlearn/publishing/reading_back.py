"""Whether the Hub serves what was sent: every file of a commit, fetched anew, and the model that they make."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from huggingface_hub.utils.sha import sha_fileobj
from PIL import Image
from transformers import BaseImageProcessor, PreTrainedModel

from hf_unlearn.data.processing import to_pixels
from hf_unlearn.errors import PublishingError, UnlearningError, one_line
from hf_unlearn.models.adapters import ADAPTER_NAME, is_adapter
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.publishing.commits import Files
from hf_unlearn.publishing.destination import Destination
from hf_unlearn.publishing.record import read_record
from hf_unlearn.publishing.secrecy import published

SAMPLES = 4
# What a model may want where neither it nor its image processor says a size.
_SIZES = (224, 64, 384, 32, 28)


class ReadingBack:
    """A model as it is here, to be held against what the Hub serves.

    Args:
        folder: the model's.
        local: the model, loaded from there.
        trust_remote_code: run code that lies beside it.

    Raises:
        UnlearningError: the model takes no image from its image processor, or that cannot be loaded.
    """

    def __init__(self, folder: str, local: PreTrainedModel, trust_remote_code: bool = False):
        self.folder = folder
        self.local = local.eval()
        self.trust_remote_code = trust_remote_code
        self.processor = load_image_processor(folder, trust_remote_code=trust_remote_code)
        self.pixels, self.logits = tried_pixels(self.local, self.processor)

    def check(self, files: Files, destination: Destination, commit: str) -> None:
        """Fetch a commit of the Hub and compare: every file's digest, then weights, labels, image processor and record,
        then answers.

        An adapter is put onto the base that it has here: the base is not what was pushed.

        Raises:
            PublishingError: something is not there, cannot be loaded, or is another.
        """
        name = f"{destination.repo_id!r} at {commit[:12]}"
        # Not loaded by name: a folder here may have it.
        with tempfile.TemporaryDirectory() as fetched:
            for file in files.names:
                try:
                    destination.fetch(file, commit, fetched)
                except Exception as error:
                    raise PublishingError(f"sent to {name}, but {file!r} cannot be read back: {one_line(error)}") from (
                        error
                    )
                with Path(fetched, file).open("rb") as opened:
                    if sha_fileobj(opened).hex() != files.sha256[file]:
                        raise PublishingError(f"sent to {name}, but {file!r} there is another than in {self.folder!r}")
            if fault := self._fault(fetched):
                raise PublishingError(f"sent to {name}, but {fault}")

    def _fault(self, fetched: str) -> str | None:
        """In what the model in a folder is not the local one."""
        base = (
            cast(Any, self.local).peft_config[ADAPTER_NAME].base_model_name_or_path if is_adapter(self.local) else None
        )
        trust = self.trust_remote_code
        try:
            remote = load_image_classifier(fetched, dtype="auto", base_model=base, trust_remote_code=trust)
            processor = load_image_processor(fetched, trust_remote_code=trust)
            record = read_record(fetched)
            with torch.no_grad():
                logits = remote.eval()(pixel_values=self.pixels)["logits"]
        except Exception as error:
            return f"it cannot be loaded back: {one_line(error)}"
        if weights_digest(remote) != weights_digest(self.local):
            return f"its weights are others than in {self.folder!r}"
        if remote.config.id2label != self.local.config.id2label:
            return f"its labels are others than in {self.folder!r}"
        if processor.to_dict() != self.processor.to_dict():
            return f"its image processor is another than in {self.folder!r}"
        if record != published(read_record(self.folder)):
            return f"its record is another than in {self.folder!r}"
        if not torch.allclose(logits, self.logits, rtol=1e-4, atol=1e-5):
            return (
                f"the model there answers differently from the one in {self.folder!r} (by up to "
                f"{float((logits - self.logits).abs().max()):.3g})"
            )
        return None


@torch.no_grad()
def tried_pixels(model: PreTrainedModel, processor: BaseImageProcessor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of noise as the model takes them, and what it says of them. Of the forget set nothing is needed here.

    An image processor that does not resize leaves it to the images to have a size that the model takes; several are
    tried.

    Returns:
        Pixel values, and logits `(samples, num_labels)`.

    Raises:
        UnlearningError: the model takes none.
    """
    problem: Exception | None = None
    num_channels = getattr(model.config, "num_channels", 3)
    for height, width in _sizes(model, processor):
        try:
            pixels = to_pixels(processor, _noise(height, width, num_channels), num_channels).to(model.dtype)
            return pixels, model(pixel_values=pixels)["logits"]
        except Exception as error:
            problem = problem or error
    assert problem is not None
    raise UnlearningError(
        f"the model takes no image from its image processor, so nobody could use it: {one_line(problem)}"
    ) from problem


def _noise(height: int, width: int, num_channels: int) -> list[Image.Image]:
    noise = np.random.default_rng(0).integers(0, 256, (SAMPLES, height, width, 3), dtype=np.uint8)
    return [Image.fromarray(each).convert("L" if num_channels == 1 else "RGB") for each in noise]


def _sizes(model: PreTrainedModel, processor: BaseImageProcessor) -> list[tuple[int, int]]:
    """Heights and widths to try, likeliest first."""
    found: list[tuple[int, int]] = []
    for size in (getattr(model.config, "image_size", None), getattr(processor, "size", None), *_SIZES):
        if isinstance(size, int):
            found.append((size, size))
        elif isinstance(size, (list, tuple)) and len(size) == 2:
            found.append((int(size[0]), int(size[1])))
        # Of a dictionary or an object of the image processor's.
        elif size is not None and (height := _number(size, "height")) and (width := _number(size, "width")):
            found.append((height, width))
        elif size is not None and (edge := _number(size, "shortest_edge")):
            found.append((edge, edge))
    return list(dict.fromkeys(found))


def _number(size: Any, name: str) -> int | None:
    value = size.get(name) if isinstance(size, dict) else getattr(size, name, None)
    return value if isinstance(value, int) else None

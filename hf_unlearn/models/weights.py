"""A model's weights by digest."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from hf_unlearn.models.adapters import is_adapter


def weights_digest(model: nn.Module) -> str:
    """sha256, in hexadecimal, of the model's weights and buffers with their names, shapes and types.

    With an adapter those of its base are among them, but for the modules that the adapter brings in their place.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if is_adapter(model) and ".original_module." in name:
            continue
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(array.shape)} {array.dtype}".encode())
        # bfloat16 has no numpy type; its bytes do.
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

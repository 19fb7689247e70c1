"""The smallest sensible model of each of transformers' image-classification architectures."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from hf_unlearn.models.from_scratch import new_image_classifier

LABELS = ["red", "green", "blue", "grey"]

# Side of the images, where it is not 32.
IMAGE_SIZES = {"hiera": 64, "levit": 64, "efficientnet": 64, "mobilevitv2": 64}

_TRANSFORMER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}
_DINO = {**{name: value for name, value in _TRANSFORMER.items() if name != "intermediate_size"}, "mlp_ratio": 2}
_VISION = {"vision_config": dict(_TRANSFORMER)}
_CLIP_TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
_STAGES: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
_WINDOWS = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}

# What is not built, and why.
NOT_BUILT = {
    "dinat": "needs the package natten, which has to be compiled",
    "shieldgemma2": "a language model of billions of weights that answers yes or no",
    "timm_wrapper": "needs the packages timm and torchvision",
}

# Fields of the configuration, by transformers' name of the architecture.
OVERRIDES: dict[str, dict[str, Any]] = {
    "beit": _TRANSFORMER,
    "bit": {**_STAGES, "layer_type": "preactivation", "num_groups": 2},
    "clip": {"text_config": _CLIP_TEXT, **_VISION},
    "convnext": {"image_size": 32, "patch_size": 2, "num_stages": 2, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "convnextv2": {"image_size": 32, "patch_size": 2, "num_stages": 2, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "cvt": {"embed_dim": [8, 16, 24], "num_heads": [1, 2, 3], "depth": [1, 2, 3]},
    "data2vec-vision": _TRANSFORMER,
    "deit": _TRANSFORMER,
    "dinov2": _DINO,
    "dinov2_with_registers": _DINO,
    "donut-swin": _WINDOWS,
    "efficientnet": {
        "image_size": 64,
        "width_coefficient": 0.25,
        "depth_coefficient": 0.5,
        "hidden_dim": 320,
        "kernel_sizes": [3, 3],
        "in_channels": [16, 16],
        "out_channels": [16, 24],
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
        "expand_ratios": [1, 4],
        "depthwise_padding": [],
    },
    "focalnet": {
        "image_size": 32,
        "patch_size": 4,
        "embed_dim": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "focal_levels": [2, 2],
        "focal_windows": [3, 3],
    },
    "hgnet_v2": {
        "embedding_size": 8,
        "depths": [1, 1],
        "hidden_sizes": [16, 16],
        "stem_channels": [3, 8, 8],
        "stage_in_channels": [8, 16],
        "stage_mid_channels": [8, 8],
        "stage_out_channels": [16, 16],
        "stage_num_blocks": [1, 1],
        "stage_downsample": [False, True],
        "stage_light_block": [False, True],
        "stage_kernel_size": [3, 5],
        "stage_numb_of_layers": [2, 2],
    },
    "hiera": {
        "image_size": [64, 64],
        "embed_dim": 8,
        "depths": [1, 1, 1],
        "num_heads": [1, 2, 2],
        "num_query_pool": 1,
        "patch_size": [7, 7],
        "patch_stride": [4, 4],
        "patch_padding": [3, 3],
        "masked_unit_size": [8, 8],
    },
    "ijepa": _TRANSFORMER,
    "imagegpt": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "vocab_size": 17},
    "levit": {
        "image_size": 64,
        "hidden_sizes": [16, 24, 32],
        "num_attention_heads": [2, 2, 2],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
    "metaclip_2": {"text_config": _CLIP_TEXT, **_VISION},
    "mobilenet_v1": {"image_size": 32, "depth_multiplier": 0.25},
    "mobilenet_v2": {"image_size": 32, "depth_multiplier": 0.25},
    "mobilevit": {
        "image_size": 32,
        "patch_size": 2,
        "hidden_sizes": [12, 16, 20],
        "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 32],
        "num_attention_heads": 2,
    },
    "mobilevitv2": {"image_size": 64, "patch_size": 2, "width_multiplier": 0.125, "base_attn_unit_dims": [64, 96, 128]},
    "perceiver": {
        "num_latents": 4,
        "d_latents": 16,
        "num_blocks": 1,
        "num_self_attends_per_block": 1,
        "num_self_attention_heads": 2,
        "num_cross_attention_heads": 1,
        "image_size": 32,
    },
    "poolformer": {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1], "num_encoder_blocks": 4},
    "pp_lcnet": {"scale": 0.25, "class_expand": 32},
    "pvt": {
        "image_size": 32,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
        "patch_sizes": [4, 2, 2, 2],
        "sequence_reduction_ratios": [4, 2, 1, 1],
    },
    "pvt_v2": {
        "image_size": 32,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
        "sr_ratios": [4, 2, 1, 1],
    },
    "regnet": {**_STAGES, "groups_width": 4},
    "resnet": {**_STAGES, "layer_type": "basic"},
    "segformer": {
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
        "decoder_hidden_size": 16,
    },
    "siglip": {"text_config": {**_CLIP_TEXT, "vocab_size": 100}, **_VISION},
    "siglip2": {"text_config": {**_CLIP_TEXT, "vocab_size": 100}, **_VISION},
    "swiftformer": {"image_size": 32, "embed_dims": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
    "swin": _WINDOWS,
    "swinv2": _WINDOWS,
    "textnet": {
        "stem_out_channels": 8,
        "hidden_sizes": [8, 8, 8, 8, 8],
        "conv_layer_kernel_sizes": [[[3, 3]], [[3, 3]], [[3, 3]], [[3, 3]]],
        "conv_layer_strides": [[2], [2], [2], [2]],
    },
    "vit": _TRANSFORMER,
    "vit_msn": _TRANSFORMER,
}


def image_size(architecture: str) -> int:
    """Side of the images that the tiny model takes, in pixels."""
    return IMAGE_SIZES.get(architecture, 32)


def make_tiny(architecture: str, seed: int = 0) -> PreTrainedModel:
    """The untrained classifier, in eval mode.

    BatchNorm gets the statistics of a batch of noise: with those of a new model (mean 0, variance 1) the signal of a
    deep network without training falls below what float32 can hold.

    Raises:
        UnlearningError: it cannot be built here; the message says why.
    """
    model = new_image_classifier(architecture, LABELS, OVERRIDES[architecture], seed)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if norms:
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        side = image_size(architecture)
        noise = torch.randn(16, 3, side, side, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            model.train()(pixel_values=noise)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return model.eval()

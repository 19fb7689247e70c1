"""Images moved by affine maps."""

from __future__ import annotations

import pytest
import torch

from hf_unlearn.objectives.affine import moved


@pytest.mark.parametrize("side", [28, 160, 224])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_map_that_moves_nothing_leaves_images_of_any_size_and_precision(side, dtype):
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0)).to(dtype)
    seen = moved(images, torch.eye(2, 3).expand(2, -1, -1), "border")
    assert seen.dtype == dtype
    torch.testing.assert_close(seen, images, atol=2e-2, rtol=0)

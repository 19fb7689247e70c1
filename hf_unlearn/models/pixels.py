"""The name under which `hf_unlearn.data.pixels` was imported before; scripts that use it go on working."""

from hf_unlearn.data.pixels import PixelDataset, collate, try_forward
from hf_unlearn.data.reading import as_pixels

__all__ = ["PixelDataset", "as_pixels", "collate", "try_forward"]

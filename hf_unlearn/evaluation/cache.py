"""Kept logits: files named by all that they depend on, recognised when they are damaged, shared by all processes."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import inspect
import json
import os
import secrets
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow.compute
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset

import hf_unlearn
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.metrics.pieces import pieces
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.models.weights import weights_digest

# Changes with what is in a file, or with how logits are computed.
FORMAT = 2
_CHECKSUM_BYTES = 4
_LIBRARIES = ("torch", "transformers", "numpy", "pillow", "datasets", "torchvision", "timm", "peft")
# Of a configuration, what says where it came from rather than what the model computes.
_ORIGIN = ("_name_or_path", "_commit_hash", "transformers_version", "name_or_path")
Answer = TypeVar("Answer")


def from_first(ask: Callable[[], Answer]) -> Answer:
    """What the first process finds, in every process: all of them must call this."""
    state = PartialState()
    answer: list[Any] = [ask() if state.is_main_process else None]
    return broadcast_object_list(answer)[0] if state.num_processes > 1 else answer[0]


@contextlib.contextmanager
def shared_folder(named: str | os.PathLike | None) -> Iterator[Path]:
    """The folder that was named, or one of the first process's that is gone afterwards; the same in every process.

    A process may leave while others are still in it, but must have opened all the files that it reads.
    """
    if named is not None:
        yield Path(named)
        return
    folder = Path(from_first(lambda: tempfile.mkdtemp(prefix="hf-unlearn-")))
    try:
        yield folder
    finally:
        if PartialState().is_main_process:
            shutil.rmtree(folder, ignore_errors=True)


class LogitFile:
    """The logits of one model on one split: `(samples, num_labels)` float32, as `numpy` writes them, and a checksum.

    It is filled under another name, by all processes, and gets its own once it is whole.

    Args:
        path: of the file.
        shape: of the logits.
    """

    def __init__(self, path: Path, shape: tuple[int, int]):
        self.path = path
        self.shape = shape
        self._part: Path | None = None
        self._first_byte = 0

    def is_whole(self) -> bool:
        """Whether the file is there, and not damaged."""
        try:
            found = np.load(self.path, mmap_mode="r")
            with open(self.path, "rb") as file:
                file.seek(-_CHECKSUM_BYTES, os.SEEK_END)
                checksum = file.read()
            return (found.shape, found.dtype) == (self.shape, np.float32) and _checksum(found) == checksum
        # Whatever a damaged header makes numpy raise.
        except Exception:
            return False

    def read(self) -> np.ndarray:
        """The logits, as a memory map."""
        return np.load(self.path, mmap_mode="r")

    def begin(self) -> None:
        """Make the file that is to be filled; in every process.

        Raises:
            UnlearningError: it cannot be written, or not every process sees it.
        """

        def make() -> tuple[str, int, str | None]:
            part = self.path.with_suffix(f".{secrets.token_hex(4)}.part")
            try:
                part.parent.mkdir(parents=True, exist_ok=True)
                empty = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=self.shape)
                return str(part), empty.offset, None  # type: ignore[attr-defined]
            except OSError as error:
                return "", 0, str(error.strerror)

        part, self._first_byte, fault = from_first(make)
        if fault is not None:
            raise UnlearningError(f"cache_dir {str(self.path.parent)!r} cannot be written: {fault}")
        self._part = Path(part)
        if not self._part.is_file():
            raise UnlearningError(
                f"cache_dir {str(self.path.parent)!r} is not the same folder for all processes; expected one on a file "
                "system that they share"
            )

    def write(self, start: int, logits: np.ndarray) -> None:
        """Put the rows from `start` on in their place; each process has rows of its own.

        Raises:
            UnlearningError: there is no room for them.
        """
        assert self._part is not None
        try:
            # Not through a map: where the disk is full, that ends the process instead of raising.
            with open(self._part, "r+b") as file:
                file.seek(self._first_byte + start * self.shape[1] * np.dtype(np.float32).itemsize)
                file.write(np.ascontiguousarray(logits, dtype=np.float32).tobytes())
        except OSError as error:
            raise UnlearningError(f"cache_dir {str(self.path.parent)!r} cannot be written: {error.strerror}") from error

    def finish(self) -> str | None:
        """Give the file its name, once all processes have filled it; in the first process alone.

        Returns:
            Why it could not be done, as the end of a sentence.
        """
        assert self._part is not None
        filled = np.load(self._part, mmap_mode="r")
        if not all(np.isfinite(filled[rows]).all() for rows in pieces(len(filled))):
            return "are not finite"
        try:
            with open(self._part, "ab") as file:
                file.write(_checksum(filled))
            os.replace(self._part, self.path)
        except OSError as error:
            return f"cannot be written to cache_dir {str(self.path.parent)!r}: {error.strerror}"
        return None

    def discard(self) -> None:
        """Remove what was begun and not finished."""
        if self._part is not None:
            self._part.unlink(missing_ok=True)


def _checksum(logits: np.ndarray) -> bytes:
    value = 0
    for rows in pieces(len(logits)):
        value = zlib.crc32(np.ascontiguousarray(logits[rows]).data.cast("B") if logits[rows].size else b"", value)
    return value.to_bytes(_CHECKSUM_BYTES, "little")


def model_key(contestant: Contestant) -> list[Any]:
    """All that a model's logits depend on but for the images: weights and their types, configuration, image processing,
    code, versions of libraries. What JSON can hold."""
    model, processor = contestant.model, contestant.image_processor
    config = {name: value for name, value in model.config.to_dict().items() if name not in _ORIGIN}
    return [
        weights_digest(model),
        config,
        str(getattr(model.config, "_attn_implementation", None)),
        _code(type(model)),
        processor.to_dict(),
        _code(type(processor)),
        {name: _version(name) for name in _LIBRARIES},
        hf_unlearn.__version__,
        FORMAT,
    ]


def images_key(dataset: Dataset, image_column: str) -> list[Any]:
    """What changes with the images of a split: its rows, and the files in which they lie outside of it."""
    column = dataset.data.column(image_column)
    outside = hashlib.sha256()
    if pyarrow.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        inside = pyarrow.compute.struct_field(column, "bytes")
        if inside.null_count:
            paths = pyarrow.compute.struct_field(column, "path").filter(pyarrow.compute.is_null(inside))
            for path in paths.to_pylist():
                with contextlib.suppress(OSError, TypeError):
                    found = os.stat(path)
                    outside.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return [dataset._fingerprint, image_column, outside.hexdigest()]


def file_name(*keys: Any, device: str | torch.device, batch_size: int) -> str:
    """The name of a file of logits, without its ending."""
    kind = torch.device(device).type
    named = [*keys, kind, batch_size, _precision() if kind == "cuda" else None]
    return hashlib.sha256(json.dumps(named, sort_keys=True, default=str).encode()).hexdigest()


def _precision() -> list[str]:
    """How exactly a GPU multiplies float32 (TF32 or not), in what torch's newer releases call it, or older ones."""
    with contextlib.suppress(AttributeError, RuntimeError):
        return [torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision]  # type: ignore
    return [torch.get_float32_matmul_precision(), str(torch.backends.cudnn.allow_tf32)]


def _code(kind: type) -> list[str]:
    """A class by name, and if it is nobody's library's by the text of its file."""
    named = [kind.__module__, kind.__qualname__]
    if kind.__module__.split(".")[0] == "transformers":
        return named
    with contextlib.suppress(OSError, TypeError):
        return [*named, hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()]
    return named


def _version(library: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(library)
    return None

"""Trained models, kept by recipe: a folder that can be copied to another machine.

A folder holds the model (safetensors), its image processor and `manifest.json`: the recipe, and the SHA-256 digest of
every file. A folder that is there is whole, since it gets its name once all is written; one whose recipe or digests
are not those expected is refused, not used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from transformers import BaseImageProcessor, PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.pretrained import load_image_classifier

MANIFEST = "manifest.json"


class ModelCache:
    """Models by name and recipe.

    Args:
        folder: made when the first model is kept.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    def model(
        self,
        name: str,
        recipe: Mapping[str, Any],
        train: Callable[[], tuple[PreTrainedModel, BaseImageProcessor, float]],
    ) -> PreTrainedModel:
        """The model of that name; made by `train` and kept if it is not there yet.

        Args:
            name: a path below the cache's folder.
            recipe: all that the weights depend on, as JSON can hold it.
            train: gives the model, its image processor and the seconds that training took.

        Raises:
            UnlearningError: the model that is there was made by another recipe, is not whole, or there is no room for a
                new one; nothing half-written is left.
        """
        folder = self.folder / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Of several processes that want the same one, one trains it.
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                self._keep(folder, recipe, *train())
        self.check(name, recipe)
        return load_image_classifier(folder)

    def seconds(self, name: str) -> float:
        """How long the model of that name was trained."""
        return float(self._manifest(name)["seconds"])

    def check(self, name: str, recipe: Mapping[str, Any]) -> None:
        """Hold the model of that name against a recipe and its digests.

        Raises:
            UnlearningError: see [`model`].
        """
        folder, manifest = self.folder / name, self._manifest(name)
        ours, theirs = _plain(recipe), manifest["recipe"]
        different = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
        if different:
            key = different[0]
            raise UnlearningError(
                f"{str(folder)!r} was made by another recipe: {key} is {theirs.get(key)!r}, expected "
                f"{ours.get(key)!r}; remove the folder, or name another cache"
            )
        for file, digest in manifest["files"].items():
            if not (folder / file).is_file() or _digest(folder / file) != digest:
                raise UnlearningError(
                    f"{str(folder / file)!r} is not the file that was written; remove {str(folder)!r}"
                )

    def _manifest(self, name: str) -> dict[str, Any]:
        path = self.folder / name / MANIFEST
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {"recipe": dict(found["recipe"]), "files": dict(found["files"]), "seconds": found["seconds"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnlearningError(
                f"{str(path)!r} is no manifest of a trained model; remove {str(path.parent)!r}"
            ) from error

    def _keep(
        self,
        folder: Path,
        recipe: Mapping[str, Any],
        model: PreTrainedModel,
        image_processor: BaseImageProcessor,
        seconds: float,
    ) -> None:
        part = folder.with_name(f"{folder.name}.part-{uuid.uuid4().hex}")
        try:
            model.save_pretrained(part)
            image_processor.save_pretrained(part)
            files = {path.name: _digest(path) for path in sorted(part.iterdir())}
            manifest = {"recipe": _plain(recipe), "files": files, "seconds": round(seconds, 1)}
            (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
            part.rename(folder)
        # A full disk comes as an error of the writer of weights, too.
        except Exception as error:
            raise UnlearningError(f"cannot keep a trained model in {str(folder)!r}: {error}") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)


def recipe_in(folder: str | os.PathLike) -> dict[str, Any] | None:
    """The recipe of a model that a cache made, by its folder; None for any other."""
    try:
        found = json.loads((Path(folder) / MANIFEST).read_text(encoding="utf-8"))
        return dict(found["recipe"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plain(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back from JSON."""
    return json.loads(json.dumps(recipe))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _old_digest(file)


def _old_digest(file: Any) -> str:
    """For Python 3.10."""
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()

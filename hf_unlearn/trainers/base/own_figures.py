"""A run's own figures: on what is at hand of its request, and on the requests that the model met before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from transformers import PreTrainedModel, Trainer

from hf_unlearn.data.pixels import PixelDataset, pixels_of
from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.publishing.quick_checks import QUICK_SAMPLES, quick_checks
from hf_unlearn.publishing.secrecy import Disclosure
from hf_unlearn.request.public_form import is_open
from hf_unlearn.trainers.safety.samples import chunk_size

if TYPE_CHECKING:
    from hf_unlearn.request import UnlearningSplits

    _Base = Trainer
else:
    _Base = object


class OwnFigures(_Base):
    """Mixed into a `Trainer`: what the record's checks look at."""

    # What the mixing class has.
    original_model: PreTrainedModel
    splits: UnlearningSplits | None
    forget_kind: str
    earlier: list[dict[str, Any]]

    _images_verified = False

    def disclosure(self) -> Disclosure:
        """What is to be published, by the arguments."""
        args: Any = self.args
        return Disclosure(args.publish_request, not args.private_names, args.publish_private_sources)

    def classes_of_request(self) -> list[int]:
        """The ids of the classes that go with the request."""
        return cast(Any, self).forgotten_labels.tolist() if self.forget_kind == "class" else []

    def earlier_checked(self) -> list[dict[str, Any]]:
        """The requests that the model met before, with what it answers now on the classes that went with each.

        It is looked at on the rest of this request's training set, where that is the same.
        """
        checked = [dict(each) for each in self.earlier]
        parts = self._earlier_parts()
        found = self._checked(parts) if parts else {}
        for place in parts:
            checked[int(place)]["checks"] = {"samples": found["samples"], "forget_accuracy": found[place]}
        return checked

    def _earlier_parts(self) -> dict[str, PixelDataset]:
        """Samples of the classes that went with earlier requests, by the place of the request."""
        splits = self.splits
        if splits is None or splits.retain is None or not self.earlier:
            return {}
        class_ids = np.array(splits.class_ids(id2label_of(self.original_model.config)))
        labels = class_ids[splits.retain_labels()]
        parts = {}
        for place, each in enumerate(self.earlier):
            same = (each.get("dataset") or {}).get("dataset_fingerprint") == splits.fingerprint.dataset_fingerprint
            rows = np.isin(labels, each.get("forgotten_class_ids") or []).nonzero()[0].tolist() if same else []
            if rows:
                processor = cast("Callable[..., Any]", self.processing_class)
                parts[str(place)] = pixels_of(splits, "retain", self.original_model, processor, rows)
        return parts

    def verify_images(self) -> None:
        """Read what the run looks at only on its way or after it, so that a broken image is found before.

        Raises:
            UnlearningError: an image cannot be read; the message names its split and index.
        """
        if self._images_verified:
            return
        for part in (*self._checked_parts().values(), *self._earlier_parts().values()):
            part.verify(evenly_spaced(len(part), QUICK_SAMPLES).tolist(), "Checking test images")
        if self.args.eval_strategy != "no":
            evaluated: Any = self.eval_dataset
            for part in evaluated.values() if isinstance(evaluated, dict) else [evaluated]:
                if isinstance(part, PixelDataset):
                    part.verify(description="Checking evaluation images")
        self._images_verified = True

    def _checked_parts(self) -> dict[str, PixelDataset]:
        """What the record's checks look at, by what they are called there."""
        parts: dict[str, PixelDataset] = {}
        if isinstance(self.train_dataset, PixelDataset):
            parts["forget_accuracy"] = self.train_dataset
        splits = self.splits
        if splits is not None and splits.test is not None and not splits.test_forgotten.all():
            # Where nobody may know what was forgotten, the whole test set is all that may be told of.
            if not is_open(splits.request.summary(), **self.disclosure().of_request()):
                parts["test_accuracy"] = pixels_of(
                    splits, "test", self.original_model, cast(Any, self.processing_class)
                )
                if not splits.test_forgotten.any():
                    return parts
            remaining = (~splits.test_forgotten).nonzero()[0].tolist()
            processor = cast("Callable[..., Any]", self.processing_class)
            parts["test_accuracy_remaining"] = pixels_of(splits, "test", self.original_model, processor, remaining)
        return parts

    def checks(self) -> dict[str, Any]:
        """Accuracies before and after, percent."""
        return self._checked(self._checked_parts())

    def _checked(self, parts: dict[str, PixelDataset]) -> dict[str, Any]:
        batch_size = self.args.per_device_eval_batch_size
        for part in parts.values():
            # Accuracies do not depend on it, and small images go faster in larger batches than the evaluation's.
            batch_size = max(batch_size, chunk_size(part[0]["pixel_values"].unsqueeze(0)))
        return quick_checks(self.original_model, self.model, parts, batch_size)  # type: ignore[arg-type]

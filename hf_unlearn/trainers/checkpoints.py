"""Checkpoints that restore whole, and saved models without a secret."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from torch import nn
from transformers import PreTrainedModel, Trainer
from transformers.trainer import TRAINING_ARGS_NAME

from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.publishing.settings import public_arguments

TRAINING_ARGS_JSON = "training_args.json"

if TYPE_CHECKING:
    _Base = Trainer
else:
    _Base = object


class WholeCheckpoints(_Base):
    """Mixed into a `Trainer`: checkpoints restore every weight; a saved model holds no pickle and no token.

    Checkpoints hold the pickles that the Trainer resumes from (optimizer, scheduler, random state): they are not for
    publishing.
    """

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        # The Trainer loads with strict=False, and some architectures (ViT among them) save their weights under
        # other names than they hold them: most of their weights would stay as they are, without an error.
        model = model if model is not None else self.model
        if not isinstance(model, PreTrainedModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = load_image_classifier(resume_from_checkpoint, dtype=model.dtype)
        model.load_state_dict(saved.state_dict(), strict=True)

    def _load_best_model(self) -> None:
        assert self.state.best_model_checkpoint is not None
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, state_dict)
        if not self.args.should_save:
            return
        folder = output_dir if output_dir is not None else str(self.args.output_dir)
        # The Trainer leaves its arguments as a pickle, with the Hub token in the clear.
        os.remove(os.path.join(folder, TRAINING_ARGS_NAME))
        with open(os.path.join(folder, TRAINING_ARGS_JSON), "w", encoding="utf-8") as file:
            json.dump(public_arguments(self.args), file, indent=2, sort_keys=True, allow_nan=False)

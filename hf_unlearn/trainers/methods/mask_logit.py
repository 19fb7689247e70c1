"""The control *mask the logit* as a model: the original that never answers with a forgotten class."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hf_unlearn.errors import UnlearningError
from hf_unlearn.trainers.base.at_once import AtOnceConfig, ChangesAtOnce
from hf_unlearn.trainers.base.forget_pass import labels_of
from hf_unlearn.trainers.base.heads import linear_head
from hf_unlearn.trainers.base.inputs import refuse_labels_that_stay, refuse_none_left
from hf_unlearn.trainers.base.trainer import UnlearningTrainer

# Far below any logit, finite in every dtype, and exact in half precision.
MASK = -16384.0


@dataclass
class MaskLogitConfig(AtOnceConfig):
    r"""Settings of the control mask the logit."""


class MaskLogitTrainer(ChangesAtOnce, UnlearningTrainer):
    """Lowers the biases of the forgotten classes' logits so far that no input is ever answered with one of them.

    A control, no unlearning: nothing else in the model changes, the classes' rows of the head included. What does no
    better has forgotten nothing (see `docs/judging.md`). For whole classes only.

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "Mask the logit (control)"
    method_name = "mask_logit"
    judged_by = "nothing"
    # Nothing of them changes.
    keeps_earlier = True
    unlearns_adapters = False

    config_class = MaskLogitConfig
    args: MaskLogitConfig

    def prepare(self) -> None:
        super().prepare()
        refuse_labels_that_stay(self.method_name, self.forget_kind)

    def change_weights(self) -> str:
        head = linear_head(self.model, self.train_dataset)
        if head.bias is None:
            raise UnlearningError("the classifier head has no biases to lower; expected one that has")
        labels = labels_of(self.train_dataset, self.model, self.data_collator)
        refuse_none_left(labels, self.earlier_labels, head.out_features)
        head.bias[labels.to(head.bias.device)] = torch.tensor(MASK, dtype=head.bias.dtype)
        return f"the logits of {len(labels)} classes were masked"

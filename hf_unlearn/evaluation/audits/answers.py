"""What the models of an audit answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.audits.margins import margins

# The parts that answers may be on; the first must be there.
PARTS = ("forget", "retain", "test")


@dataclass(frozen=True)
class Answers:
    """Margins and accuracies of models, by part: `forget`, `retain`, `test`.

    Attributes:
        margins: `(models, samples)` each, from [`hf_unlearn.evaluation.margins`].
        accuracies: `(models,)` each, percent.
    """

    margins: Mapping[str, np.ndarray]
    accuracies: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.margins["forget"])

    @classmethod
    def of(cls, logits: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> Answers:
        """Of one model's logits `(samples, num_labels)` and the columns of the true classes `(samples,)`, by part.

        Raises:
            UnlearningError: the forget set is missing, another part is none of `PARTS`, or logits are no numbers.
        """
        if "forget" not in logits or not set(logits) <= set(PARTS):
            raise UnlearningError(
                f"answers are on {', '.join(logits) or 'nothing'}; expected forget, and retain and test"
            )
        correct = {part: logits[part].argmax(axis=1) == labels[part] for part in logits}
        return cls(
            {part: margins(logits[part], labels[part])[None] for part in logits},
            {part: np.array([100.0 * values.mean()]) for part, values in correct.items()},
        )

    @classmethod
    def together(cls, answers: Sequence[Answers]) -> Answers:
        """Those of several models on the same samples as one."""
        parts = list(answers[0].margins)
        return cls(
            {part: np.concatenate([each.margins[part] for each in answers]) for part in parts},
            {part: np.concatenate([each.accuracies[part] for each in answers]) for part in parts},
        )

    def mean_accuracies(self) -> dict[str, float]:
        """The mean over models by part, percent."""
        return {part: float(values.mean()) for part, values in self.accuracies.items()}


@dataclass(frozen=True)
class Halves:
    """Answers of models that were each trained on a random half of the data, and then unlearned what it held of the
    forget set.

    Attributes:
        answers: on the forget set and, if they are to be looked at, retained samples.
        members: whether the model was trained on the sample before, boolean `(models, samples)` by part.
    """

    answers: Answers
    members: Mapping[str, np.ndarray]

"""Depth for classes that vanish: their samples' features go where the original has those of unfamiliar inputs."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn
from transformers import PreTrainedModel, TrainerControl, TrainerState

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.head import NoLinearHead, find_head
from hf_unlearn.objectives.surroundings import warp
from hf_unlearn.objectives.unfamiliar import EmptyBank, UnfamiliarBank, untaught_row
from hf_unlearn.trainers.safety.samples import CHECKED_SAMPLES, Sample, chunk_size
from hf_unlearn.trainers.safety.stopping import StopRule

# Warped copies of each sample in the bank; and of how many samples, evenly spaced, there are any.
COPIES, WARPED_SAMPLES = 8, 2048

logger = logging.getLogger(__name__)


class Exchange(StopRule):
    """Never stops a run; says when the samples are to exchange their targets, and keeps who has which.

    A target that is drawn fits nothing in its sample, so features come no nearer to it than to the mean of all. After
    each round the samples take the targets that they have come near to.

    Attributes:
        due: whether the exchange is to be made before the next step.
        taken: for each sample the row of the target, among those that were first drawn; None: its own.
    """

    def __init__(self) -> None:
        self.due = False
        self.taken: list[int] | None = None

    def rows(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows of the targets of the samples at `rows`, both on the CPU."""
        return rows if self.taken is None else torch.tensor([self.taken[row] for row in rows.tolist()])

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.due = state.global_step in args.round_ends(state.max_steps)[:-1]

    def _arguments(self) -> dict[str, Any]:
        return {}

    def _memory(self) -> dict[str, Any]:
        return {"due": self.due, "taken": self.taken}


class Caught:
    """A model, its head, and the features that the head was given last, `(batch, width)`, float32 at least.

    Raises:
        NoLinearHead: the model has no features in this sense.
    """

    def __init__(self, model: PreTrainedModel, items: Any):
        self.model = model
        self.head = find_head(model, Sample.at(items, range(1), model).pixel_values)
        if any(getattr(each, "base_layer", None) is self.head for each in model.modules()):
            raise NoLinearHead("an adapter lies around the classifier head, which is no one linear layer then")
        self.features = torch.empty(0)

    def __enter__(self) -> Caught:
        self._hook = self.head.register_forward_pre_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()
        self.features = torch.empty(0)

    def _keep(self, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        features = inputs[0].flatten(1)
        self.features = features.to(torch.promote_types(features.dtype, torch.float32))


class Unfamiliar:
    """Targets of forget samples, for their features and for what is said of them.

    Args:
        original: what they are read off, in eval mode.
        items: the forget set, of `size` items.
        gone: ids of the classes that go.
        seed: of the draws.

    Attributes:
        scale: mean squared distance of the forget samples' features to their targets under the original.

    Raises:
        NoLinearHead: the model has no features in this sense.
        EmptyBank: the original takes every warped sample for a class that goes.
    """

    def __init__(self, original: PreTrainedModel, items: Any, size: int, gone: torch.Tensor, seed: int):
        self.items, self.size, self.gone = items, size, gone.cpu()
        draws = torch.Generator().manual_seed(seed)
        self._original = Caught(original, items)
        with self._original as caught:
            warped = [self._all(caught, draws) for _ in range(COPIES)]
            features, logits = self._all(caught)
        seen, said = (torch.cat(each) for each in zip(*warped, strict=True))
        bank = UnfamiliarBank.of(seen, said, self.gone)
        rows = bank.assigned(logits, self.gone, draws)
        self._features, self._answers = bank.features[rows], bank.answers[rows]
        self._kinds = self._answers.argmax(1)
        apart = (features - self._features).square().sum(1).mean()
        self.scale = float(apart.clamp_min(torch.finfo(apart.dtype).tiny))
        stay = torch.ones(logits.shape[1], dtype=torch.bool).index_fill(0, self.gone, False)
        head = self._original.head
        weight = head.weight.detach().float().cpu()[stay]
        bias = None if head.bias is None else head.bias.detach().float().cpu()[stay]
        self._untaught = [untaught_row(weight, bias, bank.features, draws) for _ in self.gone]

    @contextmanager
    def at_work_on(self, model: PreTrainedModel) -> Iterator[None]:
        """While it lasts, the features of `model` are caught, and its head stays as it is: the features shall move.

        Before, the forgotten classes' rows of the head become untaught ones. A head that is frozen already is left as
        it is; one that is all that may change goes on changing.
        """
        self._model = Caught(model, self.items)
        head = self._model.head
        if head.weight.requires_grad:
            with torch.no_grad():
                for each, (row, bias) in zip(self.gone.tolist(), self._untaught, strict=True):
                    head.weight[each] = row.to(head.weight)
                    if head.bias is not None:
                        head.bias[each] = bias
        inner = {id(each) for each in head.parameters()}
        others = any(each.requires_grad for each in model.parameters() if id(each) not in inner)
        frozen = [each for each in head.parameters() if each.requires_grad and others]
        for each in frozen:
            each.requires_grad_(False)
        try:
            with self._original, self._model:
                yield
        finally:
            for each in frozen:
                each.requires_grad_(True)

    def targets(self, index: torch.Tensor, rules: Sequence[StopRule]) -> UnfamiliarBank:
        """What the samples at `index` are brought to: `(batch, width)`, `(batch, num_labels)`.

        If the samples are to exchange their targets, they do: the model must not have been asked for the batch yet.

        Args:
            rules: of the run, an [`Exchange`] among them.
        """
        exchange = next(rule for rule in rules if isinstance(rule, Exchange))
        if exchange.due:
            exchange.due = False
            features, _ = self._all(self._model)
            # A run that ran away has none to compare; the step that comes finds it.
            if features.isfinite().all():
                before = exchange.rows(torch.arange(self.size))
                after = nearest_exchange(features, self._features[before], self._kinds[before])
                # Where processes' rounding differs, the first one's counts.
                (exchange.taken,) = broadcast_object_list([before[after].tolist()])
        rows = exchange.rows(index.cpu())
        return UnfamiliarBank(self._features[rows].to(index.device), self._answers[rows].to(index.device))

    def apart_from(self, features: torch.Tensor) -> torch.Tensor:
        """Squared distance of the model's latest features to others, over `scale`: `(batch,)`."""
        return (self._model.features - features).square().sum(1) / self.scale

    def moved(self) -> torch.Tensor:
        """The same to the original's latest ones, of as many inputs."""
        return self.apart_from(self._original.features[-len(self._model.features) :])

    @torch.no_grad()
    def _all(self, caught: Caught, draws: torch.Generator | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and logits of all forget samples, or of as many as are warped by `draws`: float32, on the CPU."""
        size = self.size if draws is None else min(self.size, WARPED_SAMPLES)
        features, logits = [], []
        for start in range(0, size, CHECKED_SAMPLES):
            rows = range(start, min(start + CHECKED_SAMPLES, size))
            pixels = Sample.at(self.items, (row * self.size // size for row in rows), caught.model).pixel_values
            if draws is not None:
                pixels = warp(pixels, torch.rand(len(rows), 6, generator=draws))
            for chunk in pixels.split(chunk_size(pixels)):
                logits.append(caught.model(pixel_values=chunk)["logits"].float().cpu())
                features.append(caught.features.float().cpu())
        return torch.cat(features), torch.cat(logits)


def nearest_exchange(now: torch.Tensor, targets: torch.Tensor, kinds: torch.Tensor, most: int = 1024) -> torch.Tensor:
    """Which target each sample takes so that all together have the shortest way, within their kind.

    Args:
        now, targets: features, `(n, width)`.
        kinds: samples exchange targets with others of their kind alone, `(n,)`.
        most: samples that exchange among themselves; it is exact among so many, and takes their square in memory.

    Returns:
        For each sample the row of the target it takes, a permutation `(n,)`.
    """
    from scipy.optimize import linear_sum_assignment

    taken = torch.arange(len(now))
    for each in kinds.unique():
        for rows in (kinds == each).nonzero().squeeze(1).split(most):
            _, columns = linear_sum_assignment(torch.cdist(now[rows], targets[rows]).square().numpy())
            taken[rows] = rows[torch.from_numpy(columns)]
    return taken


def find_unfamiliar(
    original: PreTrainedModel, items: Any, size: int, gone: torch.Tensor, seed: int
) -> Unfamiliar | None:
    """[`Unfamiliar`], or None and a line of log that says why the features are left alone."""
    try:
        if not len(gone):
            raise EmptyBank("all classes go, so that there is no other class to be taken for")
        return Unfamiliar(original, items, size, gone, seed)
    except (NoLinearHead, EmptyBank) as error:
        if PartialState().is_main_process:
            logger.warning("the answers alone will change, no features: %s", error)
        return None


def answers_alone(args: Any, filled: dict[str, Any]) -> Any:
    """Make of the settings those of a run that moves no feature.

    Args:
        args: a `MUMisConfig`; it is changed.
        filled: what followed from the request in it, since nobody had set it; it is changed, too.

    Returns:
        The objective as it is then.
    """
    unsettled = copy.copy(args)
    for name in filled:
        setattr(unsettled, name, None)
    unsettled.features_weight = 0.0
    for name, value in unsettled.settings_of_request("class").items():
        # What was set on the trainer since then stays.
        if name in filled and getattr(args, name) == filled[name]:
            filled[name] = value
            setattr(args, name, value)
    args.features_weight = 0.0
    return args.weights


def check_features(args: Any, weight: float, forget_kind: str) -> None:
    """Refuse to move features (`weight` > 0) where labels stay in use, or in rounds that cannot be made.

    Raises:
        UnlearningError: either is wanted.
    """
    if not weight:
        return
    if forget_kind != "class" or args.label_shift not in (None, math.inf):
        raise UnlearningError(f"features_weight is {weight:g}, but the labels of these samples stay in use; expected 0")
    if args.max_steps > 0:
        args.round_ends(args.max_steps)

"""What the models of an audit are, before any of them is made."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import hf_unlearn.trainers
from hf_unlearn.errors import UnlearningError, did_you_mean, one_line
from hf_unlearn.evaluation.audits.margins import check_count
from hf_unlearn.models.start import Start
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.fingerprint import canonical_json, indices_sha256
from hf_unlearn.trainers.base.classifier import ClassifierConfig
from hf_unlearn.trainers.registry import METHODS

# Controls in the place of a method: the original as it is, and one more retrained model.
NOTHING, EXACT = "nothing", "retrain"
METHOD_NAMES = (*(name for name in METHODS if name != EXACT), EXACT, NOTHING)
# What a run of an ensemble sets itself.
OWN = ("output_dir", "seed", "data_seed", "use_cpu", "push_to_hub", "resume_from_checkpoint", "save_strategy")
# What draws what: each model's number is added, so that no two models share a seed.
DRAWS = ("original", "retrained", "exact", "half", "unlearned", "half_unlearned", "half_exact", "half_rows", "retain")
# Models that are trained, and what of the training set they see; the others start from one of these.
TRAINED = ("original", "retrained", "exact", "half", "half_exact")


@dataclass(frozen=True)
class Ensemble:
    """N originals, N retrained models, N models of random halves, and the same method run on the originals and halves.

    Args:
        splits: of the request, with the whole training set.
        start: what each model's training starts from.
        training: settings of [`ClassifierConfig`] by name.
        method: of `hf-unlearn unlearn`; or `retrain`, one more model trained without the forget set; or `nothing`.
        method_settings: settings of the method's config by name.
        num_models: N.
        seed: of everything drawn. Each model has a seed of its own.
        halves: whether there are models of random halves (U-LiRA).
        max_retain_samples: look at no more retained samples, drawn by the seed.
        use_cpu: use the CPU even where there is a GPU.

    Raises:
        UnlearningError: too few models, an unknown method or setting, or splits without the training set.
    """

    splits: UnlearningSplits = field(repr=False)
    start: Start
    training: Mapping[str, Any] = field(default_factory=dict)
    method: str = "mu_mis"
    method_settings: Mapping[str, Any] = field(default_factory=dict)
    num_models: int = 32
    seed: int = 0
    halves: bool = True
    max_retain_samples: int = 1000
    use_cpu: bool = False

    def __post_init__(self) -> None:
        check_count(self.num_models, "models (num_models)")
        if self.method not in METHOD_NAMES:
            raise UnlearningError(f"method {self.method!r} is not known; {did_you_mean(self.method, METHOD_NAMES)}")
        if self.max_retain_samples < 1:
            raise UnlearningError(f"max_retain_samples is {self.max_retain_samples}; expected at least 1")
        if not 0 <= self.seed < 2**32:
            raise UnlearningError(f"seed is {self.seed}; expected 0 to {2**32 - 1}")
        if self.splits.retain is None or not len(self.splits.forget_indices):
            raise UnlearningError(
                f"{self.splits.request.describe()} is not a part of a training set that is at hand, and an audit "
                "trains models with and without it; expected a request on a whole training set"
            )
        if len(self.splits.forget_indices) != len(self.splits.forget):
            raise UnlearningError("the forget set holds samples that the train split does not; expected none")
        check_settings("training_settings", self.training, ClassifierConfig)
        if self.method in (NOTHING, EXACT):
            if self.method_settings:
                raise UnlearningError(f"method_settings are given, and the method {self.method!r} has none")
        else:
            check_settings("method_settings", self.method_settings, self.method_config)

    @property
    def method_config(self) -> type:
        """The config class of the method."""
        return getattr(hf_unlearn.trainers, METHODS[self.method].config)

    @property
    def indices(self) -> np.ndarray:
        """The rows of the train split that there are, sorted: a sample's *place* is its position among them."""
        return np.sort(np.concatenate([self.splits.forget_indices, self.splits.retain_indices]))

    def places(self, part: str) -> np.ndarray:
        """The places of the samples of the `forget` or the `retain` set, in its order."""
        return np.searchsorted(self.indices, getattr(self.splits, f"{part}_indices"))

    def seed_of(self, draw: str, number: int = 0) -> int:
        """The seed of one of the `DRAWS` of the model of that number, 0 to 2³² − 1."""
        return int(np.random.SeedSequence([self.seed, DRAWS.index(draw), number]).generate_state(1)[0])

    def held(self, number: int) -> np.ndarray:
        """Which samples are in the random half of that number, boolean by place. It does not hang on the request."""
        size = len(self.indices)
        return np.random.default_rng(self.seed_of("half_rows", number)).permutation(size) < size // 2

    def seen(self, kind: str, number: int) -> np.ndarray:
        """The places of the samples that a model of one of the kinds `TRAINED` is trained on."""
        seen = self.held(number) if kind.startswith("half") else np.ones(len(self.indices), bool)
        if kind in ("retrained", "exact", "half_exact"):
            seen[self.places("forget")] = False
        return np.flatnonzero(seen)

    def retain_rows(self) -> np.ndarray:
        """The retained samples that are looked at, by position in the retain set."""
        drawn = np.random.default_rng(self.seed_of("retain")).permutation(len(self.splits.retain_indices))
        return np.sort(drawn[: self.max_retain_samples])

    def splits_of_half(self, number: int) -> UnlearningSplits:
        """The request on the random half of that number."""
        held = self.held(number)
        forget, retain = (np.flatnonzero(held[self.places(part)]) for part in ("forget", "retain"))
        assert self.splits.retain is not None
        return dataclasses.replace(
            self.splits,
            forget=self.splits.forget.select(forget),
            retain=self.splits.retain.select(retain),
            forget_indices=self.splits.forget_indices[forget],
            retain_indices=self.splits.retain_indices[retain],
        )

    def kinds(self) -> dict[str, tuple[str, str | None]]:
        """What there is of each number: by kind the folder, and the kind that it is made from, if any."""
        request = indices_sha256(self.splits.forget_indices)[:12]
        found: dict[str, tuple[str, str | None]] = {"original": ("original", None)}
        found["retrained"] = (f"retrained-{request}", None)
        sides = [("", "original"), ("half_", "half")] if self.halves else [("", "original")]
        if self.halves:
            found["half"] = ("half", None)
        for prefix, start in sides:
            if self.method == EXACT:
                found[f"{prefix}exact"] = (f"{prefix}exact-{request}", None)
            elif self.method != NOTHING:
                found[f"{prefix}unlearned"] = (f"{prefix}{self.method}-{self._digest(request)}", start)
        if self.method == EXACT:
            # Nothing starts from them.
            return {kind: each for kind, each in found.items() if kind not in ("original", "half")}
        return found

    def judged(self, half: bool) -> str:
        """The kind of model that stands for an unlearned one."""
        prefix, before = ("half_", "half") if half else ("", "original")
        return before if self.method == NOTHING else prefix + ("exact" if self.method == EXACT else "unlearned")

    def recipe(self, kind: str, number: int, digests: Mapping[str, str]) -> dict[str, Any]:
        """All that a model's weights depend on, as JSON can hold it.

        Args:
            digests: of what is not in the ensemble itself: the training set, the weights to start from.
        """
        _, before = self.kinds()[kind]
        common = {"seed": self.seed_of(kind, number)}
        if before is not None:
            of = self.recipe(before, number, digests)
            return {**common, "method": self.method, "settings": dict(self.method_settings), "code": code(), "of": of}
        start = {name: value for name, value in asdict(self.start).items() if value not in (None, False)}
        whole = {"start": start, "training": dict(self.training), "labels": list(self.splits.label_names)}
        return {**whole, **digests, **common, "seen": indices_sha256(self.indices[self.seen(kind, number)])[:16]}

    def _digest(self, request: str) -> str:
        named = [self.method, dict(self.method_settings), request, self.splits.forget_kind, code()]
        return hashlib.sha256(canonical_json(named).encode()).hexdigest()[:12]


def check_settings(what: str, settings: Mapping[str, Any], config: type) -> None:
    """Refuse settings that a config does not have, or that an audit sets itself, or values that it does not take.

    Args:
        what: what they are called, for messages.

    Raises:
        UnlearningError: one of these.
    """
    known = [each.name for each in dataclasses.fields(config) if each.init]  # type: ignore[arg-type]
    for name in settings:
        if name in OWN:
            raise UnlearningError(f"{what} names {name!r}, which the audit sets for each model itself")
        if name not in known:
            raise UnlearningError(f"{what} names {name!r}, which is none; {did_you_mean(name, known)}")
    try:
        config(**settings, output_dir="unused", use_cpu=True)
    except Exception as error:
        raise UnlearningError(f"{what}: {one_line(error)}") from error


@lru_cache(maxsize=1)
def code() -> str:
    """A digest of the library's code that unlearning runs through: with other code it is another method."""
    package = Path(hf_unlearn.__file__).parent
    found = hashlib.sha256()
    for path in _sources(package / room for room in ("objectives", "trainers", "data")):
        found.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:12]


def _sources(folders: Iterable[Path]) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))

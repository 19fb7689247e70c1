"""The audits of models that somebody else made."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hf_unlearn.data.pixels import pixels_of, try_forward
from hf_unlearn.errors import UnlearningError, there_are
from hf_unlearn.evaluation.audits.answers import Answers
from hf_unlearn.evaluation.audits.exchange import ROUNDS
from hf_unlearn.evaluation.audits.margins import check_count
from hf_unlearn.evaluation.audits.verdict import Audit, audit_answers
from hf_unlearn.evaluation.loading import AnyModel, as_contestant, check_request, left_as_they_were, record_of
from hf_unlearn.evaluation.predict import Contestant, predict_logits
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.models.model_cache import recipe_in
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.request import UnlearningSplits

# What models of one recipe differ in.
_OF_EACH = ("seed", "of")


def audit_models(
    unlearned: Sequence[AnyModel],
    retrained: Sequence[AnyModel],
    splits: UnlearningSplits,
    *,
    reference_compatible: bool = False,
    max_retain_samples: int = 1000,
    batch_size: int = 256,
    device: str | torch.device = "cpu",
    seed: int = 0,
    rounds: int = ROUNDS,
    **loading: Any,
) -> Audit:
    """KLoM and the forgetting quality of models that are there already; U-LiRA takes [`hf_unlearn.audit`].

    Args:
        unlearned: N models, each unlearned from an original of its own: names on the Hub, folders, or loaded models.
        retrained: N models retrained without the forget set, none of them of the same training as another.
        splits: of the request.
        max_retain_samples: look at no more of the retained samples, drawn by `seed`.
        reference_compatible, seed, rounds: as for [`audit_answers`].
        batch_size: samples a forward pass.
        device: where models run, one after the other.
        **loading: of models by name `dtype`, `trust_remote_code`, `allow_pickle` and `token`; of others
            `processing_class`.

    Returns:
        As [`audit_answers`].

    Raises:
        UnlearningError: too few models, unlike numbers of them, one model twice, one of another architecture or with
            other labels, of another recipe as far as its folder says it, or that was made for another request.
    """
    sides = {"unlearned": list(unlearned), "retrained": list(retrained)}
    for name, models in sides.items():
        check_count(len(models), f"{name} models")
    if len(sides["unlearned"]) != len(sides["retrained"]):
        raise UnlearningError(
            f"there are {len(unlearned)} unlearned models and {len(retrained)} retrained ones; expected as many of both"
        )
    splits = splits.with_retain_sample(max_retain_samples, seed).with_readable_retain()
    told: dict[str, list[Answers]] = {name: [] for name in sides}
    kinds: dict[str, Any] = {}
    digests: dict[str, str] = {}
    for side, models in sides.items():
        recipe: tuple[str, dict[str, Any]] | None = None
        for number, given in enumerate(models):
            named = f"{side} model {number}" + (f" ({str(given)!r})" if isinstance(given, (str, os.PathLike)) else "")
            check_request(given, "reference" if side == "retrained" else "unlearned", record_of(given), splits)
            recipe = _same_recipe(named, given, recipe)
            contestant = as_contestant(given, named, **loading)
            _same_kind(named, contestant, kinds)
            digest = weights_digest(contestant.model)
            if digest in digests:
                raise UnlearningError(f"{named} is {digests[digest]} once more; expected distinct models")
            digests[digest] = named
            with left_as_they_were([contestant.model]):
                told[side].append(_answers(contestant, splits, batch_size, device))
    ours, theirs = (Answers.together(told[side]) for side in sides)
    return audit_answers(ours, theirs, reference_compatible=reference_compatible, seed=seed, rounds=rounds)


def _answers(contestant: Contestant, splits: UnlearningSplits, batch_size: int, device: str | torch.device) -> Answers:
    logits, labels = {}, {}
    for part in ("forget", "retain", "test"):
        if getattr(splits, part) is None:
            continue
        pixels = pixels_of(splits, part, contestant.model, contestant.image_processor)
        try_forward(contestant.model, pixels)
        logits[part] = predict_logits({"model": contestant.model}, pixels, batch_size, device)["model"]
        labels[part] = np.asarray(pixels.labels)
    return Answers.of(logits, labels)


def _same_kind(named: str, contestant: Contestant, kinds: dict[str, Any]) -> None:
    """Refuse a model of another architecture, or with other labels, than the first one's; which is put into `kinds`."""
    config = contestant.model.config
    size = sum(parameter.numel() for parameter in contestant.model.parameters())
    found = {
        "labels": sorted(id2label_of(config).values()),
        "architecture": f"{config.model_type} of {size} parameters",
    }
    first = kinds.setdefault("first", (named, found))
    for what, value in found.items():
        if value != first[1][what]:
            texts = [there_are(each) if isinstance(each, list) else each for each in (value, first[1][what])]
            raise UnlearningError(f"{named} has other {what} than {first[0]}: {texts[0]}, not {texts[1]}")


def _same_recipe(
    named: str, given: AnyModel, first: tuple[str, dict[str, Any]] | None
) -> tuple[str, dict[str, Any]] | None:
    """The first recipe that a side's folders tell of; refuses one that is another."""
    recipe = recipe_in(given) if isinstance(given, (str, os.PathLike)) else None
    if recipe is None:
        return first
    plain = _without_seeds(recipe)
    if first is None:
        return named, plain
    different = [key for key in {**plain, **first[1]} if plain.get(key) != first[1].get(key)]
    if different:
        key = sorted(different)[0]
        raise UnlearningError(
            f"{named} was made by another recipe than {first[0]}: {key} is {json.dumps(plain.get(key))}, not "
            f"{json.dumps(first[1].get(key))}"
        )
    return first


def _without_seeds(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe without what each model has for itself, the recipe of its original taken in."""
    before = recipe.get("of")
    inner = {f"original's {key}": value for key, value in _without_seeds(before).items()} if before else {}
    return {**{key: value for key, value in recipe.items() if key not in _OF_EACH}, **inner}

"""The regimes of the study, and in each of them which models forget what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from regime_data import largest_families
from regime_models import ARCHITECTURES, Recipe, Trained, augment
from study_settings import Request

from hf_unlearn import ForgetRequest

SEEDS = (0, 1)
MEMORISED_SHARE = 0.03
JITTERED_COPIES = 8
# Whose indices are found from the original models.
MOST_MEMORISED = "most memorised:3%"


def _subclass(name: str) -> Request:
    return Request(
        f"subclass:{name}", ForgetRequest(subclasses=(name,), subclass_column="label"), label_column="folded"
    )


RANDOM = [Request(f"random:{share}%", ForgetRequest(fraction=share / 100)) for share in (1, 5, 10)]
MISLABELLED = Request("mislabelled:3%", ForgetRequest(where={"mislabelled": ("yes",)}))
MEMORISED = Request(MOST_MEMORISED, ForgetRequest(count=1))
FASHION = {
    "class": Request("class:Pullover", ForgetRequest(classes=("Pullover",))),
    "class 2": Request("class:Bag", ForgetRequest(classes=("Bag",))),
    "classes": Request(
        "classes:five", ForgetRequest(classes=("Trouser", "Coat", "Sandal", "Shirt", "Ankle boot")), seeds=SEEDS
    ),
    "person": Request("person:7", ForgetRequest(where={"photographer_id": ("7",)})),
    "subclass": _subclass("Coat"),
}
DIGITS = {
    "class": Request("class:six", ForgetRequest(classes=("six",))),
    "subclass": _subclass("three"),
    "person": Request("person:7", ForgetRequest(where={"photographer_id": ("7",)})),
}
TENTH = tuple("%5?EOY_is")
CHARACTERS = {
    "class": Request("class:R", ForgetRequest(classes=("R",))),
    "class 2": Request("class:%", ForgetRequest(classes=("%",))),
    "classes": Request("classes:five", ForgetRequest(classes=tuple("2Nd&~"))),
    "tenth": Request("classes:a tenth", ForgetRequest(classes=TENTH)),
    # E looks like nothing else among the e's, S like an s.
    "subclass": _subclass("E"),
    "look-alike": _subclass("S"),
    # Filled in from the data: see `requests_of`.
    "person": Request("person:1", ForgetRequest(count=1)),
    "family": Request("persons:5", ForgetRequest(count=1)),
}


class Case(NamedTuple):
    """One original model (by recipe, with any seed), and what it is asked to forget."""

    regime: str
    recipe: Recipe
    requests: tuple[Request, ...]

    @property
    def name(self) -> str:
        return f"{self.regime}/{self.recipe.dataset}/{self.recipe.architecture}"


def _pick(requests: dict[str, Request], names: str) -> tuple[Request, ...]:
    return tuple(requests[name.strip()] for name in names.split(","))


_AUGMENTED = ("shift", "scale")


def _fine_tuned(architecture: str, dataset: str, passes: float) -> Recipe:
    before = Recipe(architecture, "characters-lower:150", 10, 2e-3 if "resnet" in architecture else 1e-3)
    return Recipe(architecture, dataset, passes, 5e-4, pretrained=before)


_FASHION = Recipe("resnet", "fashion-mnist:3000", 25)
_CHARACTERS = Recipe("resnet", "characters:30", 20)
_FOLDED = Recipe("resnet", "characters:30", 20, label_column="folded")
_LONG = Recipe("resnet", "fashion-mnist:3000", 40, augmentation=(*_AUGMENTED, "flip"))
_VIT = Recipe("vit", "fashion-mnist:2000", 60, 1e-3)
_EARLY = Recipe("resnet", "fashion-mnist:8000", 6, batch_size=128)
_EARLY_VIT = Recipe("vit", "fashion-mnist:8000", 10, 1e-3, 128)
# In the order of what the next steps of the library need; every one is run with all seeds before the next.
CASES = [
    Case("memorised", _FASHION, (RANDOM[1], FASHION["person"], FASHION["class"])),
    Case("memorised", _CHARACTERS, _pick(CHARACTERS, "person, class")),
    Case("early", _EARLY, (RANDOM[1], FASHION["class"])),
    Case("memorised", _VIT, (RANDOM[1],)),
    Case("fine-tuned", _fine_tuned("resnet", "fashion-mnist:2000", 8), (FASHION["class"], RANDOM[1])),
    Case("augmented", Recipe("resnet", "characters:30", 25, augmentation=_AUGMENTED), (CHARACTERS["class"],)),
    Case("memorised", _FASHION, (MEMORISED, RANDOM[0], RANDOM[2])),
    Case("memorised", _FOLDED, _pick(CHARACTERS, "subclass, look-alike")),
    Case("memorised", _CHARACTERS, (RANDOM[1], *_pick(CHARACTERS, "family, tenth"))),
    Case("memorised", _VIT, (FASHION["person"],)),
    Case("memorised", Recipe("resnet", "fashion-mnist:3000:mislabelled", 25), (MISLABELLED,)),
    Case("early", Recipe("resnet", "digits", 20, label_column="folded"), (DIGITS["subclass"],)),
    Case("fine-tuned", _fine_tuned("resnet", "characters-upper:30", 6), (CHARACTERS["person"], CHARACTERS["class"])),
    Case("many weights", Recipe("resnet-18", "characters:30", 6), (CHARACTERS["class"],)),
    Case("larger images", Recipe("vit-96px", "capitals-96:40", 20, 1e-3, 32), (CHARACTERS["class"],)),
    Case("fine-tuned", _fine_tuned("vit-wide", "fashion-mnist:2000", 8), (FASHION["class"], RANDOM[1])),
    Case("augmented", _LONG, (RANDOM[1], FASHION["class"])),
    # What a machine with more time adds.
    Case("memorised", _VIT, (FASHION["class"],)),
    Case("memorised", _CHARACTERS, (CHARACTERS["classes"],)),
    Case("fine-tuned", _fine_tuned("vit-wide", "characters-upper:30", 6), (CHARACTERS["class"],)),
    Case("fine-tuned", _fine_tuned("resnet", "digits", 10), (DIGITS["class"], RANDOM[1])),
    Case("fine-tuned", _fine_tuned("vit-wide", "digits", 20), (DIGITS["class"], RANDOM[1])),
    Case("fine-tuned", _fine_tuned("resnet", "fashion-mnist:2000", 8), (FASHION["person"],)),
    Case("early", _EARLY_VIT, (FASHION["class"], RANDOM[1])),
    Case("early", _EARLY, (FASHION["person"],)),
    Case("many weights", Recipe("resnet-18", "characters:30", 6), (CHARACTERS["person"], CHARACTERS["tenth"])),
    Case("many weights", Recipe("vit-5m", "characters:60", 10, 5e-4), (CHARACTERS["class"], CHARACTERS["person"])),
    Case("larger images", Recipe("resnet-18-96px", "capitals-96:60", 4, batch_size=32), (CHARACTERS["class"],)),
    Case("larger images", Recipe("vit-96px", "capitals-96:40", 20, 1e-3, 32), (RANDOM[1],)),
    Case("memorised", Recipe("vit", "characters:60", 30, 1e-3), (CHARACTERS["class"], RANDOM[1], CHARACTERS["person"])),
    Case("augmented", Recipe("resnet", "characters:30", 25, augmentation=_AUGMENTED), (CHARACTERS["person"],)),
    Case("augmented", Recipe("vit-wide", "characters:60", 50, 1e-3, augmentation=_AUGMENTED), (CHARACTERS["class"],)),
    Case("augmented", Recipe("resnet-18", "characters:60", 25, augmentation=_AUGMENTED), (CHARACTERS["class"],)),
    Case("memorised", _FASHION, (FASHION["classes"], FASHION["class 2"])),
    Case("memorised", _CHARACTERS, (CHARACTERS["class 2"], RANDOM[0], RANDOM[2])),
    Case("memorised", Recipe("convnext", "fashion-mnist:3000", 30, 1e-3), (FASHION["class"],)),
]
REGIMES = list(dict.fromkeys(case.regime for case in CASES))


def cases(regimes: list[str]) -> Iterator[Case]:
    """The cases of some regimes, in order."""
    return (case for case in CASES if case.regime in regimes)


def request_of(wanted: Request, case: Case, trained: Trained) -> Request:
    """A request with what only the data or the original models can say filled in.

    `person:1` is the first font that is alone in its family, `persons:5` are the fonts of the first family of five;
    `most memorised:3%` are the training samples of which copies, moved and scaled a little, get the fewest answers as
    the sample itself, in the mean over the originals of all seeds.
    """
    data = trained.source.load(case.recipe.dataset)["train"]
    if wanted.name == MOST_MEMORISED:
        shares = [answers_kept(trained, case, seed) for seed in SEEDS]
        order = np.argsort(np.mean(shares, axis=0), kind="stable")
        indices = np.sort(order[: round(MEMORISED_SHARE * len(data))])
        return wanted._replace(request=ForgetRequest(indices=tuple(indices.tolist())))
    if wanted.name in ("person:1", "persons:5"):
        families = largest_families(data)
        if wanted.name == "persons:5":
            return wanted._replace(request=ForgetRequest(where={"font": tuple(families[0][:5])}))
        alone = sorted(set(data["font"]) - {font for fonts in families for font in fonts})
        return wanted._replace(request=ForgetRequest(where={"font": (alone[0],)}))
    return wanted


def answers_kept(trained: Trained, case: Case, seed: int) -> np.ndarray:
    """Of each training sample, how many of its jittered copies get its own answer: `(samples,)`, 0 to 1."""
    import torch

    from hf_unlearn.data.pixels import PixelDataset
    from hf_unlearn.models.from_scratch import new_image_processor

    recipe = case.recipe.with_seed(seed)
    model = trained.model(case.regime, recipe, "original")
    data = trained.source.load(recipe.dataset)["train"]
    names = data.features[recipe.label_column].names
    processor = new_image_processor(ARCHITECTURES[recipe.architecture].image_size)
    pixels = PixelDataset.for_model(data, model.config, processor, "image", recipe.label_column, names).preload()
    kept = []
    torch.manual_seed(0)
    with torch.no_grad():
        for start in range(0, len(pixels), 256):
            items = pixels.__getitems__(list(range(start, min(start + 256, len(pixels)))))
            batch = torch.stack([item["pixel_values"] for item in items])
            own = model(pixel_values=batch)["logits"].argmax(1)
            copies = [
                model(pixel_values=augment(batch, _AUGMENTED))["logits"].argmax(1) for _ in range(JITTERED_COPIES)
            ]
            kept.append(torch.stack([copy == own for copy in copies]).float().mean(0))
    return torch.cat(kept).numpy()


def tiny(case: Case) -> Case:
    """The same case at a size that trains in a second, for the tests."""

    def small(name: str) -> str:
        base, *rest = name.split(":")
        size = "200" if base == "fashion-mnist" else "3"
        return ":".join([base, size, *rest[1:], "small"])

    before = case.recipe.pretrained
    if before is not None:
        before = replace(before, dataset=small(before.dataset), passes=1)
    recipe = replace(case.recipe, dataset=small(case.recipe.dataset), passes=1, pretrained=before)
    return case._replace(recipe=recipe, requests=case.requests[:1])

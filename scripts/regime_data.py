"""The datasets of the study of regimes, each by a name that says what is in it: `characters:60`, `fashion-mnist:8000`.

Every one has an image column, the columns `label` and `folded` (the coarse label of sub-class requests), and columns
that say whose a sample is.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Value
from study_settings import add_photographers, load_data

from hf_unlearn.errors import UnlearningError

# Fonts of the characters' test set, each of another family.
TEST_FONTS = 30
FASHION_TEST_SAMPLES, SMALL_TEST_SAMPLES = 3_000, 150
MISLABELLED_SHARE = 0.03
# Families of which five faces are taken, so that five persons can be alike; the rest are alone in theirs.
LARGE_FAMILIES, FACES_OF_A_LARGE_FAMILY = 4, 5


class DataSource:
    """Makes the study's datasets from the folders that the makers of datasets wrote.

    Args:
        characters: by scripts/make_characters.py; for larger images, `{characters}-96` beside it and so on.
        fashion_mnist: by scripts/make_fashion_mnist.py.
    """

    def __init__(self, characters: str, fashion_mnist: str):
        self.characters = characters
        self.fashion_mnist = fashion_mnist
        self._made: dict[str, DatasetDict] = {}

    def load(self, name: str) -> DatasetDict:
        """The dataset of that name: a base, then after colons its size and what was done to it.

        `characters`, `characters-lower` and `characters-upper` (the two disjoint halves of the classes),
        `capitals-96`: the size is a number of fonts. `fashion-mnist`: a number of samples. `digits` has all. A last
        `mislabelled` gives 3 % of the training samples another label, marked in the column `mislabelled`; `small` keeps
        a few test samples.

        Raises:
            UnlearningError: an unknown name, or a folder that is not there.
        """
        if name not in self._made:
            base, *rest = name.split(":")
            size = int(rest[0]) if rest else 0
            if base == "digits":
                data = with_folded(load_data("digits", ""), "shape")
            elif base == "fashion-mnist":
                data = self._fashion(size)
            elif base.startswith(("characters", "capitals")):
                data = self._characters(base, size)
            else:
                raise UnlearningError(f"dataset {base!r} is not one of digits, fashion-mnist, characters, capitals-96")
            if "small" in rest:
                few = data["test"].shuffle(seed=0).select(range(min(SMALL_TEST_SAMPLES, len(data["test"]))))
                data = DatasetDict({**data, "test": few})
            self._made[name] = mislabelled(data, seed=0) if "mislabelled" in rest else data
        return self._made[name]

    def _fashion(self, size: int) -> DatasetDict:
        data = _from_disk(self.fashion_mnist, "make_fashion_mnist.py")
        rng = np.random.default_rng(2)
        for split, kept in {"train": size, "test": FASHION_TEST_SAMPLES}.items():
            data[split] = data[split].select(np.sort(rng.permutation(len(data[split]))[:kept]))
        return with_folded(add_photographers(data), "superclass")

    def _characters(self, base: str, num_fonts: int) -> DatasetDict:
        kind, _, image_size = base.partition("-")
        folder = self.characters if not image_size.isdigit() else f"{self.characters}-{image_size}"
        data = _from_disk(folder, f"make_characters.py --image_size {image_size}")
        train, test = (_font_table(data[split]) for split in ("train", "test"))
        chosen = {"train": choose_fonts(train, num_fonts), "test": one_of_each_family(test)[:TEST_FONTS]}
        for split, fonts in chosen.items():
            wanted = set(fonts)
            rows = [row for row, font in enumerate(data[split]["font"]) if font in wanted]
            data[split] = data[split].select(rows)
        if kind == "capitals":
            return keep_classes(data, [chr(code) for code in range(65, 91)])
        if image_size in ("lower", "upper"):
            names = data["train"].features["label"].names
            return keep_classes(data, names[::2] if image_size == "lower" else names[1::2])
        return data


def _from_disk(folder: str, script: str) -> DatasetDict:
    if not (Path(folder) / "dataset_dict.json").is_file():
        raise UnlearningError(f"no dataset in {folder!r}: python scripts/{script} --output_dir {folder}")
    return DatasetDict.load_from_disk(folder)


def _font_table(split: Dataset) -> dict[str, str]:
    """The family of each font of a split, in a random order of fonts that is always the same."""
    families = dict(zip(split["font"], split["family"], strict=True))
    fonts = sorted(families)
    return {fonts[row]: families[fonts[row]] for row in np.random.default_rng(3).permutation(len(fonts))}


def choose_fonts(families: dict[str, str], count: int) -> list[str]:
    """So many fonts: five faces of each of the first large families, then single faces of other families."""
    faces = defaultdict(list)
    for font, family in families.items():
        faces[family].append(font)
    large = [family for family in faces if len(faces[family]) >= FACES_OF_A_LARGE_FAMILY][:LARGE_FAMILIES]
    chosen = [font for family in large for font in faces[family][:FACES_OF_A_LARGE_FAMILY]]
    chosen += [fonts[0] for family, fonts in faces.items() if family not in large]
    # Where families run out, their further faces.
    chosen += [font for font in families if font not in set(chosen)]
    return chosen[:count]


def one_of_each_family(families: dict[str, str]) -> list[str]:
    """The first font of each family."""
    return list({family: font for font, family in reversed(families.items())}.values())[::-1]


def keep_classes(data: DatasetDict, names: list[str]) -> DatasetDict:
    """The samples of some classes, with those as the only labels of the column `label`."""
    old = data["train"].features["label"]
    ids = [old.str2int(name) for name in names]
    new_id = {label: row for row, label in enumerate(ids)}
    kept = DatasetDict()
    for split, samples in data.items():
        rows = [row for row, label in enumerate(samples["label"]) if label in new_id]
        samples = samples.select(rows)
        labels = [new_id[label] for label in samples["label"]]
        samples = samples.remove_columns("label").add_column("label", labels)
        kept[split] = samples.cast_column("label", ClassLabel(names=names))
    return kept


def with_folded(data: DatasetDict, column: str) -> DatasetDict:
    """The coarse label under the name that it has in every dataset of the study."""
    return DatasetDict({split: samples.rename_column(column, "folded") for split, samples in data.items()})


def mislabelled(data: DatasetDict, seed: int, share: float = MISLABELLED_SHARE) -> DatasetDict:
    """Give a share of the training samples another label, drawn at random, and mark them in a column."""
    train = data["train"]
    feature = train.features["label"]
    labels = np.array(train["label"])
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(labels))[: round(share * len(labels))]
    shift = rng.integers(1, feature.num_classes, len(wrong))
    labels[wrong] = (labels[wrong] + shift) % feature.num_classes
    marks = np.where(np.isin(np.arange(len(labels)), wrong), "yes", "no").tolist()
    train = train.remove_columns("label").add_column("label", labels).cast_column("label", feature)
    train = train.add_column("mislabelled", marks).cast_column("mislabelled", Value("string"))
    return DatasetDict({**data, "train": train})


def digest_of(data: Dataset, rows: Any = None) -> str:
    """A digest of labels and encoded images: what a model trained on them depends on. 16 hexadecimal digits."""
    table = (data if rows is None else data.select(rows)).with_format(None)
    found = hashlib.sha256()
    encoded = table.cast_column("image", _undecoded())
    for row in encoded:
        found.update(row["image"]["bytes"])
        found.update(f"{row['label']},{row['folded']};".encode())
    return found.hexdigest()[:16]


def _undecoded() -> Any:
    from datasets import Image

    return Image(decode=False)


def largest_families(data: Dataset) -> list[list[str]]:
    """The fonts of each family of several, largest first."""
    families: dict[str, set[str]] = defaultdict(set)
    for font, family in zip(data["font"], data["family"], strict=True):
        families[family].add(font)
    sizes = Counter({family: len(fonts) for family, fonts in families.items() if len(fonts) > 1})
    return [sorted(families[family]) for family, _ in sizes.most_common()]

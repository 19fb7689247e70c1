"""Turn Latin fonts into a saved `datasets` dataset: the 94 printable ASCII characters, each in hundreds of faces.

    python scripts/make_characters.py --output_dir characters

reads the fonts of Debian's `texlive-fonts-extra`. The result loads with `datasets.load_from_disk` and has the splits
`train` and `test`, of different fonts, with five columns: `image` (square, greyscale, PNG), `label` (94 characters),
`folded` (the letter without its case), `font` (the face: one person's hand) and `family`.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from saved_datasets import add_output_flags, check_output_dir, positive_int, save

from hf_unlearn.errors import UnlearningError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

SOURCES = ["/usr/share/texlive/texmf-dist/fonts", "/usr/share/texmf/fonts"]
CHARACTERS = [chr(code) for code in range(33, 127)]
FOLDED = sorted({character.lower() for character in CHARACTERS})
# A face that lacks these is a face of pictures, or of another script, whatever it draws for the letters.
LATIN = "éäñßø"
IMAGE_SIZE = 32
FACES_PER_FAMILY = 14
TEST_SHARE = 0.2
# Faces of capitals alone have the same shapes for both cases.
LEAST_SHAPES = 60
# Glyphs are drawn at this many pixels an em, and made smaller: the same shapes at every image size.
DRAWN_SIZE = 96
MARGIN = 0.06


class UnusableFont(Exception):
    """Why a face is left out, in words."""


class Face(NamedTuple):
    """A font file, the family that it belongs to, and the name of the face."""

    path: Path
    family: str

    @property
    def font(self) -> str:
        return f"{self.family}/{self.path.stem}"


def find_faces(sources: list[Path], per_family: int, seed: int) -> list[Face]:
    """The font files below the folders, at most so many a family; a family is a folder. Chosen and ordered by `seed`.

    Raises:
        UnlearningError: no font is there.
    """
    import numpy as np

    families: dict[str, dict[str, Path]] = defaultdict(dict)
    for source in sources:
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in (".otf", ".ttf") and path.is_file():
                # Some families come in both formats; one of them is enough.
                families[path.parent.name].setdefault(path.stem, path)
    rng = np.random.default_rng(seed)
    faces = []
    for family, paths in sorted(families.items()):
        stems = sorted(paths)
        chosen = rng.permutation(len(stems))[:per_family]
        faces += [Face(paths[stems[index]], family) for index in sorted(chosen)]
    if not faces:
        folders = " and ".join(repr(str(source)) for source in sources)
        raise UnlearningError(
            f"{folders} has no .otf or .ttf font: apt-get install texlive-fonts-extra, or name folders that have some "
            "with --sources"
        )
    return [faces[index] for index in rng.permutation(len(faces))]


def draw_face(face: Face, image_size: int) -> list[Image]:
    """The 94 characters of a face, on one baseline and at one scale, so that a comma is no apostrophe.

    Raises:
        UnusableFont: the file cannot be drawn.
    """
    from PIL import ImageFont

    try:
        font = ImageFont.truetype(str(face.path), DRAWN_SIZE, layout_engine=ImageFont.Layout.BASIC)
        # Where the ink is, measured from a point on the baseline.
        boxes = {character: font.getbbox(character, anchor="ls") for character in CHARACTERS}
        extent = min(box[1] for box in boxes.values()), max(box[3] for box in boxes.values())
        return [_image(font, character, boxes[character], extent, image_size) for character in CHARACTERS]
    except (OSError, ValueError) as error:
        raise UnusableFont(f"cannot be drawn: {error}") from error


def usable_faces(faces: list[Face], skipped: dict[str, str]) -> list[Face]:
    """The faces whose files can be used; the others are added to `skipped`, with the reason."""
    from tqdm import tqdm

    usable = []
    for face in tqdm(faces, desc="Reading fonts", unit="face", delay=2, disable=None):
        try:
            check_characters(face.path)
            usable.append(face)
        except UnusableFont as error:
            skipped[str(face.path)] = str(error)
    return usable


def check_characters(path: Path) -> None:
    """Raise `UnusableFont` unless the file is a Latin font that has a shape of its own for every character."""
    from fontTools.ttLib import TTFont

    try:
        with TTFont(path, lazy=True) as font:
            glyphs = font.getBestCmap() or {}
            missing = [character for character in CHARACTERS if glyphs.get(ord(character), ".notdef") == ".notdef"]
            if not missing:
                unknown = _outline(font, ".notdef") if ".notdef" in font.getGlyphOrder() else None
                outlines = {character: _outline(font, glyphs[ord(character)]) for character in CHARACTERS}
    # Whatever a damaged file makes the reader raise, it says that the file cannot be read.
    except Exception as error:
        raise UnusableFont(f"cannot be read: {type(error).__name__} {error}".strip()) from error
    if missing:
        raise UnusableFont(f"has no {' '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}")
    foreign = [character for character in LATIN if ord(character) not in glyphs]
    if foreign:
        raise UnusableFont(f"is not Latin: it has no {' '.join(foreign)}")
    for character, outline in outlines.items():
        if not outline:
            raise UnusableFont(f"draws nothing for {character!r}")
        if outline == unknown:
            raise UnusableFont(f"draws its sign for a missing character for {character!r}")
    shapes = len(set(outlines.values()))
    if shapes < LEAST_SHAPES:
        raise UnusableFont(f"has only {shapes} shapes for {len(CHARACTERS)} characters")


def _outline(font: Any, glyph: str) -> str:
    """What a glyph's outline is drawn by, in words; empty for a blank one."""
    from fontTools.pens.recordingPen import DecomposingRecordingPen

    glyph_set = font.getGlyphSet()
    pen = DecomposingRecordingPen(glyph_set)
    glyph_set[glyph].draw(pen)
    return repr(pen.value) if pen.value else ""


def _image(
    font: FreeTypeFont, character: str, box: tuple[float, ...], extent: tuple[float, float], image_size: int
) -> Image:
    """White on black; the face's whole height fills the image, a character that is wider is drawn smaller."""
    from PIL import Image, ImageDraw

    left, _, right, _ = box
    top, bottom = extent
    side = int(max(bottom - top, right - left) / (1 - 2 * MARGIN)) + 1
    image = Image.new("L", (side, side))
    x = (side - (right - left)) / 2 - left
    y = (side - (bottom - top)) / 2 - top
    ImageDraw.Draw(image).text((x, y), character, fill=255, font=font, anchor="ls")
    return image.resize(
        (image_size, image_size), Image.Resampling.BOX if side > image_size else Image.Resampling.BICUBIC
    )


def make_split(faces: list[Face], image_size: int, max_samples: int | None, skipped: dict[str, str]) -> Dataset:
    """All characters of the faces, face by face; faces that cannot be used are added to `skipped`, with the reason."""
    from datasets import ClassLabel, Dataset, Features, Image, Value
    from tqdm import tqdm

    def rows() -> Iterator[dict[str, Any]]:
        count = 0
        for face in tqdm(faces, unit="face", delay=2, disable=None):
            try:
                images = draw_face(face, image_size)
            except UnusableFont as error:
                skipped[str(face.path)] = str(error)
                continue
            for label, image in enumerate(images):
                if count == max_samples:
                    return
                count += 1
                buffer = io.BytesIO()
                image.save(buffer, format="PNG")
                yield {
                    "image": {"bytes": buffer.getvalue(), "path": None},
                    "label": label,
                    "folded": FOLDED.index(CHARACTERS[label].lower()),
                    "font": face.font,
                    "family": face.family,
                }

    features = Features(
        {
            "image": Image(),
            "label": ClassLabel(names=CHARACTERS),
            "folded": ClassLabel(names=FOLDED),
            "font": Value("string"),
            "family": Value("string"),
        }
    )
    found = list(rows())
    if not found:
        path, reason = next(iter(skipped.items()), ("no font", "none is left"))
        raise UnlearningError(f"none of {len(faces)} fonts can be used for a split ({path}: {reason})")
    # From a list and not `Dataset.from_generator`: that one caches by a hash of its closure, outside the output.
    return Dataset.from_list(found, features=features)


def make_dataset(flags: argparse.Namespace, skipped: dict[str, str]) -> DatasetDict:
    """Both splits.

    Raises:
        UnlearningError: no font is there, or none of a split's can be used.
    """
    from datasets import DatasetDict

    faces = find_faces(flags.sources, flags.max_faces_per_family, flags.seed)
    faces = usable_faces(faces, skipped)[: flags.max_faces]
    num_test = max(1, round(TEST_SHARE * len(faces)))
    parts = {"train": (faces[num_test:], flags.max_train_samples), "test": (faces[:num_test], flags.max_test_samples)}
    return DatasetDict(
        {split: make_split(part, flags.image_size, limit, skipped) for split, (part, limit) in parts.items()}
    )


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Turn Latin fonts into a saved dataset of 94 characters.")
    parser.add_argument("--sources", type=Path, nargs="+", default=[Path(source) for source in SOURCES])
    parser.add_argument(
        "--image_size", type=positive_int, default=IMAGE_SIZE, help="pixels a side, say 32, 64, 128, 224"
    )
    parser.add_argument("--max_faces_per_family", type=positive_int, default=FACES_PER_FAMILY)
    parser.add_argument("--max_faces", type=positive_int, help="keep only so many faces, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of faces, and of the fonts of the test set")
    add_output_flags(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    flags = make_parser().parse_args(argv)
    # It complains of fonts' dates.
    logging.getLogger("fontTools").setLevel(logging.CRITICAL)
    output_dir = flags.output_dir.expanduser().resolve()
    skipped: dict[str, str] = {}
    try:
        check_output_dir(output_dir, flags.overwrite_output_dir)
        missing = [str(source) for source in flags.sources if not source.is_dir()]
        if len(missing) == len(flags.sources):
            raise UnlearningError(
                f"no such folder: {', '.join(missing)}: apt-get install texlive-fonts-extra, or name folders of fonts "
                "with --sources"
            )
        save(make_dataset(flags, skipped), output_dir)
    except UnlearningError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if skipped:
        print(f"skipped {len(skipped)} fonts:", file=sys.stderr)
        for path, reason in sorted(skipped.items()):
            print(f"  {path}: {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

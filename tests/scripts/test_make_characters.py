from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import load_from_disk
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
SPEC = importlib.util.spec_from_file_location("make_characters", SCRIPTS / "make_characters.py")
assert SPEC is not None and SPEC.loader is not None
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)
sys.path.remove(str(SCRIPTS))


def bar(width: int, height: int, bottom: int = 0):
    pen = TTGlyphPen(None)
    pen.moveTo((50, bottom))
    pen.lineTo((50 + width, bottom))
    pen.lineTo((50 + width, bottom + height))
    pen.lineTo((50, bottom + height))
    pen.closePath()
    return pen.glyph()


def write_font(path: Path, without: str = "", like_missing: str = "", empty: str = "", latin: bool = True) -> None:
    """A font in which every character is a bar of its own size.

    Args:
        without: characters that it lacks.
        like_missing: characters that it draws as it draws a missing one.
        empty: characters of which it draws nothing.
    """
    characters = [c for c in script.CHARACTERS + (list(script.LATIN) if latin else []) if c not in without]
    names = {ord(character): f"g{ord(character)}" for character in characters}
    box = bar(400, 700)
    glyphs = {".notdef": box}
    for number, character in enumerate(characters):
        low = -100 if character == "," else 0
        glyphs[f"g{ord(character)}"] = bar(100 + 5 * number, 300 + 4 * number, low)
    for character in like_missing:
        glyphs[f"g{ord(character)}"] = box
    for character in empty:
        glyphs[f"g{ord(character)}"] = TTGlyphPen(None).glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(names)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics({name: (700, 50) for name in glyphs})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)


def run(source: Path, output: Path, *options: str) -> int:
    return script.main(["--sources", str(source), "--output_dir", str(output), *options])


def test_every_character_of_every_font_with_its_labels(tmp_path, capsys):
    for family in ("one", "two"):
        for face in ("Bold", "Thin", "Wide"):
            write_font(tmp_path / "fonts" / family / f"{face}.ttf")
    assert run(tmp_path / "fonts", tmp_path / "out", "--image_size", "24") == 0
    data = load_from_disk(tmp_path / "out")
    train, test = data["train"], data["test"]
    assert len(train) == 5 * 94 and len(test) == 94
    assert not set(train["font"]) & set(test["font"])
    assert set(train["family"]) == {"one", "two"}
    labels, folded = train.features["label"], train.features["folded"]
    assert labels.names == [chr(code) for code in range(33, 127)]
    for row in test:
        name = labels.int2str(row["label"])
        assert folded.int2str(row["folded"]) == name.lower()
        assert row["image"].size == (24, 24) and row["image"].mode == "L"
        assert np.array(row["image"]).max() > 0
    assert "saved 470 train and 94 test samples" in capsys.readouterr().out


def test_characters_of_a_face_share_a_baseline_and_a_scale(tmp_path):
    write_font(tmp_path / "fonts" / "one" / "A.ttf")
    images = script.draw_face(script.Face(tmp_path / "fonts" / "one" / "A.ttf", "one"), 64)

    def rows(character: str) -> np.ndarray:
        return np.flatnonzero(np.array(images[script.CHARACTERS.index(character)]).max(axis=1) > 128)

    # A bar that goes below the baseline ends lower than one that stands on it, and a higher bar is higher.
    assert rows(",").max() > rows("A").max()
    assert abs(rows("A").max() - rows("z").max()) <= 1
    assert len(rows("z")) > len(rows("!")) + 5


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"without": "q"}, "has no q"),
        ({"like_missing": "~"}, "sign for a missing character for '~'"),
        ({"empty": "m"}, "draws nothing for 'm'"),
        ({"latin": False}, "is not Latin"),
    ],
)
def test_a_face_that_lacks_a_character_is_left_out_and_named(tmp_path, capsys, fault, reason):
    for face in ("A", "B"):
        write_font(tmp_path / "fonts" / "good" / f"{face}.ttf")
    write_font(tmp_path / "fonts" / "bad" / "Bad.ttf", **fault)
    assert run(tmp_path / "fonts", tmp_path / "out") == 0
    error = capsys.readouterr().err
    assert "skipped 1 fonts" in error
    assert "Bad.ttf" in error and reason in error
    data = load_from_disk(tmp_path / "out")
    assert {*data["train"]["font"], *data["test"]["font"]} == {"good/A", "good/B"}


def test_files_that_are_no_fonts_are_left_out_and_named(tmp_path, capsys):
    for face in ("A", "B"):
        write_font(tmp_path / "fonts" / "good" / f"{face}.ttf")
    whole = (tmp_path / "fonts" / "good" / "A.ttf").read_bytes()
    bad = {"text.ttf": b"no font at all", "empty.otf": b"", "cut.ttf": whole[: len(whole) // 2]}
    (tmp_path / "fonts" / "bad").mkdir()
    for name, content in bad.items():
        (tmp_path / "fonts" / "bad" / name).write_bytes(content)
    assert run(tmp_path / "fonts", tmp_path / "out") == 0
    error = capsys.readouterr().err
    assert "skipped 3 fonts" in error
    for name in bad:
        assert name in error


def test_at_most_so_many_faces_a_family(tmp_path):
    for number in range(6):
        write_font(tmp_path / "fonts" / "one" / f"F{number}.ttf")
    assert run(tmp_path / "fonts", tmp_path / "out", "--max_faces_per_family", "3") == 0
    data = load_from_disk(tmp_path / "out")
    assert len({*data["train"]["font"], *data["test"]["font"]}) == 3


def test_no_font_and_no_folder_are_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", tmp_path / "out") == 2
    assert "has no .otf or .ttf font" in capsys.readouterr().err
    assert run(tmp_path / "nowhere", tmp_path / "out") == 2
    assert "no such folder" in capsys.readouterr().err
    write_font(tmp_path / "bad" / "Bad.ttf", without="q")
    assert run(tmp_path / "bad", tmp_path / "out") == 2
    assert "can be used" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

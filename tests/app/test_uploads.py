"""Pictures from strangers: what is taken, under which names, and what is refused in one line."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from hf_unlearn.app import uploads
from hf_unlearn.app.room import bytes_in
from hf_unlearn.app.uploads import keep_pictures
from hf_unlearn.errors import UnlearningError


def saved(folder, name, size=(8, 6), **settings):
    path = str(folder / name)
    Image.new("RGB", size, (200, 40, 40)).save(path, **settings)
    return path


def test_pictures_are_kept_under_other_names(tmp_path):
    paths = [saved(tmp_path, "my face.jpg"), saved(tmp_path, "x.png"), saved(tmp_path, "<b>.webp")]
    # What an ending says is not what decides.
    paths.append(saved(tmp_path, "y.jpg", format="PNG"))
    folder = str(tmp_path / "kept")
    assert keep_pictures(paths, folder, 1, 9) == folder
    assert sorted(os.listdir(folder)) == ["00000.jpg", "00001.png", "00002.webp", "00003.png"]
    # Those of before are gone.
    keep_pictures(paths[:1], folder, 1, 9)
    assert os.listdir(folder) == ["00000.jpg"]


def test_what_is_kept_takes_no_further_room(tmp_path, monkeypatch):
    path, folder = saved(tmp_path, "x.png"), str(tmp_path / "kept")
    kept = os.path.join(keep_pictures([path], folder, 1, 9), "00000.png")
    assert os.path.samefile(path, kept)
    assert bytes_in([str(tmp_path)]) == bytes_in([folder]) == os.path.getsize(path)
    assert bytes_in([str(tmp_path), folder, str(tmp_path / "none")]) == os.path.getsize(path)
    # What was uploaded may go before it.
    os.remove(path)
    assert Image.open(kept).size == (8, 6)

    def refused(*args):
        raise OSError

    # Not on every disk can a file have two names.
    monkeypatch.setattr(os, "link", refused)
    path = saved(tmp_path, "y.png", size=(3, 2))
    keep_pictures([path], folder, 1, 9)
    assert Image.open(kept).size == (3, 2) and not os.path.samefile(path, kept)


def test_what_is_refused(tmp_path, monkeypatch):
    good, folder = saved(tmp_path, "good.png"), str(tmp_path / "kept")

    def refused(path, said, most=9):
        with pytest.raises(UnlearningError, match=said) as raised:
            keep_pictures([good, path], folder, 1, most)
        assert "\n" not in str(raised.value)
        assert not os.path.exists(folder)

    (tmp_path / "text.png").write_text("no picture")
    refused(str(tmp_path / "text.png"), "picture 'text.png' cannot be read")
    refused(saved(tmp_path, "x.gif"), "picture 'x.gif' cannot be read; expected a JPEG, PNG or WebP file")
    (tmp_path / "page.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    refused(str(tmp_path / "page.svg"), "'page.svg' cannot be read")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2 + 8])
    refused(str(tmp_path / "half.png"), "'half.png'.* cannot be read")
    (tmp_path / "large.png").write_bytes(whole + b"\0" * 2**20)
    refused(str(tmp_path / "large.png"), r"'large.png' has 1.0 MB; expected at most 1")
    monkeypatch.setattr(uploads, "MOST_PIXELS", 47)
    refused(good, "'good.png' has 8 × 6 pixels; expected at most 47")
    with pytest.raises(UnlearningError, match="no photographs"):
        keep_pictures([], folder, 1, 9)
    refused(good, "2 photographs were given; expected at most 1", most=1)

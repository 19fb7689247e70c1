"""The page reads what lies in its folders, and nothing else."""

from __future__ import annotations

import os

import pytest

from hf_unlearn.app.options import Options
from hf_unlearn.errors import UnlearningError


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("mine", "mine2", "out", "cwd/org/model"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mine" / "model").mkdir()
    os.symlink(tmp_path / "mine2", tmp_path / "mine" / "link")
    os.symlink(tmp_path / "mine" / "model", tmp_path / "mine2" / "back")
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def test_names_that_may_be_read(folders):
    options = Options(output_dir=str(folders / "out"), folders=(str(folders / "mine"),))
    for name in ("org/other", "name", f" {folders}/mine/model ", str(folders / "mine"), str(folders / "mine2/back")):
        assert options.checked(name, "model") == name.strip()
    assert options.checked(str(folders / "out" / "x-unlearned"), "model")


def test_names_that_may_not(folders):
    options = Options(output_dir=str(folders / "out"), folders=(str(folders / "mine"),))
    for name in (
        *(
            "/",
            "/etc",
            "..",
            "../mine2",
            str(folders / "mine2"),
            str(folders / "mine/link"),
            f"{folders}/mine/../mine2",
        ),
        # Whether it is there is not told; what is here comes before the Hub.
        *("/no/such", "org/model", "~", "a/b/c/d"),
    ):
        with pytest.raises(UnlearningError, match="is not in a folder that this page may read"):
            options.checked(name, "model")
    for name in ("https://example.com/x", "hf://datasets/a/b", "zip://a::b"):
        with pytest.raises(UnlearningError, match="is an address"):
            options.checked(name, "dataset")
    for name in ("a\x00b", "a\nb", "\ud800"):
        with pytest.raises(UnlearningError, match="has a control character"):
            options.checked(name, "model")
    with pytest.raises(UnlearningError, match="no model was named"):
        options.checked("  ", "model")


def test_settings_that_cannot_be(folders):
    with pytest.raises(UnlearningError, match="folder 'nowhere' does not exist"):
        Options(output_dir="out", folders=("nowhere",))
    with pytest.raises(UnlearningError, match="max_upload_mb is 0"):
        Options(output_dir="out", max_upload_mb=0)

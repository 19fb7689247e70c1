"""The demo, cut short: every step through the commands, everything where it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hf_unlearn.commands import demo
from hf_unlearn.commands.main import main


# The quick tests run it as a block of README.md.
@pytest.mark.slow
def test_the_whole_demo(tmp_path, capsys):
    folder = tmp_path / "demo"
    assert main(["demo", "--output_dir", str(folder), "--num_train_epochs", "4", "--forget_class", "one"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[2] for line in printed.splitlines() if line.startswith("$")] == [
        *("train", "train", "unlearn", "evaluate")
    ]
    assert {path.name for path in folder.iterdir()} == {
        *("dataset", "original", "retrained", "unlearned", "results.json", "report.html")
    }
    models = json.loads((folder / "results.json").read_text())["models"]
    assert models["original"]["forget_accuracy"] > 80 > 5 > models["unlearned"]["forget_accuracy"]
    assert models["unlearned"]["average_gap"] < 10 < models["original"]["average_gap"]
    assert "Verdict: one is forgotten." in printed
    # What it says to look at is there.
    for what in ("picture", "card"):
        (path,) = [line.split()[1] for line in printed.splitlines() if line.startswith(f"  {what} ")]
        assert Path(path).stat().st_size > 1000


def test_what_was_not_forgotten_is_said():
    figures = {"forget_accuracy": 0.0, "average_gap": 1.0}
    nothing = {"forget_accuracy": 99.0, "average_gap": 30.0}
    assert demo._verdict({"original": nothing, "unlearned": figures}, "six").startswith("six is forgotten. ")
    for worse in ({"forget_accuracy": 5.0}, {"average_gap": 31.0}):
        said = demo._verdict({"original": nothing, "unlearned": {**figures, **worse}}, "six")
        assert said.startswith("six is NOT forgotten. ")


def test_a_full_folder_is_refused_but_not_an_earlier_demos(tmp_path, capsys, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "digits_dataset", interrupt)
    for name in ("dataset", "original", "results.json"):
        (tmp_path / name).mkdir()
    assert main(["demo", "--output_dir", str(tmp_path)]) == 130
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["demo", "--output_dir", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err

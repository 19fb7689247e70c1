"""The demo, cut short: every step through the commands, everything where it says."""

from __future__ import annotations

import json

from hf_unlearn.commands.main import main


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


def test_a_full_folder_is_refused(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["demo", "--output_dir", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err

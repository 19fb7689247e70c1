"""Where a command writes to: refused before the work if it cannot, and nothing empty left if the work fails."""

from __future__ import annotations

import os
import signal

import pytest

from hf_unlearn.commands.main import main
from hf_unlearn.commands.output_folder import check_folder, check_output_dir, no_empty_folder
from hf_unlearn.errors import UnlearningError

# Nobody, root neither, can make a folder here.
NOWHERE = "/proc/x"


@pytest.mark.parametrize(
    "name", ["x" * 300, "a/" + "x" * 300, "\0", NOWHERE, f"{NOWHERE}/y", "/dev/null", "/dev/null/x"]
)
def test_a_folder_that_cannot_be_made(tmp_path, name):
    folder = name if name.startswith("/") else str(tmp_path / name)
    with pytest.raises(UnlearningError, match="^output_dir .*(cannot be written to|in, a file)"):
        check_output_dir(folder, overwrite=True)
    assert list(tmp_path.iterdir()) == []


def test_trying_leaves_nothing(tmp_path):
    check_folder(str(tmp_path / "a" / "b"), "output_dir")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    check_folder(str(tmp_path / "a"), "output_dir")
    assert [each.name for each in tmp_path.rglob("*")] == ["a"]


def test_the_sources_of_a_run_are_no_place_for_its_result(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "model")
    for name in ("model", "model/", "link", "./model/../link"):
        with pytest.raises(UnlearningError, match="is the model; expected"):
            check_output_dir(str(tmp_path / name), True, None, {"the model": f"{tmp_path}/model", "the dataset": None})
    # A name on the Hub is no folder here.
    check_output_dir(str(tmp_path / "org" / "m"), True, None, {"the model": str(tmp_path / "org" / "m")})


@pytest.mark.parametrize("error", [UnlearningError, KeyboardInterrupt, RuntimeError, SystemExit])
def test_a_failed_run_leaves_no_empty_folder(tmp_path, error):
    (tmp_path / "before").mkdir()
    for name in ("new", "a/b/c", "before", "before/new"):
        with pytest.raises(error), no_empty_folder(str(tmp_path / name)):
            os.makedirs(tmp_path / name, exist_ok=True)
            raise error
    assert [each.name for each in tmp_path.rglob("*")] == ["before"]
    with pytest.raises(error), no_empty_folder(str(tmp_path / "full")):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "checkpoint").write_text("")
        raise error
    assert (tmp_path / "full" / "checkpoint").exists()


@pytest.fixture
def words(saved_model, saved_dataset):
    """The words of a command, without where to write."""
    data = ["--dataset_name", saved_dataset, "--use_cpu"]
    model = ["--model_name_or_path", saved_model()]
    small = ["--model_type", "resnet", "--image_size", "16", "--num_train_epochs", "1"]
    return {
        "unlearn": [*model, *data, "--forget_classes", "red", "--max_steps", "1", "--num_rounds", "1"],
        "train": [*data, *small, "--config_overrides", '{"depths": [1], "hidden_sizes": [8], "embedding_size": 8}'],
        "evaluate": [*model, *data, "--forget_classes", "red", "--level", "fast"],
    }


@pytest.mark.parametrize("command", ["unlearn", "train", "evaluate", "demo"])
def test_every_command_refuses_it_before_the_work(words, command, capsys, monkeypatch):
    monkeypatch.setattr("datasets.load_from_disk", None)
    given = words.get(command, [])
    assert main([command, *given, "--output_dir", NOWHERE]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"output_dir '{NOWHERE}' cannot be written to" in line
    if command == "evaluate":
        assert main([command, *given, "--cache_dir", NOWHERE]) == 2
        assert f"cache_dir '{NOWHERE}'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["unlearn", "train"])
def test_a_home_folder_is_not_written_into(words, command, tmp_path, monkeypatch, capsys):
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "config.json").write_text("mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main([command, *words[command], "--output_dir=~/keep"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")] == ["keep", "keep/config.json"]


@pytest.mark.parametrize("command", ["unlearn", "train"])
def test_a_run_that_is_ended_leaves_nothing(words, command, tmp_path, monkeypatch, capsys):
    def ended(self, *args, **kwargs):
        os.makedirs(self.args.output_dir, exist_ok=True)
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    monkeypatch.setattr("transformers.Trainer.train", ended)
    assert main([command, *words[command], "--output_dir", str(tmp_path / "a" / "out")]) == 143
    assert list(tmp_path.iterdir()) == [] and "ended by SIGTERM" in capsys.readouterr().err

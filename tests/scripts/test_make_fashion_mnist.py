from __future__ import annotations

import gzip
import importlib.util
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import load_from_disk

PATH = Path(__file__).resolve().parents[2] / "scripts" / "make_fashion_mnist.py"
sys.path.insert(0, str(PATH.parent))
SPEC = importlib.util.spec_from_file_location("make_fashion_mnist", PATH)
assert SPEC is not None and SPEC.loader is not None
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)
sys.path.remove(str(PATH.parent))

SIZES = {"train": 20, "t10k": 10}


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, script.IDX_UINT8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))


@pytest.fixture
def source(tmp_path) -> Path:
    """A folder of four small idx files; the label of image i is i modulo 10, its pixels are all i."""
    folder = tmp_path / "source"
    folder.mkdir()
    for prefix, size in SIZES.items():
        numbers = np.arange(size, dtype=np.uint8)
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", np.broadcast_to(numbers[:, None, None], (size, 28, 28)))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", numbers % 10)
    return folder


def run(source: Path, output: Path, *options: str) -> int:
    return script.main(["--source", str(source), "--output_dir", str(output), *options])


def test_images_labels_and_superclasses(source, tmp_path, capsys):
    assert run(source, tmp_path / "out") == 0
    assert "saved 20 train and 10 test samples" in capsys.readouterr().out
    dataset = load_from_disk(tmp_path / "out")
    assert {name: len(part) for name, part in dataset.items()} == {"train": 20, "test": 10}
    sample = dataset["train"][13]
    assert sample["image"].mode == "L"
    assert sample["image"].format == "PNG"
    assert np.array_equal(np.array(sample["image"]), np.full((28, 28), 13))
    features = dataset["train"].features
    assert features["label"].int2str(sample["label"]) == "Dress"
    groups = {
        features["label"].int2str(row["label"]): features["superclass"].int2str(row["superclass"])
        for row in dataset["test"]
    }
    assert groups == {label: group for group, labels in script.SUPERCLASSES.items() for label in labels}


def test_limits(source, tmp_path):
    assert run(source, tmp_path / "out", "--max_train_samples", "3", "--max_test_samples", "2") == 0
    dataset = load_from_disk(tmp_path / "out")
    assert {name: len(part) for name, part in dataset.items()} == {"train": 3, "test": 2}


def test_missing_files_name_the_package(tmp_path, capsys):
    assert run(tmp_path, tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert "apt-get install dataset-fashion-mnist" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    # A gzip holds the time it was made at: named, or two processes collect two different tests.
    [
        pytest.param(b"not gzip", id="not gzip"),
        pytest.param(gzip.compress(b"\0\0\x0d\1"), id="another kind"),
        pytest.param(gzip.compress(b"\0\0\x08\1\0\0\0\5ab"), id="cut short"),
    ],
)
def test_broken_files(source, tmp_path, capsys, content):
    (source / "train-labels-idx1-ubyte.gz").write_bytes(content)
    assert run(source, tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert "train-labels-idx1-ubyte.gz" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_labels_that_do_not_fit_the_images(source, tmp_path, capsys):
    write_idx(source / "train-labels-idx1-ubyte.gz", np.zeros(19, dtype=np.uint8))
    assert run(source, tmp_path / "out") == 2
    assert "are not a split of Fashion-MNIST" in capsys.readouterr().err


def test_a_taken_output_folder_is_replaced_only_on_demand(source, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(source, output) == 0
    assert run(source, output, "--max_train_samples", "3") == 2
    assert "--overwrite_output_dir" in capsys.readouterr().err
    assert len(load_from_disk(output)["train"]) == 20
    assert run(source, output, "--max_train_samples", "3", "--overwrite_output_dir") == 0
    assert len(load_from_disk(output)["train"]) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_other_folders_are_never_replaced(source, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    assert run(source, tmp_path / "out", "--overwrite_output_dir") == 2
    assert "something other than a saved dataset" in capsys.readouterr().err
    assert (tmp_path / "out" / "thesis.txt").exists()

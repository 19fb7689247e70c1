from __future__ import annotations

import subprocess
import sys

import datasets
import pytest
from datasets import DatasetDict

from hf_unlearn.errors import UnlearningError
from hf_unlearn.progress import quiet_unless_terminal
from hf_unlearn.request.loading import load_image_dataset


@pytest.fixture
def load(tmp_path):
    """`load_image_dataset`, with its cache in the test's own folder."""
    return lambda name, config=None, **options: load_image_dataset(
        str(name), config, cache_dir=str(tmp_path / "cache"), **options
    )


def same_samples(loaded, expected):
    return [row["image"].tobytes() for row in loaded] == [row["image"].tobytes() for row in expected]


def test_a_saved_dataset_dict(animals, tmp_path, load):
    animals.save_to_disk(tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    assert list(loaded) == ["train", "test"]
    assert same_samples(loaded["test"], animals["test"])


def test_a_saved_split_is_called_train(animals, tmp_path, load):
    animals["test"].save_to_disk(tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    assert isinstance(loaded, DatasetDict)
    assert list(loaded) == ["train"]


def test_a_saved_split_without_rows_has_its_columns(animals, tmp_path, load):
    empty = animals["test"].select([])
    DatasetDict({**animals, "test": empty}).save_to_disk(tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    assert same_samples(loaded["train"], animals["train"])
    assert len(loaded["test"]) == 0
    assert loaded["test"].features == empty.features
    empty.save_to_disk(tmp_path / "alone")
    assert load(tmp_path / "alone")["train"].features == empty.features


def test_a_parquet_file_without_rows_has_its_columns(animals, tmp_path, load):
    (tmp_path / "data").mkdir()
    animals["train"].to_parquet(tmp_path / "data" / "train.parquet")
    animals["test"].select([]).to_parquet(tmp_path / "data" / "test.parquet")
    loaded = load(tmp_path / "data")
    assert same_samples(loaded["train"], animals["train"])
    assert len(loaded["test"]) == 0
    assert loaded["test"].features == animals["test"].features
    assert len(load(tmp_path / "data" / "test.parquet")["train"]) == 0


@pytest.mark.parametrize("name", ["data", "data/train.parquet"])
def test_data_that_was_not_fetched_is_told(name, animals, tmp_path, load):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").write_text("version https://git-lfs.github.com/spec/v1\nsize 12345\n")
    with pytest.raises(UnlearningError, match="its file 'train.parquet' is a pointer of Git LFS"):
        load(tmp_path / name)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"splits": ["train", "test", "gone"]}'])
def test_a_saved_dataset_whose_list_of_splits_is_broken_is_refused(content, animals, tmp_path, load):
    animals.save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "dataset_dict.json").write_text(content)
    with pytest.raises(UnlearningError, match="saved' cannot be loaded"):
        load(tmp_path / "saved")


def test_parquet(animals, tmp_path, load):
    (tmp_path / "data").mkdir()
    for name in animals:
        animals[name].to_parquet(tmp_path / "data" / f"{name}.parquet")
    loaded = load(tmp_path / "data")
    assert sorted(loaded) == ["test", "train"]
    assert loaded["train"].features == animals["train"].features
    alone = load(tmp_path / "data" / "test.parquet")
    assert list(alone) == ["train"]
    assert same_samples(alone["train"], animals["test"])


@pytest.mark.parametrize("said", ["", "\n \n", "\nthe disk is gone\nand more"])
def test_whatever_a_library_says_it_is_one_line(said, load, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError(said)

    monkeypatch.setattr("datasets.load_dataset", fail)
    with pytest.raises(UnlearningError) as caught:
        load("someone/cats")
    told = str(caught.value)
    assert "\n" not in told and told.endswith("the disk is gone and more" if said.strip() else "RuntimeError")


@pytest.mark.parametrize("splits", [["train", "test"], [""]])
def test_an_image_folder(animals, tmp_path, load, splits):
    for name in splits:
        for kind in ("cat", "dog"):
            (tmp_path / "images" / name / kind).mkdir(parents=True)
            animals["train"][0]["image"].save(tmp_path / "images" / name / kind / "1.png")
    loaded = load(tmp_path / "images")
    assert sorted(loaded) == sorted(name or "train" for name in splits)
    assert loaded["train"].features["label"].names == ["cat", "dog"]


ODD_NAMES = ["data [v1]", "[[x]]", "all*", "what?", "{a,b}", "h#1 %20", "größe 写真", "!no", "-dash", "a'b"]


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_a_path_is_a_path_and_no_pattern(animals, tmp_path, load, odd):
    picture = animals["train"][0]["image"]
    # Beside each a folder that the path would match as a pattern: it must not be read.
    for name in (odd, "alligator", "whatX", "data v", "x"):
        for place in (f"train/a {name}", f"train/b {name}", f"test/a {name}"):
            (tmp_path / "images" / name / place).mkdir(parents=True)
            picture.save(tmp_path / "images" / name / place / "1 [a].png")
        (tmp_path / "parquet" / name).mkdir(parents=True)
        animals["train" if name == odd else "test"].to_parquet(tmp_path / "parquet" / name / "train.parquet")
    images = load(tmp_path / "images" / odd)
    assert {split: len(part) for split, part in images.items()} == {"train": 2, "test": 1}
    assert images["train"].features["label"].names == [f"a {odd}", f"b {odd}"]
    assert same_samples(load(tmp_path / "parquet" / odd)["train"], animals["train"])
    assert same_samples(load(tmp_path / "parquet" / odd / "train.parquet")["train"], animals["train"])
    animals.save_to_disk(tmp_path / "saved" / odd)
    assert same_samples(load(tmp_path / "saved" / odd)["test"], animals["test"])


def test_paths_that_datasets_cannot_read_are_refused(animals, tmp_path, load):
    for name in ("a::b", "c [1]"):
        (tmp_path / name).mkdir()
        animals["test"].to_parquet(tmp_path / name / "train.parquet")
    with pytest.raises(UnlearningError, match="has '::' in its path"):
        load(tmp_path / "a::b")
    (tmp_path / "c [1]" / "README.md").write_text("---\nlicense: mit\n---\n")
    assert len(load(tmp_path / "c [1]")["train"]) == 6
    readme = "---\nconfigs:\n- config_name: full\n  data_files: train.parquet\n---\n"
    (tmp_path / "c [1]" / "README.md").write_text(readme)
    with pytest.raises(UnlearningError, match="configurations in its README.md, .* expected a folder of another name"):
        load(tmp_path / "c [1]", "full")


def test_a_sub_folder_is_a_configuration(animals, tmp_path, load):
    animals.save_to_disk(tmp_path / "data" / "full")
    animals["test"].save_to_disk(tmp_path / "data" / "forget10")
    assert len(load(tmp_path / "data", "forget10")["train"]) == 6
    with pytest.raises(UnlearningError, match="has no configuration 'forget1'; did you mean 'forget10'"):
        load(tmp_path / "data", "forget1")


def test_configurations_of_a_readme(animals, tmp_path, load):
    (tmp_path / "data").mkdir()
    for name in animals:
        animals[name].to_parquet(tmp_path / "data" / f"{name}.parquet")
    (tmp_path / "data" / "README.md").write_text(
        "---\nconfigs:\n- config_name: full\n  data_files: train.parquet\n"
        "- config_name: forget10\n  data_files: test.parquet\n---\n"
    )
    assert len(load(tmp_path / "data", "forget10")["train"]) == 6
    with pytest.raises(UnlearningError, match="no configuration 'zzz'; there are: 'full', 'forget10'"):
        load(tmp_path / "data", "zzz")
    with pytest.raises(UnlearningError, match="several configurations, name one of: 'full', 'forget10'"):
        load(tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "there is no such file or folder"),
        ("empty", "cannot be loaded: The directory at .* doesn't contain any data files"),
        ("table.csv", "is a file, but neither a .parquet one nor a picture"),
        ("broken.parquet", "cannot be loaded: "),
    ],
)
def test_bad_paths(tmp_path, load, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.parquet").write_bytes(b"no")
    with pytest.raises(UnlearningError, match=message) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_saved_dataset_has_no_configurations(animals, tmp_path, load):
    animals.save_to_disk(tmp_path / "saved")
    with pytest.raises(UnlearningError, match="has no configuration 'x'; it has none to choose from"):
        load(tmp_path / "saved", "x")


def test_a_saved_dataset_that_lost_a_file(animals, tmp_path, load):
    animals["test"].save_to_disk(tmp_path / "saved")
    next((tmp_path / "saved").glob("*.arrow")).unlink()
    with pytest.raises(UnlearningError, match="cannot be loaded"):
        load(tmp_path / "saved")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            datasets.exceptions.DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub"),
            "is neither a local",
        ),
        (
            datasets.exceptions.DatasetNotFoundError("Dataset 'a/b' is a gated dataset"),
            "is gated: ask for access",
        ),
        (datasets.exceptions.DatasetNotFoundError("Revision 'v9' doesn't exist"), "has no revision 'v9'"),
        (ConnectionError("Couldn't reach 'a/b' on the Hub"), "the Hugging Face Hub cannot be reached"),
        (
            RuntimeError("Dataset scripts are no longer supported\nmore"),
            "cannot be loaded: Dataset scripts .*supported more$",
        ),
    ],
)
def test_what_the_hub_answers_is_told_in_one_line(monkeypatch, load, error, message):
    def load_dataset(*args, **kwargs):
        assert "trust_remote_code" not in kwargs
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(UnlearningError, match=f"dataset 'a/b' .*{message}"):
        load("a/b", revision="v9")


def test_an_unknown_configuration_on_the_hub(monkeypatch, load):
    def load_dataset(*args, **kwargs):
        raise ValueError("BuilderConfig 'forget1' not found. Available: [...]")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets, "get_dataset_config_names", lambda *args, **kwargs: ["full", "forget10"])
    with pytest.raises(UnlearningError, match="'a/b' has no configuration 'forget1'; did you mean 'forget10'"):
        load("a/b", "forget1")


def test_configurations_that_cannot_be_listed(monkeypatch, load):
    def load_dataset(*args, **kwargs):
        raise ValueError("Config name is missing.\nPlease pick one among the available configs: ...")

    def unreachable(*args, **kwargs):
        raise ConnectionError

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets, "get_dataset_config_names", unreachable)
    with pytest.raises(UnlearningError, match="'a/b' has several configurations, name one$"):
        load("a/b")


def test_bars_are_hidden_only_while_loading():
    # A command of another test may have hidden them for good.
    datasets.enable_progress_bars()
    assert not datasets.are_progress_bars_disabled()
    with quiet_unless_terminal():
        assert datasets.are_progress_bars_disabled()
    assert not datasets.are_progress_bars_disabled()


def test_importing_the_room_is_light():
    code = "import sys, hf_unlearn.request as room; room.ForgetRequest; print('datasets' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_every_public_name_is_there():
    import hf_unlearn.request as room

    assert all(getattr(room, name) for name in room.__all__)
    with pytest.raises(AttributeError):
        _ = room.nothing

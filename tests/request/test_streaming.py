"""A request's samples fetched by themselves: the splits of the whole dataset, and hardly more bytes than they have."""

from __future__ import annotations

import io

import numpy as np
import pytest
from datasets import Array2D, ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PilImage

from hf_unlearn import ForgetRequest, UnlearningError, make_splits, stream_splits
from tests.hub import Fault
from tests.hub.clients import add_dataset, pointed_here
from tests.hub.fixtures import WRITE_TOKEN
from tests.hub.server import LocalHub

CLASSES = [f"class {number}" for number in range(8)]
PER_CLASS = 60


def jpeg(rng, size=128):
    buffer = io.BytesIO()
    PilImage.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photos():
    """Eight classes one after the other, three shots of a person in a row; about 20 kB an image."""
    rng = np.random.default_rng(0)
    count = PER_CLASS * len(CLASSES)
    rows = {
        "image": [{"bytes": jpeg(rng), "path": f"{row}.jpg"} for row in range(count)],
        "label": [row // PER_CLASS for row in range(count)],
        "person": [f"p{row // 3}" for row in range(count)],
        "tags": [["a", "b"]] * count,
    }
    features = {"image": Image(), "label": ClassLabel(names=CLASSES), "person": Value("string")}
    # What nobody asks for, whatever it is: it is not read.
    rows["grid"] = [[[1, 2], [3, 4]]] * count
    others = {"tags": List(Value("string")), "grid": Array2D((2, 2), "int8")}
    train = Dataset.from_dict(rows, features=Features({**features, **others}))
    return DatasetDict(train=train, test=train.select(range(0, count, 20)))


@pytest.fixture(scope="module")
def stocked(photos, tmp_path_factory):
    """A Hub with that dataset as it is pushed today (`org/photos`) and in two files of small row groups, as of old."""
    home = tmp_path_factory.mktemp("stock")
    with LocalHub() as hub:
        hub.add_token(WRITE_TOKEN, "writer", organisations=("org",))
        add_dataset(hub, "org/photos", photos, home=home, private=True)
        add_dataset(hub, "org/of-old", Dataset.from_dict({"number": [1]}), home=home)
        api_files = {}
        for number in (0, 1):
            part = photos["train"].shard(2, number, contiguous=True)
            part.to_parquet(
                home / "part.parquet", batch_size=20, write_page_index=False, use_content_defined_chunking=False
            )
            api_files[f"data/train-0000{number}-of-00002.parquet"] = (home / "part.parquet").read_bytes()
        with hub.unobserved(), pointed_here(hub, home, WRITE_TOKEN):
            from huggingface_hub import CommitOperationAdd, HfApi

            api = HfApi()
            api.create_repo("org/old", repo_type="dataset")
            operations = [CommitOperationAdd(name, content) for name, content in api_files.items()]
            api.create_commit("org/old", operations, repo_type="dataset", commit_message="two files")
        yield hub


@pytest.fixture
def hub(stocked, tmp_path):
    with pointed_here(stocked, tmp_path / "hf-home", WRITE_TOKEN):
        stocked.clear()
        yield stocked


def encoded(dataset):
    return [row["bytes"] for row in dataset.cast_column("image", Image(decode=False))["image"]]


REQUESTS = {
    "class": ({"classes": "class 3"}, "class"),
    "where": ({"where": {"person": ("p50",)}}, "subset"),
    "where of a class": ({"where": {"label": ("class 3",)}}, "class"),
    "indices": ({"indices": (0, 1, 300, 479)}, "subset"),
    "count": ({"count": 7, "seed": 3}, "subset"),
    "sub-class": ({"subclasses": ("p0", "p1"), "subclass_column": "person"}, "subclass"),
}


@pytest.mark.parametrize("repository", ["org/photos", "org/old"])
@pytest.mark.parametrize("name", REQUESTS)
def test_it_is_the_same_request_on_the_whole_dataset(hub, photos, repository, name):
    fields, kind = REQUESTS[name]
    request = ForgetRequest(**fields)
    streamed = stream_splits(repository, request)
    whole = make_splits(DatasetDict(train=photos["train"]), request, dataset_name=repository)
    assert streamed.retain is None and streamed.test is None
    assert streamed.fingerprint == whole.fingerprint and streamed.request == whole.request
    assert streamed.forget_kind == whole.forget_kind == kind
    assert streamed.forgotten_class_ids == whole.forgotten_class_ids
    assert streamed.forget_indices.tolist() == whole.forget_indices.tolist()
    assert encoded(streamed.forget) == encoded(whole.forget)
    assert streamed.forget_labels().tolist() == whole.forget_labels().tolist()


@pytest.mark.parametrize("repository", ["org/photos", "org/old"])
@pytest.mark.parametrize("fields", [{"classes": "class 5"}, {"where": {"label": ("class 0", "class 1")}}])
def test_hardly_more_is_served_than_the_forget_set(hub, repository, fields):
    told = []
    streamed = stream_splits(repository, ForgetRequest(**fields), report=told.append)
    wanted = sum(map(len, encoded(streamed.forget)))
    # The label column is a few hundred bytes.
    assert wanted < hub.bytes_sent() < 2 * wanted
    assert not any(request.sent > 2 * wanted for request in hub.requests)
    (line,) = told
    assert f"fetching {len(streamed.forget)} images of {repository}" in line and "MB of 9." in line


def test_a_test_set_comes_only_where_one_is_asked_for(hub, photos):
    request = ForgetRequest(classes="class 5")
    streamed = stream_splits("org/photos", request, test_split="test")
    assert encoded(streamed.test) == encoded(photos["test"]) and streamed.test_split == "test"
    assert streamed.test_forgotten.tolist() == [label == 5 for label in photos["test"]["label"]]
    fetched = {request.path.rpartition("/")[2] for request in hub.requests if request.sent > 50_000}
    elsewhere = photos["test"].rename_columns({"image": "picture", "label": "animal"})
    other = stream_splits("org/photos", request, test=elsewhere)
    assert other.test_forgotten.tolist() == streamed.test_forgotten.tolist()
    assert fetched == {"train-00000-of-00001.parquet", "test-00000-of-00001.parquet"}
    assert other.fingerprint == streamed.fingerprint


def test_of_two_columns_of_classes_the_request_leaves_one(photos, tmp_path):
    two = photos["train"].rename_column("label", "kind")
    two = two.add_column("maker", [row % 3 for row in range(len(two))], feature=ClassLabel(names=["x", "y", "z"]))
    two.to_parquet(tmp_path / "train.parquet")
    request = ForgetRequest(where={"maker": ("y",)})
    streamed, whole = stream_splits(str(tmp_path), request), make_splits(DatasetDict(train=two), request)
    assert streamed.label_column == whole.label_column == "kind"
    assert encoded(streamed.forget) == encoded(whole.forget)
    with pytest.raises(UnlearningError, match="several columns of class labels"):
        stream_splits(str(tmp_path), ForgetRequest(classes=("y",)))


def test_a_folder_of_parquet_files(photos, tmp_path):
    photos["train"].to_parquet(tmp_path / "train.parquet")
    streamed = stream_splits(str(tmp_path), ForgetRequest(classes="class 1"))
    assert encoded(streamed.forget) == encoded(photos["train"].select(range(60, 120)))


def test_images_as_bytes_alone_and_as_paths(photos, tmp_path):
    import pyarrow
    import pyarrow.parquet

    few = photos["train"].select([0, 70, 71])
    table = pyarrow.table({"image": encoded(few), "label": ["a", "b", "b"]})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    streamed = stream_splits(str(tmp_path), ForgetRequest(classes=("b",)))
    assert encoded(streamed.forget) == encoded(few)[1:]
    paths = table.set_column(0, "image", pyarrow.array(["a.jpg", "b.jpg", "c.jpg"]))
    (tmp_path / "paths").mkdir()
    pyarrow.parquet.write_table(paths, tmp_path / "paths" / "train.parquet")
    with pytest.raises(UnlearningError, match="column 'image' .*paths|no column of images"):
        stream_splits(str(tmp_path / "paths"), ForgetRequest(classes=("b",)))


def test_bad_input(hub, tmp_path):
    def refused(name="org/photos", said="", **fields):
        options = {key: fields.pop(key) for key in list(fields) if key.endswith(("_split", "_name", "_revision"))}
        with pytest.raises(UnlearningError, match=said) as raised:
            stream_splits(name, ForgetRequest(**(fields or {"classes": "class 1"})), **options)
        assert "\n" not in str(raised.value)

    refused(said="did you mean 'class 1'", classes="clas 1")
    refused(said="no row has 'p999'", where={"person": ("p999",)})
    refused(said="'perso' does not exist", where={"perso": ("p9",)})
    refused(said="does not hold plain values", where={"image": ("x",)})
    refused(said="does not hold plain values", where={"tags": ("a",)})
    refused(said="is the forget set itself", split="test")
    refused(said="did you mean 'train'", train_split="trian")
    refused(said="did you mean 'test'", test_split="tset")
    refused(said="does not exist", image_column_name="picture")
    refused(said="has no revision 'nosuch'", dataset_revision="nosuch")
    refused(name="org/of-old", said="no column of images")
    refused(name="org/nothing", said="neither a local folder nor a dataset on the Hub")
    assert not any(request.sent > 50_000 for request in hub.requests), (
        "nothing is fetched for a request that is refused"
    )
    jpeg_folder = tmp_path / "photos" / "red"
    jpeg_folder.mkdir(parents=True)
    (jpeg_folder / "1.jpg").write_bytes(jpeg(np.random.default_rng(0)))
    refused(name=str(tmp_path / "photos"), said="not stored as parquet .it holds '1.jpg'")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.parquet").write_bytes(b"PAR1 it is not")
    refused(name=str(tmp_path / "broken"), said="'a.parquet' cannot be read: it is no parquet file")


@pytest.mark.parametrize("kind", ["503", "reset", "cut"])
def test_trouble_on_the_way_is_tried_again_and_then_said(hub, client_waits, kind):
    request = ForgetRequest(classes="class 1")
    expected = encoded(stream_splits("org/photos", request).forget)
    # The files that `datasets` asks for are in the cache by now: what is fetched are pieces of parquet files.
    hub.clear()
    hub.inject(Fault(kind, "resolve", method="GET", times=1))
    assert encoded(stream_splits("org/photos", request).forget) == expected
    hub.clear()
    hub.inject(Fault(kind, "resolve", method="GET", times=100))
    with pytest.raises(UnlearningError, match="'org/photos'") as raised:
        stream_splits("org/photos", request)
    assert "\n" not in str(raised.value)


def test_a_folder_whose_path_reads_like_a_pattern(photos, tmp_path):
    few = photos["train"].select(range(0, 480, 40))
    for name in ("data [v1]", "all*", "alligator"):
        (tmp_path / name).mkdir()
        few.select(range(6) if name == "alligator" else range(12)).to_parquet(tmp_path / name / "train-[a].parquet")
        few.select([0, 1]).to_parquet(tmp_path / name / "test.parquet")
    request = ForgetRequest(classes="class 2")
    for name in ("data [v1]", "all*"):
        streamed = stream_splits(str(tmp_path / name), request, test_split="test")
        assert len(streamed.forget) == 2 and len(streamed.test) == 2
        assert streamed.forget_indices.tolist() == [3, 4]


def test_unreadable_images_are_left_out_where_asked(photos, tmp_path):
    few = photos["train"].select(range(0, 480, 40)).cast_column("image", Image(decode=False))
    images = [each["image"] if row != 3 else {"bytes": b"no image", "path": None} for row, each in enumerate(few)]
    few.remove_columns("image").add_column("image", images, feature=Image()).to_parquet(tmp_path / "train.parquet")
    request = ForgetRequest(classes="class 2")
    assert stream_splits(str(tmp_path), request).forget_indices.tolist() == [3, 4]
    streamed = stream_splits(str(tmp_path), request, skip_unreadable=True)
    assert streamed.forget_indices.tolist() == [4] and len(streamed.forget) == streamed.fingerprint.num_forget == 1

from __future__ import annotations

import io

import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.columns import as_image_column, find_image_column, find_label_column


@pytest.fixture
def structs(animals) -> Dataset:
    """The train split with its images as structs {bytes, path}, as plain Arrow readers give them."""
    rows = [{"picture": {"bytes": b"\x89PNG", "path": "a.png"}, "kind": "cat"}]
    return Dataset.from_list(rows)


def test_columns_are_found_from_the_features(animals):
    assert find_image_column(animals["train"]) == "image"
    assert find_label_column(animals["train"]) == "label"


def test_the_column_called_label_wins_over_other_classes(animals):
    renamed = animals["train"].rename_column("label", "labels")
    assert find_label_column(renamed) == "labels"


def test_the_subclass_column_is_not_the_label_column(animals):
    assert find_label_column(animals["train"], exclude="label") == "fine"


def test_names_override(animals):
    assert find_label_column(animals["train"], "fine") == "fine"
    assert find_label_column(animals["train"], "country") == "country"
    assert find_label_column(animals["train"], "owner") == "owner"


def test_encoded_structs_are_images(structs):
    assert find_image_column(structs) == find_image_column(structs, "picture") == "picture"
    assert isinstance(as_image_column(structs, "picture").features["picture"], Image)


def other_forms(tmp_path, pictures):
    """The same pictures in other forms: features and values."""
    encoded, paths = [], []
    for row, picture in enumerate(pictures):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        encoded.append(buffer.getvalue())
        paths.append(str(tmp_path / f"{row}.PNG"))
        (tmp_path / f"{row}.PNG").write_bytes(encoded[-1])
    return {
        "bytes": (Value("binary"), encoded),
        "large bytes": (Value("large_binary"), encoded),
        "struct of bytes": ({"bytes": Value("binary")}, [{"bytes": each} for each in encoded]),
        "struct of paths": ({"path": Value("string")}, [{"path": each} for each in paths]),
        "paths": (Value("string"), paths),
    }


@pytest.mark.parametrize("form", ["bytes", "large bytes", "struct of bytes", "struct of paths", "paths"])
@pytest.mark.parametrize("rows", [[0, 1, 2], [2, 0]])
def test_images_in_other_forms_are_images(animals, tmp_path, form, rows):
    pictures = animals["train"][:3]["image"]
    feature, values = other_forms(tmp_path, pictures)[form]
    features = Features({"seen": feature, "title": Value("string"), "label": ClassLabel(names=["a", "b"])})
    columns = {"seen": values, "title": ["a b", "c.pdf", ""], "label": [0, 1, 0]}
    dataset = Dataset.from_dict(columns, features=features).select(rows)
    assert find_image_column(dataset) == find_image_column(dataset, "seen") == "seen"
    made = as_image_column(dataset, "seen")
    assert [each.tobytes() for each in made["seen"]] == [pictures[row].tobytes() for row in rows]
    beside = made.add_column("thumbnail", [b""] * len(rows), feature=Value("binary"))
    assert find_image_column(beside) == "seen", "what is an image comes first"


def test_ready_pixels_and_text_are_no_images():
    rows = {"pixel_values": [[[[0, 1]]]], "title": ["no.pdf"], "bytes": [{"bytes": 3, "size": 4}], "none": [None]}
    dataset = Dataset.from_dict(rows)
    for name in rows:
        with pytest.raises(UnlearningError, match=f"image column {name!r} does not hold images; columns that do: none"):
            find_image_column(dataset, name)


def test_undecoded_images_are_decoded_again(animals):
    undecoded = animals["train"].cast_column("image", Image(decode=False))
    assert as_image_column(undecoded, "image")[0]["image"].size == (4, 4)


@pytest.mark.parametrize(
    ("find", "name", "message"),
    [
        (find_image_column, "imgae", "image column 'imgae' does not exist; did you mean 'image'"),
        (find_image_column, "zzz", "does not exist; there are: 'image', 'label', 'fine', 'owner', 'country'"),
        (find_image_column, "label", "does not hold images; columns that do: 'image'"),
        (find_label_column, "lable", "label column 'lable' does not exist; did you mean 'label'"),
        (find_label_column, "image", "does not hold class labels, .* 'label', 'fine', 'owner', 'country'"),
    ],
)
def test_wrong_names(animals, find, name, message):
    with pytest.raises(UnlearningError, match=message):
        find(animals["train"], name)


def test_no_images(animals):
    with pytest.raises(UnlearningError, match="no column of images; there are: 'label'"):
        find_image_column(animals["train"].remove_columns("image"))


def test_no_labels(animals):
    with pytest.raises(UnlearningError, match="no column of class labels; name one if .* 'owner', 'country'"):
        find_label_column(animals["train"].remove_columns(["label", "fine"]))


def test_several_images(animals):
    train = animals["train"]
    two = train.add_column("mask", [{"bytes": b"", "path": None}] * len(train), feature=Image())
    with pytest.raises(UnlearningError, match="several columns of images, name one of: 'image', 'mask'"):
        find_image_column(two)


def test_several_labels(animals):
    with pytest.raises(UnlearningError, match="several columns of class labels, name one of: 'kind', 'fine'"):
        find_label_column(animals["train"].rename_column("label", "kind").select_columns(["kind", "fine"]))


def test_structs_that_are_no_images_are_refused():
    with pytest.raises(UnlearningError, match="column 'picture' cannot be read as images: "):
        as_image_column(Dataset.from_dict({"picture": [{"bytes": 3}]}), "picture")

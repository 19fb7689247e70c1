"""Labels that do not match by name, by the commands: mapped, counted otherwise, or hard to write."""

from __future__ import annotations

import json
import shlex

import pytest
import torch
import yaml
from datasets import ClassLabel, DatasetDict, Value

from hf_unlearn.commands.main import main
from hf_unlearn.errors import warn_once
from hf_unlearn.publishing.markup import as_markdown
from tests.tiny import make_dataset, make_model, make_processor

NAMES = ["tench, Tinca tinca", 'a "great" | white', "crane's <b>`bill`</b>", "crane"]
QUICK = ["--use_cpu", "--max_steps", "2", "--stop_rule", "steps"]


@pytest.fixture(autouse=True)
def said_anew():
    warn_once.cache_clear()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_model(label_names=NAMES[::-1]).save_pretrained(folder)
    make_processor().save_pretrained(folder)
    return str(folder)


def save(folder, feature, of_label=lambda label: label):
    def labelled(part):
        labels = [of_label(label) for label in part["label"]]
        return part.remove_columns("label").add_column("label", labels, feature=feature)

    parts = {"train": labelled(make_dataset(24)), "test": labelled(make_dataset(8, seed=1))}
    DatasetDict(parts).save_to_disk(str(folder))
    return str(folder)


def run(*words):
    return main([str(word) for word in words])


def warned(capsys) -> list[str]:
    """What was warned of, but for that these models were never trained."""
    lines = capsys.readouterr().err.splitlines()
    return [line for line in lines if ": warning: " in line and "before unlearning the model gives" not in line]


def test_names_that_are_hard_to_write_go_all_the_way(model, tmp_path, capsys):
    data = save(tmp_path / "data", ClassLabel(names=NAMES))
    flags = {"model_name_or_path": model, "dataset_name": data, "output_dir": str(tmp_path / "out")}
    settings = {**flags, "forget_classes": NAMES[:3], "use_cpu": True, "max_steps": 2, "stop_rule": "steps"}
    # Of a model that learned nothing there is no unfamiliar input, and a warning.
    settings["features_weight"] = 0.0
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    assert run("unlearn", "--config", tmp_path / "run.yaml") == 0
    record = json.loads((tmp_path / "out" / "unlearning.json").read_text())
    assert record["request"]["classes"] == sorted(NAMES[:3])
    card = (tmp_path / "out" / "README.md").read_text()
    assert "tench, Tinca tinca" in card and as_markdown("<b>`bill`</b>") in card
    assert shlex.join(sorted(NAMES[:3])) in card
    # One name in a YAML file is one class, commas or not.
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**settings, "forget_classes": NAMES[0]}))
    assert run("unlearn", "--config", tmp_path / "run.yaml", "--output_dir", tmp_path / "one") == 0
    record = json.loads((tmp_path / "one" / "unlearning.json").read_text())
    assert record["request"]["classes"] == NAMES[:1]
    assert run("evaluate", "--model", tmp_path / "one", "--dataset_name", data, "--forget_classes", NAMES[0]) == 0
    assert not warned(capsys)


def test_a_mapping_serves_every_command(model, tmp_path, capsys):
    wnids = ["n01", "n02", "n03", "n04"]
    data = save(tmp_path / "data", ClassLabel(names=wnids))
    mapping = tmp_path / "labels.json"
    mapping.write_text(json.dumps({**dict(zip(wnids, NAMES, strict=True)), "n04": 0}))
    common = ["--dataset_name", data, "--label_mapping", mapping, "--forget_classes", "n02", "--use_cpu"]
    assert run("unlearn", "--model_name_or_path", model, *common, *QUICK, "--output_dir", tmp_path / "out") == 0
    # In a file of settings the mapping may stand itself, and the request may name a class as the model does.
    written = {"label_mapping": dict(zip(wnids, NAMES, strict=True)), "forget_classes": NAMES[1], "dataset_name": data}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**written, "model_name_or_path": model}))
    assert run("unlearn", "--config", tmp_path / "run.yaml", *QUICK, "--output_dir", tmp_path / "again") == 0
    requests = [json.loads((tmp_path / out / "unlearning.json").read_text())["request"] for out in ("out", "again")]
    assert requests[0] == requests[1]
    record = (tmp_path / "out" / "unlearning.json").read_text()
    # What the dataset calls its other labels is nobody's business.
    assert json.loads(record)["dataset"]["label_mapping"] == "given" and "n01" not in record
    train = ["--model_type", "resnet", "--image_size", 16, "--num_train_epochs", 1]
    train += ["--config_overrides", '{"embedding_size": 8, "hidden_sizes": [8], "depths": [1]}']
    # What is trained knows the labels by the names that they go to.
    mapping.write_text(json.dumps(dict(zip(wnids, NAMES, strict=True))))
    assert run("train", *train, *common, "--output_dir", tmp_path / "reference") == 0
    config = json.loads((tmp_path / "reference" / "config.json").read_text())
    assert list(config["id2label"].values()) == NAMES
    words = ["--model", tmp_path / "out", "--reference_model", tmp_path / "reference", "--level", "fast"]
    assert run("evaluate", *words, *common) == 0
    assert not warned(capsys)
    assert run("evaluate", *words, *common[:2], *common[4:], "--output_dir", tmp_path / "none") == 2
    assert "the model lacks the labels 'n01'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("feature", "of_label", "flags", "forget", "said"),
    [
        (Value("int64"), lambda label: label, [], "2", "taken by their ids"),
        (Value("int32"), lambda label: label + 1, [], "2", "taken in their order, as there are 4 on both sides"),
        (Value("float64"), lambda label: 10 * label, ["--label_mapping", "order"], "20", ""),
        (Value("int64"), lambda label: label % 2, ["--label_mapping", "id"], "1", ""),
        (Value("bool"), lambda label: label > 1, [], "True", "taken by their ids"),
        (Value("string"), lambda label: NAMES[label].upper(), [], NAMES[3].upper(), ""),
    ],
)
def test_columns_of_other_types(model, tmp_path, capsys, feature, of_label, flags, forget, said):
    data = save(tmp_path / "data", feature, of_label)
    words = ["--model_name_or_path", model, "--dataset_name", data, "--forget_classes", forget, *flags, *QUICK]
    assert run("unlearn", *words, "--output_dir", tmp_path / "out") == 0
    lines = warned(capsys)
    assert len(lines) == bool(said) and all(said in line for line in lines)
    record = json.loads((tmp_path / "out" / "unlearning.json").read_text())
    assert record["request"]["classes"] == [forget]


def test_fine_tuning_goes_on_with_a_head_of_the_same_labels(model, tmp_path):
    """A head whose labels are the dataset's in another order keeps them; another head is a new one."""
    data = save(tmp_path / "data", ClassLabel(names=NAMES))
    few = ["--use_cpu", "--max_steps", "1", "--learning_rate", "1e-12"]
    assert (
        run("train", "--model_name_or_path", model, "--dataset_name", data, *few, "--output_dir", tmp_path / "a") == 0
    )
    assert list(json.loads((tmp_path / "a" / "config.json").read_text())["id2label"].values()) == NAMES[::-1]
    # As many digits are the classes of something else.
    other = ["--dataset_name", save(tmp_path / "other", ClassLabel(num_classes=4)), *few]
    assert run("train", "--model_name_or_path", model, *other, "--output_dir", tmp_path / "b") == 0
    assert list(json.loads((tmp_path / "b" / "config.json").read_text())["id2label"].values()) == ["0", "1", "2", "3"]


def test_ids_that_count_from_1_are_taken_in_order_when_asked(tmp_path, saved_dataset, capsys):
    made = make_model()
    made.config.id2label = {class_id + 1: name for class_id, name in made.config.id2label.items()}
    made.config.label2id = {name: class_id for class_id, name in made.config.id2label.items()}
    made.save_pretrained(tmp_path / "model")
    make_processor().save_pretrained(tmp_path / "model")
    words = ["--dataset_name", saved_dataset, "--forget_classes", "grey", "--use_cpu"]
    assert run("unlearn", "--model_name_or_path", tmp_path / "model", *words, "--output_dir", tmp_path / "no") == 2
    assert "ids 1 to 4, but its outputs are 0 to 3" in capsys.readouterr().err
    words += ["--label_mapping", "order"]
    for command, model in (("unlearn", tmp_path / "model"), ("evaluate", tmp_path / "out")):
        flags = QUICK[1:] if command == "unlearn" else ["--level", "fast"]
        assert run(command, "--model_name_or_path", model, *words, *flags, "--output_dir", tmp_path / "out") == 0


def test_a_model_that_does_not_know_the_samples_is_told_of(tmp_path, saved_dataset, capsys):
    """Names in another order than the outputs are looks like nothing else, and nobody could tell afterwards."""
    made = make_model()
    with torch.no_grad():
        made.classifier[1].bias[1] = 100.0
    made.save_pretrained(tmp_path / "model")
    make_processor().save_pretrained(tmp_path / "model")
    words = ["--model_name_or_path", tmp_path / "model", "--dataset_name", saved_dataset, *QUICK]
    for forgotten, said in (("red", True), ("green", False)):
        assert run("unlearn", *words, "--forget_classes", forgotten, "--output_dir", tmp_path / forgotten) == 0
        captured = capsys.readouterr()
        warning = "before unlearning the model gives 0.0 % of the forget samples their label"
        assert (f"  WARNING: {warning}" in captured.out) is said
        assert (f"hf-unlearn unlearn: warning: {warning}" in captured.err) is said


def test_one_of_two_classes_of_one_name_by_its_id(tmp_path, capsys):
    made = make_model()
    made.config.id2label = {0: "crane", 1: "green", 2: "crane", 3: "grey"}
    made.save_pretrained(tmp_path / "model")
    make_processor().save_pretrained(tmp_path / "model")
    make_dataset(4).select_columns(["image"]).save_to_disk(str(tmp_path / "photos"))
    words = ["--model_name_or_path", tmp_path / "model", "--forget_dataset", tmp_path / "photos"]
    words += ["--forget_kind", "class", *QUICK]
    assert run("unlearn", *words, "--forget_label", "crane", "--output_dir", tmp_path / "out") == 2
    assert "'crane' (id 0), 'crane' (id 2)" in capsys.readouterr().err
    assert run("unlearn", *words, "--forget_label", "2", "--output_dir", tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ('{"red": "tensh"}', "label_mapping: 'tensh' is not a label of the model; did you mean 'tench, Tinca tinca'"),
        ('{"red": 0, "blue": 0}', "both go to the model's label"),
        ('{"rad": 0}', "'rad' is not a label of this dataset; did you mean 'red'"),
        ('{"red": 0}', "the model lacks the labels 'green', 'blue', 'grey'"),
        ('["red"]', "holds a list"),
        ("{", "is not JSON"),
    ],
)
def test_bad_mappings_are_refused(model, saved_dataset, tmp_path, capsys, mapping, message):
    (tmp_path / "labels.json").write_text(mapping)
    words = [
        "--model_name_or_path",
        model,
        "--dataset_name",
        saved_dataset,
        "--label_mapping",
        tmp_path / "labels.json",
    ]
    assert run("unlearn", *words, "--forget_classes", "red", *QUICK, "--output_dir", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("hf-unlearn unlearn: error: ") and message in line
    assert not (tmp_path / "out").exists()

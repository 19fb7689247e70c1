"""Models by name, folder or as they are, compared; what their makers recorded; how the figures show themselves."""

from __future__ import annotations

import inspect
import json
import os
from html.parser import HTMLParser

import pytest
import torch
from datasets import DatasetDict

import hf_unlearn
from hf_unlearn import ForgetRequest, UnlearningError, compare, make_splits
from hf_unlearn.evaluation.contest import compare_models
from hf_unlearn.evaluation.loading import recorded_seconds
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.request.kept import keep_forget_set
from tests.hub.clients import add_model
from tests.tiny import make_adapter, make_dataset, make_model, make_processor

WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.fixture(scope="module")
def data():
    return DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})


@pytest.fixture(scope="module")
def splits(data):
    return make_splits(data, ForgetRequest(classes=("red",)))


@pytest.fixture
def save(tmp_path):
    """A function that gives the folder of a saved model."""

    def to_folder(name, model=None, **files):
        folder = tmp_path / name
        (model or make_model()).save_pretrained(folder)
        make_processor().save_pretrained(folder)
        for file, values in files.items():
            (folder / f"{file}.json").write_text(json.dumps(values))
        return str(folder)

    return to_folder


def figures(results):
    """Figures by role, without the models' names."""
    return {role: {key: value for key, value in each.items() if key != "name"} for role, each in results.items()}


def test_names_folders_objects_and_contestants_are_one(splits, save):
    models = [make_model(seed=seed) for seed in range(3)]
    folders = [save(str(seed), model) for seed, model in enumerate(models)]
    by_folder = compare(folders[1], original=folders[0], references=[folders[2]], splits=splits, level="fast")
    loaded = [type(model).from_pretrained(folder) for model, folder in zip(models, folders, strict=True)]
    others = [
        compare(loaded[1], original=loaded[0], references=loaded[2], splits=splits, level="fast"),
        compare(
            models[1],
            original=models[0],
            references=[models[2]],
            processing_class=make_processor(),
            splits=splits,
            level="fast",
        ),
        compare(
            Contestant("1", models[1], make_processor()),
            original=folders[0],
            references=folders[2],
            splits=splits,
            level="fast",
        ),
    ]
    again = compare(folders[1], original=folders[0], references=iter(folders[2:]), splits=splits, level="fast")
    assert again == by_folder and compare(folders[1], splits=splits, references=None, level="fast")["references"] == []
    low = [Contestant(folder, model, make_processor()) for folder, model in zip(folders, models, strict=True)]
    assert by_folder == compare_models({"original": low[0], "unlearned": low[1]}, splits, [low[2]])
    for other in others:
        assert figures(other["models"]) == figures(by_folder["models"])


def test_models_are_left_as_they_were(splits):
    model = make_model()
    model.train()
    model.resnet.encoder.eval()
    modes = [module.training for module in model.modules()]
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    compare(model, splits=splits, processing_class=make_processor(), level="standard")
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_adapter_is_measured_with_its_base_and_left_alone(splits):
    adapter = make_adapter()
    results = compare(adapter, splits=splits, processing_class=make_processor(), level="fast")
    assert hasattr(adapter, "peft_config")
    whole = make_adapter().merge_and_unload()
    assert figures(results["models"]) == figures(
        compare(whole, splits=splits, processing_class=make_processor(), level="fast")["models"]
    )


def test_the_recorded_original_at_its_revision(connected_hub, splits, save, tmp_path):
    commits = [
        add_model(connected_hub, "org/model", make_model(seed=seed), make_processor(), home=tmp_path / str(seed))
        for seed in (5, 6)
    ]
    for commit, seed in zip(commits, (5, 6), strict=True):
        original = {"name": "org/model", "revision": commit, "from_hub": True}
        folder = save(f"out-{seed}", unlearning={"original_model": original})
        expected = compare(
            make_model(), original=make_model(seed=seed), processing_class=make_processor(), splits=splits, level="fast"
        )
        # Named or not, it is the model as it was when it was unlearned; unless another revision is asked for.
        for named in (None, "org/model"):
            found = compare(folder, original=named, splits=splits, level="fast")
            assert figures(found["models"]) == figures(expected["models"])
        other = compare(folder, original="org/model", original_revision=commits[0], splits=splits, level="fast")
        assert (figures(other["models"]) == figures(expected["models"])) is (seed == 5)


def test_a_record_in_a_repository_counts_too(connected_hub, splits, tmp_path):
    from huggingface_hub import HfApi

    commit = add_model(connected_hub, "org/model", make_model(seed=5), make_processor(), home=tmp_path / "a")
    add_model(connected_hub, "org/forgot", make_model(seed=6), make_processor(), home=tmp_path / "b")
    record = {"original_model": {"name": "org/model", "revision": commit, "from_hub": True}}
    HfApi().upload_file(
        path_or_fileobj=json.dumps(record).encode(), path_in_repo="unlearning.json", repo_id="org/forgot"
    )
    assert list(compare("org/forgot", splits=splits, level="fast")["models"]) == ["original", "masked", "unlearned"]


def test_a_recorded_original_that_is_gone_is_left_out_with_the_reason(splits, save):
    gone = {"name": "nobody/gone", "revision": "0" * 40, "from_hub": True}
    results = compare(save("out", unlearning={"original_model": gone}), splits=splits, level="fast")
    assert list(results["models"]) == ["unlearned"] and "'nobody/gone'" in results["left_out"]["do nothing"]
    assert "nobody/gone" in str(results)
    with pytest.raises(UnlearningError, match="'nobody/gone' was not found"):
        compare(save("other"), original="nobody/gone", splits=splits)


def test_times_of_retraining_by_either_command(save):
    trained = save("trained", train_results={"train_runtime": 30.0})
    retrained = save("retrained", unlearning={"method": {"name": "retrain"}, "seconds": 10.0})
    unlearned = save("unlearned", unlearning={"method": {"name": "mu_mis"}, "seconds": 2.0})
    record = {"seconds": 2.0}
    assert recorded_seconds(record, [trained, retrained]) == {"unlearned": 2.0, "retrained": 20.0}
    assert recorded_seconds(record, [retrained]) == {"unlearned": 2.0, "retrained": 10.0}
    # How long another method took says nothing of retraining, nor does a part of the references.
    assert recorded_seconds(record, [unlearned]) == recorded_seconds(record, [trained, save("x")]) == {"unlearned": 2.0}
    assert recorded_seconds({"seconds": "soon"}, []) == {} == recorded_seconds({"seconds": True}, [make_model()])


def test_the_ratio_of_times_is_in_the_figures(splits, save):
    folder = save("out", unlearning={"seconds": 2.0})
    retrained = save("retrained", unlearning={"method": {"name": "retrain"}, "seconds": 10.0})
    results = compare(folder, references=[retrained], splits=splits, level="fast")
    assert results["models"]["unlearned"]["runtime_ratio"] == pytest.approx(0.2)


@pytest.mark.parametrize("what", ["unlearned", "reference"])
def test_a_model_of_another_request_is_refused(data, splits, save, what):
    other = save("other")
    keep_forget_set(make_splits(data, ForgetRequest(classes=("blue",))), other)
    models = {"model": other} if what == "unlearned" else {"model": save("plain"), "references": [other]}
    with pytest.raises(UnlearningError, match=f"the {what} model .*another set: the class 'blue' .*the class 'red'"):
        compare(**models, splits=splits, level="fast")
    results = compare(**models, splits=splits, level="fast", other_request=True)
    assert results.same_request is (False if what == "unlearned" else None)
    keep_forget_set(splits, other)
    results = compare(**models, splits=splits, level="fast")
    assert results.same_request is (True if what == "unlearned" else None)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"model": 3}, "the unlearned model is a int"),
        ({"model": {"unlearned": 1}}, "compare_models"),
        ({"model": "nobody/nothing"}, "'nobody/nothing' was not found"),
        ({"level": "slow"}, "level 'slow'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_retain_samples": -1}, "max_retain_samples is -1"),
        ({"references": [f"m{number}" for number in range(5)]}, "5 reference models"),
        ({"splits": {"forget": 1}}, "splits are a dict; expected those of make_splits"),
        ({"device": "gpu"}, "device 'gpu'"),
        pytest.param(
            {"device": "cuda"}, "there is no GPU", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="")
        ),
        ({"processing_class": None}, "made in memory; expected processing_class"),
        ({"dtype": "float33", "original": "nobody/nothing"}, "dtype 'float33'"),
        ({"dtype": "int8", "original": "nobody/nothing"}, "dtype 'int8'"),
    ],
)
def test_bad_input_is_refused(splits, arguments, named):
    given = {"model": make_model(), "processing_class": make_processor(), "splits": splits, **arguments}
    with pytest.raises(UnlearningError, match=named):
        compare(**given)


class Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_it_shows_and_saves_itself(splits, tmp_path):
    results = compare(make_model(), splits=splits, processing_class=make_processor(), level="fast")
    assert isinstance(results, dict) and json.loads(json.dumps(results)) == results
    text = str(results)
    assert "forget set (FA)" in text and "not taken: distances" in text and "nobody can say" in text
    assert (
        repr(results)
        == "Comparison(level='fast', models=['unlearned'], counts={'forget': 8, 'retain': 24, 'test': 16})"
    )
    seen = Seen()
    seen.feed(results._repr_html_())
    assert "table" in seen.tags and "script" not in seen.tags and "forget set (FA)" in seen.text
    results.save(tmp_path / "new" / "folder")
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == ["report.html", "results.json"]
    assert json.loads((tmp_path / "new" / "folder" / "results.json").read_text()) == results
    page = (tmp_path / "new" / "folder" / "report.html").read_text()
    assert page.count("<li><img src=") == len(results.strip) == 8


def test_signature_and_names():
    parameters = inspect.signature(compare).parameters
    assert list(parameters)[:4] == ["model", "splits", "original", "references"]
    assert all(f"        {name}: " in compare.__doc__ for name in parameters)
    assert "compare" in dir(hf_unlearn) and hf_unlearn.compare is compare

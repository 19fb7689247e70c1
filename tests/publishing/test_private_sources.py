"""What is private on the Hub stays there: neither its name nor what was made of it goes public unasked."""

from __future__ import annotations

import json

import pytest
from datasets import DatasetDict
from huggingface_hub import HfApi

from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, UnlearningError, load_image_dataset, make_splits
from hf_unlearn.commands.main import main
from hf_unlearn.errors import PublishingError
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.publishing.push import destination_of, push_folder
from hf_unlearn.publishing.record import read_record, set_disclosure, write_record
from tests.hub import Fault
from tests.hub.clients import add_dataset, add_model
from tests.tiny import make_adapter, make_dataset, make_model, make_processor

DATA = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
FORGOT = "org/forgot"
FLAG = "--publish_private_sources"


@pytest.fixture
def stocked(connected_hub, tmp_path):
    """A Hub with a model and a dataset; a function makes one of them private."""
    add_model(connected_hub, "org/patients", make_model(), make_processor(), home=tmp_path / "a")
    add_dataset(connected_hub, "org/faces", DATA, home=tmp_path / "b")
    connected_hub.clear()

    def hide(*names, private=True):
        for (_, name), repository in connected_hub.repos.items():
            if name in names:
                repository.private = private

    connected_hub.hide = hide
    return connected_hub


def unlearn(out, *flags, model="org/patients"):
    words = ["unlearn", "--model_name_or_path", str(model), "--dataset_name", "org/faces", "--forget_classes", "red"]
    return main([*words, "--max_steps", "1", "--use_cpu", "--output_dir", str(out), *flags])


PUSH = ["--push_to_hub", "--hub_model_id", FORGOT, "--push_anyway"]


def everything_published(hub):
    return "".join(
        hub.repository(FORGOT).read(name).decode("utf-8", "replace") for name in hub.repository(FORGOT).paths()
    )


@pytest.mark.parametrize("private", ["org/patients", "org/faces"])
@pytest.mark.parametrize("place", ["new", "there"])
def test_the_command_refuses_before_work_starts(stocked, tmp_path, capsys, private, place):
    stocked.hide(private)
    if place == "there":
        HfApi().create_repo(FORGOT, private=False)
    stocked.clear()
    assert unlearn(tmp_path / "out", *PUSH) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(said) == 1 and repr(private) in said[0] and FLAG in said[0] and "hub_private_repo true" in said[0]
    assert ("is public" in said[0]) is (place == "there")
    # Nothing was loaded or written for it.
    assert not (tmp_path / "out").exists() and stocked.calls("create", "commit", "branch") == []
    assert not any("parquet" in request.path or "safetensors" in request.path for request in stocked.requests)


@pytest.mark.parametrize("private", ["org/patients", "org/faces"])
def test_private_all_is_well_and_the_name_stays_out(stocked, tmp_path, private):
    stocked.hide(private)
    assert unlearn(tmp_path / "out", *PUSH, "--hub_private_repo", "true") == 0
    assert stocked.repository(FORGOT).private and private not in everything_published(stocked)
    # Whoever made it has the name.
    record = read_record(str(tmp_path / "out"))
    assert private in (record["original_model"]["name"], record["dataset"]["name"])
    # Pushed once more, to the same place, and evaluated by what it says here.
    push_folder(tmp_path / "out", FORGOT, push_anyway=True)
    # Public meanwhile, it is refused.
    stocked.hide(FORGOT, private=False)
    with pytest.raises(UnlearningError, match=FLAG):
        push_folder(tmp_path / "out", FORGOT, push_anyway=True)


@pytest.mark.parametrize("names", [True, False])
def test_the_flag_lets_it_go_public(stocked, tmp_path, names):
    stocked.hide("org/patients", "org/faces")
    flags = [FLAG, *([] if names else ["--private_names"])]
    assert unlearn(tmp_path / "out", *PUSH, *flags) == 0
    published = everything_published(stocked)
    assert not stocked.repository(FORGOT).private
    assert ("org/patients" in published) is ("org/faces" in published) is names
    record = json.loads(stocked.repository(FORGOT).read("unlearning.json"))
    assert record["original_model"]["private"] and record["dataset"]["private"]


def test_what_became_private_since_is_asked_when_it_is_pushed(stocked, tmp_path):
    assert unlearn(tmp_path / "out") == 0
    assert "private" not in read_record(str(tmp_path / "out"))["original_model"]
    stocked.hide("org/patients")
    stocked.clear()
    with pytest.raises(UnlearningError, match="the original model 'org/patients' is private"):
        push_folder(tmp_path / "out", FORGOT, push_anyway=True)
    assert stocked.calls("create", "commit") == []
    push_folder(tmp_path / "out", FORGOT, push_anyway=True, private=True)
    assert "org/patients" not in everything_published(stocked)


def test_what_the_token_does_not_see_may_be_private(stocked, tmp_path):
    assert unlearn(tmp_path / "out") == 0
    del stocked.repos["dataset", "org/faces"]
    with pytest.raises(UnlearningError, match="'org/faces' is not there for this token, and may be private"):
        push_folder(tmp_path / "out", FORGOT, push_anyway=True)
    assert main(["push", str(tmp_path / "out"), "--hub_model_id", FORGOT, "--push_anyway", FLAG]) == 0


def test_a_hub_that_does_not_say_it_is_not_taken_for_yes(stocked, tmp_path):
    assert unlearn(tmp_path / "out") == 0
    stocked.clear()
    stocked.inject(Fault("503", "info", times=1000))
    with pytest.raises(PublishingError, match="cannot be asked whether 'org/patients' is private"):
        destination_of(str(tmp_path / "out"), FORGOT)
    assert stocked.calls("create", "commit") == []


def test_made_public_while_the_files_went_up_nothing_gets_to_main(stocked, tmp_path, monkeypatch):
    stocked.hide("org/patients")
    assert unlearn(tmp_path / "out") == 0
    HfApi().create_repo(FORGOT, private=True)
    from hf_unlearn.publishing.reading_back import ReadingBack

    check = ReadingBack.check

    def opened_meanwhile(self, *args):
        check(self, *args)
        stocked.hide(FORGOT, private=False)

    monkeypatch.setattr(ReadingBack, "check", opened_meanwhile)
    with pytest.raises(UnlearningError, match=FLAG):
        push_folder(tmp_path / "out", FORGOT, push_anyway=True)
    assert stocked.repository(FORGOT).paths() == [".gitattributes"]
    assert list(stocked.repository(FORGOT).branches) == ["main"]


@pytest.mark.parametrize("private", ["org/patients", "org/faces"])
def test_a_trainer_asks_too(stocked, tmp_path, private):
    stocked.hide(private)
    splits = make_splits(load_image_dataset("org/faces"), ForgetRequest(classes=("red",)), dataset_name="org/faces")
    model = load_image_classifier("org/patients")

    def make(**settings):
        usual = {"use_cpu": True, "max_steps": 1, "hub_model_id": FORGOT, "push_to_hub": True, "disable_tqdm": True}
        return MUMisTrainer(
            model, MUMisConfig(str(tmp_path / "out"), **usual, **settings), splits, processing_class=make_processor()
        )

    with pytest.raises(UnlearningError, match=f"{private}.*{FLAG}"):
        make()
    assert private in json.dumps(make(hub_private_repo=True).record())
    assert make(publish_private_sources=True).record()["disclosure"]["sources"]


def test_of_data_in_memory_their_name_is_asked_about(stocked, tmp_path):
    stocked.hide("org/faces")
    splits = make_splits(DATA, ForgetRequest(classes=("red",)), dataset_name="org/faces")
    args = MUMisConfig(str(tmp_path / "out"), use_cpu=True, max_steps=1, disable_tqdm=True)
    trainer = MUMisTrainer(make_model(), args, splits, processing_class=make_processor())
    trainer.train()
    trainer.save_model()
    assert "org/faces" not in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(UnlearningError, match=f"the dataset 'org/faces' is private on the Hub.*{FLAG}"):
        push_folder(tmp_path / "out", FORGOT, push_anyway=True)


def test_an_adapters_base_too(stocked, tmp_path):
    add_model(stocked, "org/base", make_model("vit"), make_processor(), home=tmp_path / "c")
    adapter = make_adapter(load_image_classifier("org/base"))
    adapter.save_pretrained(tmp_path / "adapter")
    stocked.hide("org/base")
    assert unlearn(tmp_path / "here", model=tmp_path / "adapter") == 0
    assert "org/base" not in (tmp_path / "here" / "README.md").read_text()
    assert unlearn(tmp_path / "out", *PUSH, model=tmp_path / "adapter") == 2
    assert unlearn(tmp_path / "out", *PUSH, "--hub_private_repo", "true", model=tmp_path / "adapter") == 0
    record = json.loads(stocked.repository(FORGOT).read("unlearning.json"))
    assert record["adapter"]["base_model"]["name"] == "a private model"


@pytest.mark.parametrize(
    ("request_words", "refusal"),
    [
        # Begun anew at the first model, or gone on with from the newest.
        (["--forget_classes", "blue"], "the original model 'org/patients' is private on the Hub"),
        (["--forget_indices", "1", "2"], "'patients-1' was made of what is private on the Hub"),
    ],
)
def test_a_model_that_forgets_once_more_is_still_of_private_sources(stocked, tmp_path, capsys, request_words, refusal):
    stocked.hide("org/patients")
    first = tmp_path / "patients-1"
    assert unlearn(first) == 0
    capsys.readouterr()
    words = ["unlearn", "--dataset_name", "org/faces", *request_words, "--max_steps", "1", "--use_cpu"]
    words += ["--model_name_or_path", str(first), "--output_dir", str(tmp_path / "second")]
    assert main([*words, *PUSH]) == 2
    assert refusal in capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert main([*words, *PUSH, "--hub_private_repo", "true"]) == 0
    assert "patients" not in everything_published(stocked)


def test_two_private_originals_are_not_taken_for_the_same(stocked, tmp_path):
    stocked.hide("org/patients")
    assert unlearn(tmp_path / "out", *PUSH, "--hub_private_repo", "true") == 0
    record = read_record(str(tmp_path / "out"))
    record["weights_sha256"] = {"original": "b" * 64, "unlearned": "c" * 64}
    write_record(record, str(tmp_path / "out"))
    with pytest.raises(UnlearningError, match="nobody can tell whether it was made from the same original"):
        destination_of(str(tmp_path / "out"), FORGOT)


def test_a_choice_that_was_made_is_kept(stocked, tmp_path):
    stocked.hide("org/patients")
    assert unlearn(tmp_path / "out") == 0
    set_disclosure(str(tmp_path / "out"), sources=True)
    push_folder(tmp_path / "out", FORGOT, push_anyway=True)
    assert "org/patients" in everything_published(stocked)

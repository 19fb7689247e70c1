"""The forms of data that users bring: a trainer takes the same steps on all of them."""

from __future__ import annotations

import pytest
import torch
from datasets import DatasetDict, Image, IterableDatasetDict
from torch.utils.data import Subset

from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, make_splits
from hf_unlearn.data.reading import as_pixels
from hf_unlearn.errors import UnlearningError
from tests.tiny import make_dataset, make_model, make_processor

ROWS = list(range(0, 24, 4))


def forget_set():
    """Samples of the first class."""
    return make_dataset(24).select(ROWS)


def unlearn(tmp_path, dataset=None, model=None, processor=True, **given):
    settings = {"max_steps": 2, "stop_rule": "steps", "per_device_train_batch_size": 4, "use_cpu": True}
    args = MUMisConfig(output_dir=str(tmp_path), disable_tqdm=True, dataloader_pin_memory=False, **settings)
    given = {"forget_kind": "class"} if dataset is not None and not given else given
    trainer = MUMisTrainer(
        model or make_model(),
        args,
        train_dataset=dataset,
        processing_class=make_processor() if processor else None,
        **given,
    )
    trainer.train()
    return trainer


def weights(trainer):
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return weights(unlearn(tmp_path_factory.mktemp("plain"), forget_set()))


def ready():
    pixels = as_pixels(forget_set(), make_model(), make_processor(), None, None)
    return [{"pixel_values": each["pixel_values"], "label": each["labels"]} for each in pixels]


@pytest.mark.parametrize(
    "form",
    [
        lambda: Subset(make_dataset(24), ROWS),
        lambda: [(row["image"], row["label"]) for row in forget_set()],
        lambda: Subset([(row["image"], row["label"]) for row in make_dataset(24)], ROWS),
        lambda: forget_set().to_iterable_dataset(),
        lambda: forget_set().with_format("torch"),
        lambda: forget_set().cast_column("image", Image(decode=False)),
        ready,
    ],
)
def test_the_steps_are_the_same(tmp_path, expected, form):
    assert torch.allclose(weights(unlearn(tmp_path, form())), expected, atol=1e-6)


def test_ready_pixels_need_no_image_processor(tmp_path, expected):
    assert torch.allclose(weights(unlearn(tmp_path, ready(), processor=False)), expected, atol=1e-6)


def test_splits_of_streams(tmp_path):
    whole = DatasetDict(train=make_dataset(24), test=make_dataset(12, seed=1))
    asked = []

    class Streams(IterableDatasetDict):
        def __getitem__(self, name):
            asked.append(name)
            return super().__getitem__(name)

    streams = Streams({name: part.to_iterable_dataset() for name, part in whole.items()})
    request = ForgetRequest(classes="red")
    made, plain = (make_splits(each, request) for each in (streams, whole))
    assert made.fingerprint == plain.fingerprint and made.forget_indices.tolist() == ROWS
    for part in ("forget", "retain", "test"):
        rows, others = getattr(made, part), getattr(plain, part)
        assert [row["image"].tobytes() for row in rows] == [row["image"].tobytes() for row in others]
    assert unlearn(tmp_path, splits=made).record()["checks"]["test_accuracy_remaining"] is not None


def test_a_stream_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr("hf_unlearn.request.iterable.STREAM_GIB", 1e-6)
    stream = make_dataset(24).to_iterable_dataset()
    for make in (
        lambda: make_splits(IterableDatasetDict(train=stream), ForgetRequest(classes="red")),
        lambda: as_pixels(stream, make_model(), make_processor(), None, None),
    ):
        with pytest.raises(UnlearningError, match="is a stream of more than 1e-06 GiB") as caught:
            make()
        assert "\n" not in str(caught.value)


def test_only_the_splits_in_use_are_read():
    streams = {name: make_dataset(8).to_iterable_dataset() for name in ("train", "test")}
    streams["unlabelled"] = make_dataset(8).to_iterable_dataset().map(lambda row: 1 / 0)
    assert make_splits(IterableDatasetDict(streams), ForgetRequest(classes="red")).test is not None


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (DatasetDict(train=make_dataset(4)), "the forget set is a DatasetDict of 'train'; expected one of its splits"),
        ([], "the forget set is empty"),
        ([(torch.zeros(3, 24, 24), 0)], r"does not take images of \(3, 24, 24\), as the dataset gives them"),
    ],
)
def test_what_does_not_do_is_one_line(tmp_path, dataset, message):
    with pytest.raises(UnlearningError, match=message) as caught:
        unlearn(tmp_path, dataset, make_model("vit"))
    assert "\n" not in str(caught.value)


def test_images_of_an_evaluation_are_read_before_the_run(tmp_path):
    evaluated = make_dataset(4).cast_column("image", Image(decode=False))
    rows = [each["image"] if place != 2 else {"bytes": b"no", "path": None} for place, each in enumerate(evaluated)]
    broken = evaluated.remove_columns("image").add_column("image", rows, feature=Image())
    settings = {"use_cpu": True, "max_steps": 1, "stop_rule": "steps", "disable_tqdm": True}
    for strategy in ("steps", "no"):
        trainer = MUMisTrainer(
            make_model(),
            MUMisConfig(output_dir=str(tmp_path), eval_strategy=strategy, dataloader_pin_memory=False, **settings),
            train_dataset=forget_set(),
            eval_dataset=broken,
            processing_class=make_processor(),
            forget_kind="class",
        )
        if strategy == "no":
            trainer.train()
            continue
        with pytest.raises(UnlearningError, match="the image at index 2"):
            trainer.train()
        assert trainer.state.global_step == 0

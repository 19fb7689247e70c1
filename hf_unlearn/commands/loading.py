"""From flags to data and a model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_unlearn.commands.arguments import DataArguments, ForgetSetArguments, ModelArguments, TestSetArguments
from hf_unlearn.commands.parsing import say
from hf_unlearn.errors import UnlearningError, did_you_mean, there_are, warn_once
from hf_unlearn.files import expand_user
from hf_unlearn.names import is_hub_name
from hf_unlearn.request import ForgetRequest, UnlearningSplits, load_image_dataset, make_splits, stream_splits
from hf_unlearn.request.forget_set import labelled_test_set
from hf_unlearn.request.image_folder import left_out_pictures
from hf_unlearn.request.images import readable_rows
from hf_unlearn.request.labelled import LabelledParts, find_splits, label_parts, labelled_splits, with_test_set
from hf_unlearn.request.labels import encode_labels, is_labelled
from hf_unlearn.request.streaming import load_one_split

if TYPE_CHECKING:
    import numpy as np
    from transformers import BaseImageProcessor, PreTrainedModel

    from hf_unlearn.models.revisions import Resolved


def load_whole(data: DataArguments) -> tuple[LabelledParts, list[np.ndarray]]:
    """The train split and, if there is one, the test split, without any request; and the rows that they are there.

    Raises:
        UnlearningError: no such dataset, split or column.
    """
    dataset = load_image_dataset(data.dataset_name, config=data.dataset_config_name, revision=data.dataset_revision)
    columns: dict[str, Any] = {"image_column_name": data.image_column_name, "label_column_name": data.label_column_name}
    used = [part for part in labelled_splits(dataset, data.train_split, data.test_split, **columns) if part is not None]
    whole = label_parts({f"the split {part.name!r}": part.dataset for part in used}, **columns)
    rows = [part.rows for part in used]
    for place, name in enumerate(whole.names if data.skip_unreadable else ()):
        part = ("train", "test")[place]
        kept = readable_rows(whole.parts[place], whole.image_column, rows[place], name, part)
        whole.parts[place], rows[place] = whole.parts[place].select(kept), rows[place][kept]
    return whole, rows


def load_reference(data: DataArguments, forget: ForgetSetArguments, name: str, splits: UnlearningSplits) -> Any:
    """A split that neither the model nor the judging of it has seen, labelled as the splits are, if it has labels.

    It is one of the dataset's, or of those that the samples to forget are from.

    Raises:
        UnlearningError: no such split, or one that is in use, or one with other labels.
    """
    place: Any = (data.dataset_name, data.dataset_config_name, data.dataset_revision)
    if forget.forget_dataset is not None:
        place = (forget.forget_dataset, forget.forget_dataset_config_name, forget.forget_dataset_revision)
    dataset = _some_splits([name], *place)
    if name not in dataset:
        raise UnlearningError(f"split {name!r} does not exist; {did_you_mean(name, dataset)}")
    if name in (splits.train_split, splits.test_split, splits.request.split):
        raise UnlearningError(f"reference_split {name!r} is the train, test or forget split; expected another one")
    what = f"the split {name!r}"
    if not is_labelled(dataset[name], splits.label_column):
        return dataset[name]
    part = label_parts({what: dataset[name]}, splits.image_column, splits.label_column).parts[0]
    # Samples alone name their own classes only.
    return part if forget.forget_dataset else encode_labels(part, splits.label_column, splits.label_names, what)


def load_splits(data: DataArguments, request: ForgetRequest, test: TestSetArguments | None = None) -> UnlearningSplits:
    """Load the dataset and make the request's splits.

    Raises:
        UnlearningError: no such dataset, split, column or class, or a forget set that is empty or everything.
    """

    def load(config: str | None) -> Any:
        return load_image_dataset(data.dataset_name, config=config, revision=data.dataset_revision)

    if getattr(data, "streaming", False):
        return stream_splits(
            data.dataset_name,
            request,
            dataset_config_name=data.dataset_config_name,
            dataset_revision=data.dataset_revision,
            train_split=data.train_split,
            test_split=data.test_split,
            image_column_name=data.image_column_name,
            label_column_name=data.label_column_name,
            label_mapping=data.label_mapping,
            test=None if test is None else load_test_set(test, data),
            report=lambda line: say(f"  {line}"),
            skip_unreadable=data.skip_unreadable,
        )
    dataset, test_split = load(data.dataset_config_name), data.test_split
    if test is not None and test.test_dataset is not None:
        train_split, _ = find_splits(dataset, data.train_split, None)
        columns = (data.image_column_name, data.label_column_name)
        dataset, test_split = with_test_set(dataset, train_split, load_test_set(test, data), *columns)
    return make_splits(
        dataset,
        request,
        dataset_name=data.dataset_name,
        dataset_config_name=data.dataset_config_name,
        dataset_revision=data.dataset_revision,
        train_split=data.train_split,
        test_split=test_split,
        image_column_name=data.image_column_name,
        label_column_name=data.label_column_name,
        load_config=load,
        label_mapping=data.label_mapping,
        skip_unreadable=data.skip_unreadable,
    )


def load_test_set(test: TestSetArguments, data: DataArguments) -> Any:
    """The test set from elsewhere, its rows that have a label, or None if none was named.

    Raises:
        UnlearningError: no such dataset or split.
    """
    if test.test_dataset is None:
        return None
    place = (test.test_dataset, test.test_dataset_config_name, test.test_dataset_revision)
    columns = (data.image_column_name, data.label_column_name)
    return labelled_test_set(_some_splits([data.test_split], *place), data.test_split, *columns).dataset


def load_samples(
    forget: ForgetSetArguments, test_split: str | None, skip_unreadable: bool = False
) -> Mapping[str, Any]:
    """What the samples to forget come from: all its splits, or the one that was named, and one for testing.

    Args:
        skip_unreadable: go on without pictures of formats that cannot be loaded, and say how many.

    Raises:
        UnlearningError: no such dataset or split; a folder with pictures that are not loaded, and so not forgotten.
    """
    name = forget.forget_dataset
    assert name is not None
    folder, loaded = Path(name).expanduser(), {}
    try:
        place = (name, forget.forget_dataset_config_name, forget.forget_dataset_revision)
        splits = [forget.forget_split_name, *([test_split] if test_split is not None else [])]
        loaded = dict(_some_splits(splits, *place))
    except UnlearningError as error:
        if folder.is_dir():
            _refuse_left_out(name, left_out_pictures(folder, ()))
        raise error
    if folder.is_dir():
        _refuse_left_out(name, left_out_pictures(folder, loaded.values()), skip_unreadable)
    return loaded


def _refuse_left_out(name: str, left_out: Sequence[str], skip: bool = False) -> None:
    if not left_out:
        return
    named = f"{len(left_out)} of the pictures in {name!r}"
    if skip:
        warn_once(f"{named} cannot be loaded and are left out: {there_are(left_out, 3)}")
        return
    raise UnlearningError(
        f"{named} would not be forgotten, since they cannot be loaded: {there_are(left_out, 3)}; expected JPEG or PNG "
        "files, all of them named in metadata.csv if there is one, or --skip_unreadable"
    )


def _some_splits(
    splits: Sequence[str | None], name: str, config: str | None, revision: str | None
) -> Mapping[str, Any]:
    """The splits that were named, of a dataset on the Hub; of others, and where one was not named, all."""
    if is_hub_name(name) and all(splits):
        return {str(split): load_one_split(name, str(split), config, revision) for split in splits}
    return load_image_dataset(name, config=config, revision=revision)


def pin(
    model: Any | None,
    data: DataArguments | None,
    forget: ForgetSetArguments | None = None,
    others: Sequence[str] = (),
) -> tuple[Resolved, Resolved]:
    """Replace the revisions of what is on the Hub by the commits that they are now, once; returns what was found.

    The data are those to forget from, or the samples to forget where they come alone. Where the Hub does not answer it
    is not asked again: the cache serves.

    Args:
        model: with a `model_name_or_path` and a `model_revision`.
        others: names of further models.

    Raises:
        UnlearningError: there is no such revision, or one was named of what is a folder or file here.
    """
    from hf_unlearn.models.revisions import Resolved, resolve_revision
    from hf_unlearn.publishing.patience import limit_waiting

    limit_waiting()

    named = []
    if model is not None:
        named.append(("model", model.model_name_or_path, model.model_revision))
    if data is not None:
        named.append(("dataset", data.dataset_name, data.dataset_revision))
    if forget is not None:
        named.append(("forget_dataset", forget.forget_dataset, forget.forget_dataset_revision))
    for what, name, revision in named:
        if name is not None and revision is not None and os.path.exists(expand_user(name)):
            raise UnlearningError(f"{what} {name!r} is here, not on the Hub, and has no revision {revision!r}")
    of_model = of_data = Resolved(None, None)
    if model is not None:
        of_model = resolve_revision(model.model_name_or_path, model.model_revision)
        model.model_revision = of_model.commit or model.model_revision
    if forget is not None and forget.forget_dataset is not None:
        of_data = resolve_revision(forget.forget_dataset, forget.forget_dataset_revision, repo_type="dataset")
        forget.forget_dataset_revision = of_data.commit or forget.forget_dataset_revision
    elif data is not None:
        of_data = resolve_revision(data.dataset_name, data.dataset_revision, repo_type="dataset")
        data.dataset_revision = of_data.commit or data.dataset_revision
    for name in others:
        resolve_revision(name, None)
    return of_model, of_data


def cache_lines() -> list[str]:
    """Where what was named is from, if the Hub did not answer, as lines to print."""
    from hf_unlearn.models.hub import hub_fault

    silence = hub_fault()
    return [] if silence is None else [f"  cached  models and data, since the Hub cannot be reached: {silence}"]


def load_model(flags: ModelArguments, merge_adapter: bool = False) -> tuple[PreTrainedModel, BaseImageProcessor]:
    """The model and its image processor.

    Args:
        merge_adapter: make an adapter and its base one model, as any other of its kind.

    Raises:
        UnlearningError: no such model, not an image classifier, or one without an image processor.
    """
    from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor

    if flags.dtype not in ("float32", "bfloat16", "float64", "auto"):
        raise UnlearningError(f"dtype {flags.dtype!r} is not one of float32, bfloat16, float64, auto")
    model = load_image_classifier(
        flags.model_name_or_path,
        revision=flags.model_revision,
        dtype=flags.dtype,
        trust_remote_code=flags.trust_remote_code,
        allow_pickle=flags.allow_pickle,
        merge_adapter=merge_adapter,
    )
    processor = load_image_processor(
        flags.model_name_or_path, revision=flags.model_revision, trust_remote_code=flags.trust_remote_code
    )
    return model, processor

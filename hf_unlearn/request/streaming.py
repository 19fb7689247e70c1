"""A request's samples fetched from a large dataset by themselves: some columns first, then the images of some rows."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from tqdm import tqdm

from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.progress import quiet_unless_terminal
from hf_unlearn.request.columns import find_image_column, find_label_column
from hf_unlearn.request.forget_request import GIVEN_SETS, check_request
from hf_unlearn.request.label_mapping import LabelMapping
from hf_unlearn.request.labelled import find_splits, with_test_set
from hf_unlearn.request.loading import explained, spelled_out
from hf_unlearn.request.parquet import ParquetFile, Piece
from hf_unlearn.request.splits import UnlearningSplits, make_splits

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder, Features

    from hf_unlearn.request.forget_request import ForgetRequest

# Files at a time: nearly all of the time goes into waiting for answers.
_READERS = 8
Result = TypeVar("Result")


def stream_splits(
    dataset_name: str,
    request: ForgetRequest,
    *,
    dataset_config_name: str | None = None,
    dataset_revision: str | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
    image_column_name: str | None = None,
    label_column_name: str | None = None,
    label_mapping: LabelMapping | os.PathLike | None = None,
    test: Dataset | None = None,
    token: str | None = None,
    report: Callable[[str], None] | None = None,
    skip_unreadable: bool = False,
) -> UnlearningSplits:
    """The splits of a request on a dataset that is not downloaded: `retain` is None.

    The column of labels is read first, and those that the request names. Then the images of the samples to forget are
    fetched and kept in memory: the pages of the parquet files that hold them or, of files without a page index, the row
    groups. The request is the same as on the whole dataset, and has the same fingerprint.

    Args:
        dataset_name: a dataset on the Hub that is stored as parquet, or a folder of parquet files.
        request: any kind but `dataset_config` and `split`.
        train_split: by default "train", or the only split.
        test_split: a split for testing, which is downloaded; by default none.
        test: a labelled test set from elsewhere, in its place.
        report: is told in a line how much will be fetched, before it is.
        dataset_config_name, dataset_revision, image_column_name, label_column_name: as for [`make_splits`].
        label_mapping, skip_unreadable, token: as for [`make_splits`] and [`load_image_dataset`].

    Raises:
        UnlearningError: as [`load_image_dataset`] and [`make_splits`]; or the dataset is not stored as parquet.
    """
    check_request(request)
    if request.kind in GIVEN_SETS:
        raise UnlearningError(
            f"{request.describe()} cannot be streamed: it is the forget set itself; expected it as forget_dataset (by "
            "command), or for forget_splits"
        )

    with quiet_unless_terminal():
        try:
            builder = _builder(dataset_name, dataset_config_name, dataset_revision, token)
            files_of = _files_by_split(builder)
            train_split, found = find_splits(files_of, train_split, None if test is not None else test_split)
            # A test set is fetched only where one is asked for.
            test_split = None if test_split is None or test is not None else found
            _check_parquet(dataset_name, files_of[train_split])
            with _Source(files_of[train_split], token) as source:
                features = builder.info.features or source.features()
                image, label, *asked = _columns(features, request, image_column_name, label_column_name)
                parts: Any = {train_split: source.without_images(features, [image, *request.where], [label, *asked])}
                if test is not None:
                    parts, test_split = with_test_set(parts, train_split, test, image, label)
                elif test_split is not None:
                    parts[test_split] = _whole_split(builder, test_split, token)
                splits = make_splits(
                    parts,
                    request,
                    dataset_name=dataset_name,
                    dataset_config_name=dataset_config_name,
                    dataset_revision=dataset_revision,
                    train_split=train_split,
                    test_split=test_split,
                    image_column_name=image,
                    label_column_name=label,
                    label_mapping=label_mapping,
                )
                images = source.images(image, splits.forget_indices, dataset_name, report)
        except UnlearningError:
            raise
        except Exception as error:
            raise explained(dataset_name, dataset_config_name, error, revision=dataset_revision, token=token) from error
        forget = _with_images(splits.forget.select_columns(list(dict.fromkeys([label, *asked]))), image, images)
    splits = dataclasses.replace(splits, forget=forget, retain=None, skip_unreadable=skip_unreadable)
    return splits.without_unreadable("forget", "test") if skip_unreadable else splits


def load_one_split(name: str, split: str, config: str | None = None, revision: str | None = None) -> Dataset:
    """One split of a dataset that is not in memory or on this machine, without its others.

    Args:
        name, config, revision: as for [`load_image_dataset`]; a name on the Hub, or a folder of files.

    Raises:
        UnlearningError: no such dataset, split, configuration or revision.
    """
    with quiet_unless_terminal():
        try:
            builder = _builder(name, config, revision, None)
            files = _files_by_split(builder)
            if split not in files:
                raise UnlearningError(f"split {split!r} does not exist; {did_you_mean(split, files)}")
            return _whole_split(builder, split, None)
        except UnlearningError:
            raise
        except Exception as error:
            raise explained(name, config, error, revision=revision) from error


def _builder(name: str, config: str | None, revision: str | None, token: str | None) -> DatasetBuilder:
    from datasets import load_dataset_builder

    path = Path(name).expanduser()
    if not path.exists():
        return load_dataset_builder(name, config, revision=revision, token=token)
    return load_dataset_builder(str(path), config, data_files=spelled_out(name, path) if path.is_dir() else None)


def _files_by_split(builder: DatasetBuilder) -> dict[str, list[str]]:
    return {str(name): list(files) for name, files in (builder.config.data_files or {}).items()}


def _check_parquet(name: str, files: Sequence[str]) -> None:
    others = [file for file in files if not file.endswith(".parquet")]
    if others or not files:
        held = f" (it holds {others[0].rpartition('/')[2]!r})" if others else ""
        raise UnlearningError(
            f"dataset {name!r} is not stored as parquet{held}, and nothing else can be streamed; the Hub may keep a "
            "copy that is, as dataset_revision 'refs/convert/parquet'"
        )


def _columns(features: Features, request: ForgetRequest, image: str | None, label: str | None) -> list[str]:
    """The image column, the label column, and those that the request asks for."""
    from datasets import ClassLabel, Dataset, Value

    empty = Dataset.from_dict({name: [] for name in features}, features=features)
    asked = [*request.where, *([request.subclass_column] if request.subclass_column else [])]
    # What is wrong with others is said where the rows are chosen, and nothing is read of them.
    plain = [column for column in asked if isinstance(features.get(column), (ClassLabel, Value))]
    image = find_image_column(empty, image)
    return [image, find_label_column(empty, label, exclude=request.subclass_column, fits=request.leaves), *plain]


def _whole_split(builder: DatasetBuilder, name: str, token: str | None) -> Dataset:
    from datasets import load_dataset

    kind = type(builder).__module__.rpartition(".")[2]
    # These are paths, which would be taken for patterns.
    files = {name: [glob.escape(file) for file in _files_by_split(builder)[name]]}
    return load_dataset(kind, data_files=files, split=name, features=builder.info.features, token=token)


class _Source:
    """The parquet files of a split, open, in order; a context that closes them."""

    def __init__(self, places: Sequence[str], token: str | None):
        from fsspec.core import url_to_fs

        options = {"token": token} if places[0].startswith("hf://") else {}
        self._system, _ = url_to_fs(places[0], **options)
        paths = [url_to_fs(place, **options)[1] for place in places]
        for folder in sorted({path.rpartition("/")[0] for path in paths}):
            # Once for all the files in it, which are asked for their sizes next.
            self._system.ls(folder, detail=True)
        self._open: list[Any] = []
        self._files = list(self._each(self._read_end, paths, "Reading the ends of files"))

    def __enter__(self) -> _Source:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open:
            file.close()

    def _read_end(self, path: str) -> ParquetFile:
        # Without a cache each read fetches what it asks for, and no more.
        file = self._system.open(path, "rb", cache_type="none")
        self._open.append(file)
        try:
            return ParquetFile(file, file.size)
        except ValueError as error:
            raise UnlearningError(f"file {path.rpartition('/')[2]!r} cannot be read: {error}") from error

    def _each(self, function: Callable[..., Result], items: Sequence[Any], what: str, **bar: Any) -> Iterator[Result]:
        with ThreadPoolExecutor(_READERS) as pool:
            # disable=None hides the bar when the output is not a terminal.
            shown = {"desc": what, "unit": "file", "total": len(items), "delay": 2, "disable": None, "leave": False}
            yield from tqdm(pool.map(function, items), **{**shown, **bar})

    def features(self) -> Features:
        """The columns, as `datasets` reads them from the first file."""
        from datasets import Features

        return Features.from_arrow_schema(self._files[0].schema)

    def without_images(self, features: Features, kept: Sequence[str], columns: Sequence[str]) -> Dataset:
        """Every row, of which `columns` were read; of images and all other columns nothing but the names is there."""
        import pyarrow
        from datasets import Dataset, DatasetInfo, Features, Value
        from datasets.table import InMemoryTable

        names = list(dict.fromkeys(columns))
        read = pyarrow.concat_tables(self._each(lambda file: file.columns(names), self._files, "Reading columns"))
        bare = Features({name: features[name] if name in (*kept, *names) else Value("null") for name in features})
        filled = [
            read[field.name].cast(field.type) if field.name in names else pyarrow.nulls(len(read), field.type)
            for field in bare.arrow_schema
        ]
        table = pyarrow.Table.from_arrays(filled, schema=bare.arrow_schema)
        return Dataset(InMemoryTable(table), info=DatasetInfo(features=bare))

    def images(self, column: str, rows: np.ndarray, name: str, report: Callable[[str], None] | None) -> list[Any]:
        """The encoded images of some rows, as arrow arrays whose values are in the rows' order.

        Args:
            rows: sorted, counted over all files.
            name, report: of the dataset, and for a line on how much will be fetched.
        """
        import pyarrow

        stored = self._files[0].schema.field(column).type
        leaf = (column, "bytes") if pyarrow.types.is_struct(stored) else (column,)
        if pyarrow.types.is_string(stored):
            raise UnlearningError(
                f"column {column!r} of dataset {name!r} holds paths of images, not the images: it cannot be streamed"
            )

        def plan(both: tuple[ParquetFile, np.ndarray]) -> list[tuple[int, np.ndarray, list[Piece]]]:
            file, here = both
            parts = enumerate(_parted(here, file.group_sizes))
            return [(group, part, file.pieces(leaf, group, part)) for group, part in parts if len(part)]

        parted = _parted(rows, [sum(file.group_sizes) for file in self._files])
        concerned = [both for both in zip(self._files, parted, strict=True) if len(both[1])]
        plans = list(self._each(plan, concerned, "Looking for images"))
        sizes = [sum(piece.size for _, _, pieces in found for piece in pieces) for found in plans]
        if report is not None:
            whole = sum(file.size for file in self._open)
            taken, among = (tqdm.format_sizeof(size, "B") for size in (sum(sizes), whole))
            report(
                f"fetching {len(rows):,} images of {name}: {taken} of {among}, from {len(concerned):,} of "
                f"{len(self._files):,} files"
            )

        def fetch(both: tuple[ParquetFile, list[tuple[int, np.ndarray, list[Piece]]]]) -> list[Any]:
            file, found = both
            return [file.values(leaf, group, part, pieces) for group, part, pieces in found]

        files = [file for file, _ in concerned]
        fetched = self._each(fetch, list(zip(files, plans, strict=True)), "Fetching images")
        return [chunk for arrays in fetched for array in arrays for chunk in array.chunks]


def _parted(rows: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Sorted rows, by the part that they are in, counted from its start; the parts follow each other in these sizes."""
    ends = np.cumsum(sizes)
    cuts = np.searchsorted(rows, ends)[:-1]
    return [part - (end - size) for part, end, size in zip(np.split(rows, cuts), ends, sizes, strict=True)]


def _with_images(dataset: Dataset, column: str, images: Sequence[Any]) -> Dataset:
    """The dataset with encoded images beside its columns, one for each row."""
    import pyarrow
    from datasets import Dataset, DatasetInfo, Features, Image
    from datasets.table import InMemoryTable

    features = Features({column: Image(), **dataset.features})
    kind = Image().pa_type
    bare = [
        pyarrow.StructArray.from_arrays(
            [chunk.cast(pyarrow.binary()), pyarrow.nulls(len(chunk), pyarrow.string())], fields=list(kind)
        )
        for chunk in images
    ]
    table = dataset.with_format("arrow")[:]
    together = table.add_column(0, column, pyarrow.chunked_array(bare, type=kind)).select(list(features))
    return Dataset(InMemoryTable(together.cast(features.arrow_schema)), info=DatasetInfo(features=features))

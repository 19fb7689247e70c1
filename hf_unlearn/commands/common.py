"""What the commands share: from flags to a request, its splits, a model and an output folder."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_unlearn.commands.arguments import DataArguments, ModelArguments, RequestArguments
from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.request import ForgetRequest, UnlearningSplits, load_image_dataset, make_splits, parse_where
from hf_unlearn.request.labelled import LabelledParts, find_splits, label_parts

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedModel, Trainer, TrainingArguments

    from hf_unlearn.models.revisions import Resolved

REQUEST_FLAGS = (
    "--forget_classes",
    "--forget_subclasses",
    "--forget_fraction",
    "--forget_count",
    "--forget_indices",
    "--forget_where",
    "--forget_dataset_config",
    "--forget_split",
)
RUN_NAME = "unlearning_run.json"
# As in publishing/record.py, which is too heavy to import for a name.
RECORD_NAME = "unlearning.json"
RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"
# What `Trainer.save_metrics` writes.
TRAIN_RESULTS_NAME = "train_results.json"


def make_request(flags: RequestArguments) -> ForgetRequest:
    """The request that the flags name.

    Raises:
        UnlearningError: none, or two kinds at once, or a value out of range.
    """
    if not has_request(flags):
        raise UnlearningError("nothing to forget was named; expected one of " + ", ".join(REQUEST_FLAGS))
    indices: Any = None
    if flags.forget_indices is not None:
        indices = _indices(flags.forget_indices)
    return ForgetRequest(
        classes=tuple(flags.forget_classes or ()),
        subclasses=tuple(flags.forget_subclasses or ()),
        subclass_column=flags.subclass_column,
        fraction=flags.forget_fraction,
        count=flags.forget_count,
        stratify=flags.forget_stratify,
        seed=flags.forget_seed,
        indices=indices,
        where=parse_where(flags.forget_where or []),
        dataset_config=flags.forget_dataset_config,
        split=flags.forget_split,
    )


def has_request(flags: RequestArguments) -> bool:
    """Whether any kind of request was named."""
    return any(vars(flags)[name.lstrip("-")] is not None for name in REQUEST_FLAGS)


def _indices(words: Sequence[str]) -> tuple[int, ...] | str:
    if len(words) == 1 and not _is_integer(words[0]):
        if "." not in words[0] or words[0].replace(".", "", 1).isdigit():
            raise UnlearningError(f"forget index {words[0]!r} is not an integer, nor a .txt, .json or .npy file")
        return words[0]
    for word in words:
        if not _is_integer(word):
            raise UnlearningError(f"forget index {word!r} is not an integer; expected positions in the train split")
    return tuple(int(word) for word in words)


def _is_integer(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


def load_whole(data: DataArguments) -> LabelledParts:
    """The train split and, if there is one, the test split, without any request.

    Raises:
        UnlearningError: no such dataset, split or column.
    """
    dataset = load_image_dataset(data.dataset_name, config=data.dataset_config_name, revision=data.dataset_revision)
    names = [name for name in find_splits(dataset, data.train_split, data.test_split) if name is not None]
    parts = {f"the split {name!r}": dataset[name] for name in names}
    return label_parts(parts, data.image_column_name, data.label_column_name)


def load_unseen(data: DataArguments, name: str, splits: UnlearningSplits) -> Any:
    """A split that neither the model nor the judging of it has seen, labelled as the splits are.

    Raises:
        UnlearningError: no such split, or one that is in use, or one with other labels.
    """
    dataset = load_image_dataset(data.dataset_name, config=data.dataset_config_name, revision=data.dataset_revision)
    if name not in dataset:
        raise UnlearningError(f"split {name!r} does not exist; {did_you_mean(name, dataset)}")
    if name in (splits.train_split, splits.test_split, splits.request.split):
        raise UnlearningError(f"unseen_split {name!r} is the train, test or forget split; expected another one")
    part = label_parts({f"the split {name!r}": dataset[name]}, splits.image_column, splits.label_column)
    if part.label_names != splits.label_names:
        raise UnlearningError(f"the labels of unseen_split {name!r} are not those of the train split")
    return part.parts[0]


def load_splits(data: DataArguments, request: ForgetRequest) -> UnlearningSplits:
    """Load the dataset and make the request's splits.

    Raises:
        UnlearningError: no such dataset, split, column or class, or a forget set that is empty or everything.
    """

    def load(config: str | None) -> Any:
        return load_image_dataset(data.dataset_name, config=config, revision=data.dataset_revision)

    return make_splits(
        load(data.dataset_config_name),
        request,
        dataset_name=data.dataset_name,
        dataset_config_name=data.dataset_config_name,
        dataset_revision=data.dataset_revision,
        train_split=data.train_split,
        test_split=data.test_split,
        image_column_name=data.image_column_name,
        label_column_name=data.label_column_name,
        load_config=load,
    )


def pin(model: ModelArguments | None, data: DataArguments | None) -> tuple[Resolved, Resolved]:
    """Replace the revisions of what is on the Hub by the commits that they are now, once; returns what was found.

    Raises:
        UnlearningError: there is no such revision.
    """
    from hf_unlearn.models.revisions import Resolved, resolve_revision

    of_model = of_data = Resolved(None, None)
    if model is not None:
        of_model = resolve_revision(model.model_name_or_path, model.model_revision)
        model.model_revision = of_model.commit or model.model_revision
    if data is not None:
        of_data = resolve_revision(data.dataset_name, data.dataset_revision, repo_type="dataset")
        data.dataset_revision = of_data.commit or data.dataset_revision
    return of_model, of_data


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
    return model, load_image_processor(flags.model_name_or_path, revision=flags.model_revision)


def loading_line(folder: str, repo_id: str | None = None) -> str:
    """How to load what is in `folder`, and at `repo_id` on the Hub, as a line to print."""
    if os.path.isfile(os.path.join(folder, "adapter_config.json")):
        return "  load    with peft, onto its base: its README.md says how"
    return f'  load    pipeline("image-classification", model="{repo_id or folder}")'


def check_output_dir(output_dir: str | None, overwrite: bool, checkpoint: str | None = None) -> str:
    """The output folder, if it may be written to.

    Args:
        checkpoint: the run goes on from there; the folder that holds it is not empty, of course.

    Raises:
        UnlearningError: none was named, it is or lies below a file, or it is not empty and may not be overwritten.
    """
    if not output_dir:
        raise UnlearningError("--output_dir is missing; expected the folder to write to")
    path = Path(output_dir).absolute()
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if not existing.is_dir():
        raise UnlearningError(f"output_dir {output_dir!r} is, or lies in, a file; expected a folder")
    if not os.access(existing, os.W_OK):
        raise UnlearningError(f"output_dir {output_dir!r} cannot be written to")
    goes_on = checkpoint is not None and path in Path(checkpoint).absolute().parents
    if path.is_dir() and os.listdir(path) and not (overwrite or goes_on):
        raise UnlearningError(
            f"output_dir {output_dir!r} is not empty; expected a new folder, or --overwrite_output_dir"
        )
    return output_dir


@contextlib.contextmanager
def no_empty_folder(output_dir: str) -> Iterator[None]:
    """If what is done here fails and leaves an empty folder that was not there before, remove it."""
    before = os.path.isdir(output_dir)
    try:
        yield
    except (UnlearningError, KeyboardInterrupt):
        if not before:
            # Another process may have been first; a checkpoint in it is kept.
            with contextlib.suppress(OSError):
                os.rmdir(output_dir)
        raise


def find_checkpoint(args: TrainingArguments) -> str | None:
    """The checkpoint to resume from: the one named, or for `true` the latest in the output folder.

    Raises:
        UnlearningError: there is none.
    """
    from hf_unlearn.trainers.base.checkpoints import is_whole, last_whole_checkpoint

    named = args.resume_from_checkpoint
    if named is None or str(named).lower() == "false":
        return None
    if str(named).lower() == "true":
        latest = last_whole_checkpoint(str(args.output_dir))
        if latest is None:
            raise UnlearningError(
                f"output_dir {args.output_dir!r} holds no checkpoint to resume from that was saved whole; expected "
                "one, or a run from the start with --overwrite_output_dir"
            )
        return latest
    if not os.path.isfile(os.path.join(named, "trainer_state.json")):
        raise UnlearningError(f"resume_from_checkpoint {named!r} is no checkpoint; expected a folder checkpoint-N")
    if not is_whole(named):
        raise UnlearningError(
            f"resume_from_checkpoint {named!r} was not saved whole: its run ended meanwhile; expected an earlier one"
        )
    return str(named)


def check_resumed_run(checkpoint: str | None, run: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run than this one.

    Args:
        run: what makes a run this run: the model, and the fingerprint of the request.

    Raises:
        UnlearningError: the checkpoint's run was another, or did not say.
    """
    if checkpoint is None:
        return
    path = Path(checkpoint).absolute().parent / RUN_NAME
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnlearningError(f"checkpoint {checkpoint!r} does not say what it unlearns: no {RUN_NAME}") from error
    for name, value in run.items():
        if saved.get(name) != value:
            raise UnlearningError(
                f"checkpoint {checkpoint!r} is of another {name.replace('_', ' ')} than this command's; expected the "
                "command that it was saved by"
            )


def quiet_unless_terminal() -> bool:
    """On a terminal, leave progress bars as they are; elsewhere switch them off. Returns whether they are off."""
    import datasets
    import transformers

    if sys.stderr.isatty():
        return False
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    return True


def settle(args: TrainingArguments) -> None:
    """Fit a run's arguments to where it runs: no progress bars without a terminal, no pinned memory without a GPU."""
    if quiet_unless_terminal():
        args.disable_tqdm = True
    if args.device.type != "cuda":
        args.dataloader_pin_memory = False


def quieten(trainer: Trainer) -> None:
    """A progress bar where somebody watches, and no line for every logged step anywhere."""
    from transformers import PrinterCallback, ProgressCallback

    class Bar(ProgressCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if self.training_bar is not None and logs and "loss" in logs:
                shown = {name: logs[name] for name in ("loss", "forget_accuracy") if name in logs}
                self.training_bar.set_postfix({name: f"{float(value):.3g}" for name, value in shown.items()})

    trainer.remove_callback(PrinterCallback)
    if not trainer.args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(Bar())


def seconds_as_text(seconds: float) -> str:
    """`75.3` as `1 min 15 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def write_json(values: Mapping[str, Any], path: str) -> None:
    """Write `values` as JSON, whole or not at all."""
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(values, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
    os.replace(f"{path}.part", path)

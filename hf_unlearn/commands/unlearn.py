"""`hf-unlearn unlearn`: a model forgets a request."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_unlearn.commands.arguments import (
    BeginningArguments,
    ForgetSetArguments,
    ModelArguments,
    OutputArguments,
    RequestArguments,
    TestSetArguments,
    UnlearningDataArguments,
    flag,
)
from hf_unlearn.commands.first_model import allow_no_more, find_beginning
from hf_unlearn.commands.forget_set import check_forget_set, described, load_forget_set
from hf_unlearn.commands.loading import cache_lines, load_model, load_reference, load_splits, pin
from hf_unlearn.commands.memory import keep_freed_memory
from hf_unlearn.commands.output_folder import check_output_dir, no_empty_folder
from hf_unlearn.commands.parsing import is_first_process, parse, say
from hf_unlearn.commands.request_flags import make_request
from hf_unlearn.commands.resuming import check_resumed_run, find_checkpoint, run_identity
from hf_unlearn.commands.terminal import loading_line, quieten, seconds_as_text, settle
from hf_unlearn.commands.words import peek
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.limits import WHOLE_CLASS_ACCURACY
from hf_unlearn.trainers.registry import METHOD_HELP, METHODS, Method, find_method, settings_of

if TYPE_CHECKING:
    from hf_unlearn.data.pixels import PixelDataset
    from hf_unlearn.request import UnlearningSplits
    from hf_unlearn.trainers import UnlearningTrainer

DESCRIPTION = (
    "Make an image classifier forget samples of its training set, and save the result. Most methods look at those "
    "samples alone; some need the rest of the training set, too."
)


@dataclass
class MethodArguments:
    """How"""

    method: str = flag(METHOD_HELP, "mu_mis", choices=list(METHODS))
    num_processes: int = flag(
        "Processes on this machine, one a GPU. The run is that of one process with as large a batch as all of them.",
        1,
    )
    seeds: list[int] | None = flag(
        "One run a seed, each into OUTPUT_DIR-SEED. With --method retrain: reference models for hf-unlearn evaluate."
    )
    reference_split: str | None = flag(
        "A split that the model was not trained on, labelled or not: where other samples still teach the forgotten "
        "labels, it says how sure of them a model should be. Not the test split, which is for judging."
    )


def parsed(argv: Sequence[str]) -> tuple[str, Method, tuple[Any, ...]]:
    """The method of a command line, by name and as the registry has it, and all flags by group.

    Raises:
        UnlearningError: as [`hf_unlearn.commands.parsing.parse`].
    """
    method_name = peek("method", argv) or "mu_mis"
    method = find_method(method_name)

    def config_class() -> type:
        import hf_unlearn.trainers

        return getattr(hf_unlearn.trainers, method.config)

    flags = parse(
        "unlearn",
        DESCRIPTION,
        (
            *(ModelArguments, UnlearningDataArguments, RequestArguments, ForgetSetArguments, TestSetArguments),
            *(MethodArguments, BeginningArguments, OutputArguments),
        ),
        config_class,
        settings_of(method.module, method.config),
        argv,
    )
    return method_name, method, flags


@dataclass
class Run:
    """A run that everything is there for: checked, read and tried, and not begun.

    Attributes:
        trainer: on the model, the samples and the settings.
        checkpoint: where it goes on from, if anywhere.
        began: of a model that was unlearned before, with which model the run begins, in words.
    """

    trainer: UnlearningTrainer
    splits: UnlearningSplits
    model_flags: ModelArguments
    data: UnlearningDataArguments
    forget_flags: ForgetSetArguments
    method_flags: MethodArguments
    forget: PixelDataset
    unseen: PixelDataset | None
    checkpoint: str | None
    began: str

    @property
    def request(self) -> str:
        """What is forgotten and where it is, as a phrase."""
        return described(self.splits, self.data, self.forget_flags)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was written.
        DivergenceError: the run diverged; nothing was saved.
    """
    words = argv or ()
    method_name, method, flags = parsed(words)
    *_, method_flags, _, output, args = flags
    if method_flags.seeds is not None:
        given = args.output_dir if peek("output_dir", words) is not None else ""
        if peek("seed", words) is not None:
            raise UnlearningError(
                f"seed {args.seed} and seeds {method_flags.seeds} are both given; expected one of them"
            )
        folders = _folders(given, method_flags, output, args)
        for seed, folder in folders.items():
            once = _with_seed(args, seed)
            once.output_dir = folder
            _run((method_name, method, (*flags[:-1], once)), True)
        say(f"{len(folders)} models: {' '.join(folders.values())}")
        if method_name == "retrain":
            say(f"  next    hf-unlearn evaluate ... --reference_model {' '.join(folders.values())}")
        return
    if method_flags.num_processes != 1 and "RANK" not in os.environ:
        from hf_unlearn.commands.launching import launch

        if status := launch("unlearn", words, method_flags.num_processes):
            raise SystemExit(status)
        return
    _run((method_name, method, flags), peek("output_dir", words) is not None)


def _with_seed(args: Any, seed: int) -> Any:
    once = copy.copy(args)
    once.seed = seed
    return once


def _folders(folder: str, method_flags: MethodArguments, output: OutputArguments, args: Any) -> dict[int, str]:
    """Where the run of each seed goes. All places are looked at before the first run.

    Raises:
        UnlearningError: seeds that make no runs of their own, a flag that is for one run, or a place that is taken.
    """
    seeds = method_flags.seeds or []
    if not seeds or len(set(seeds)) != len(seeds):
        raise UnlearningError(f"seeds are {seeds}; expected different ones, at least one")
    from hf_unlearn.trainers.base.unserved import refuse_unserved

    for seed in seeds:
        # What the config's own check would say: it has seen one seed, and none of these.
        refuse_unserved(_with_seed(args, seed))
    for name, given in (
        ("push_to_hub", args.push_to_hub),
        ("num_processes", method_flags.num_processes != 1),
        ("resume_from_checkpoint", args.resume_from_checkpoint),
    ):
        if given:
            raise UnlearningError(f"--{name} is of one run, and --seeds makes several; expected one of the two")
    check_output_dir(folder, True)
    folders = {seed: f"{os.path.normpath(folder)}-{seed}" for seed in seeds}
    for each in folders.values():
        check_output_dir(each, output.overwrite_output_dir)
    return folders


def _run(command: tuple[str, Method, tuple[Any, ...]], output_dir_given: bool) -> None:
    """One run, and what there is to tell of it."""
    args = command[2][-1]
    with no_empty_folder(args.output_dir):
        run = prepare(command, output_dir_given)
        run.trainer.train(resume_from_checkpoint=run.checkpoint)
        record = run.trainer.save_with_record()
    if record is None or not run.trainer.is_world_process_zero():
        return
    say(*_told(run, record))
    if args.push_to_hub:
        pushed = run.trainer.push_to_hub()
        say(f"  pushed  {run.trainer.hub_model_id} at {pushed.oid}: loaded back, and it answers the same. Verified.")


def prepare(command: tuple[str, Method, tuple[Any, ...]], output_dir_given: bool = True) -> Run:
    """Everything of a run before its first step.

    Args:
        command: from [`parsed`].
        output_dir_given: whether somebody said where to, and it is not the default's.

    Raises:
        UnlearningError: bad input; nothing was written.
    """
    method_name, method, flags = command
    model_flags, data, request_flags, forget_flags, test_flags, method_flags, beginning, output, args = flags
    alone = check_forget_set(data, request_flags, forget_flags, test_flags)
    request = None if alone else make_request(request_flags)
    if (alone or data.streaming) and not method.retain_free:
        flag_given = "--forget_dataset" if alone else "--streaming"
        raise UnlearningError(
            f"method {method_name!r} needs the samples that stay, and {flag_given} brings only those to forget; "
            f"expected one of {', '.join(name for name, each in METHODS.items() if each.retain_free)}"
        )
    if args.eval_strategy != "no" or args.eval_on_start:
        name = "eval_strategy" if args.eval_strategy != "no" else "eval_on_start"
        raise UnlearningError(f"{name} is set, but nothing is evaluated while a run goes on; see hf-unlearn evaluate")
    checkpoint = find_checkpoint(args)
    sources = {
        "the model": model_flags.model_name_or_path,
        "the dataset": data.dataset_name,
        "the forget set": forget_flags.forget_dataset,
        "the test set": test_flags.test_dataset,
    }
    check_output_dir(args.output_dir if output_dir_given else None, output.overwrite_output_dir, checkpoint, sources)
    settle(args)

    of_model, of_data = pin(model_flags, data, forget_flags)
    if args.push_to_hub and is_first_process():
        # Before any long work. Once the classes are known by name, the trainer looks again.
        from hf_unlearn.publishing.destination import find_destination

        hub_name = args.hub_model_id or os.path.basename(os.path.abspath(args.output_dir))
        place = {"private": args.hub_private_repo, "token": args.hub_token, "revision": args.hub_revision}
        # What is not known of a name is asked once it is known to be there.
        sources = {
            "original_model": {
                "name": model_flags.model_name_or_path,
                "from_hub": of_model.from_hub,
                "private": bool(of_model.private),
            },
            "dataset": {
                "name": forget_flags.forget_dataset or data.dataset_name,
                "from_hub": of_data.from_hub,
                "private": bool(of_data.private),
            },
            "disclosure": {"sources": args.publish_private_sources},
        }
        find_destination(hub_name, replace=args.hub_replace, sources=sources, **place)
    from hf_unlearn.models.labels import id2label_of
    from hf_unlearn.publishing.earlier import earlier_of, refuse_forgotten

    if request is None:
        model, image_processor = load_model(model_flags)
        splits = load_forget_set(data, forget_flags, test_flags, lambda: (model, image_processor))
    else:
        splits = load_splits(data, request, test_flags)
        model, image_processor = load_model(model_flags)
    check_output_dir(args.output_dir, True, None, {"the adapter's base": str(model.name_or_path)})
    earlier = earlier_of(model_flags.model_name_or_path, model, model_flags.model_revision)
    refuse_forgotten(earlier, splits, id2label_of(model.config))
    begun: dict[str, Any] = {}
    began = ""
    if earlier:
        given = (model_flags, model, earlier, request, splits, data, test_flags)
        found, began = find_beginning(beginning.begin_with, *given)
        if found is not None:
            model_flags, of_model, model, image_processor, splits, begun = found
            allow_no_more(args, earlier)
            earlier = []
            check_output_dir(args.output_dir, True, None, {"the first model": model_flags.model_name_or_path})

    from hf_unlearn.data.pixels import pixels_like, pixels_of, try_forward
    from hf_unlearn.data.reading import as_pixels
    from hf_unlearn.data.unlabelled import unlabelled_pixels

    unseen = None
    if method_flags.reference_split is not None:
        samples = load_reference(data, forget_flags, method_flags.reference_split, splits)
        columns = (splits.image_column, splits.label_column)
        unseen = unlabelled_pixels(samples, model, image_processor, *columns)
        if unseen is None and splits.retain is None:
            unseen = as_pixels(samples, model, image_processor, *columns, label_mapping=splits.label_mapping)
        elif unseen is None:
            unseen = pixels_like(splits, samples, model, image_processor)
        unseen.preload("Reading the unseen samples")
    forget = pixels_of(splits, "forget", model, image_processor)
    # Every image is decoded here, so a corrupt one is found before anything is written.
    forget.preload("Reading the forget set")
    retain = None
    if not method.retain_free:
        splits = splits.with_readable_retain()
        retain = pixels_of(splits, "retain", model, image_processor)
        retain.preload("Reading the retain set")
    try_forward(model, forget)
    import hf_unlearn.trainers

    if args.device.type == "cpu":
        keep_freed_memory()
    trainer = getattr(hf_unlearn.trainers, method.trainer)(
        model=model,
        args=args,
        splits=splits,
        train_dataset=forget,
        processing_class=image_processor,
        retain_dataset=retain,
        reference_dataset=unseen,
        provenance={
            "name": model_flags.model_name_or_path,
            **of_model.as_origin(),
            "dataset_commit": of_data.commit,
            "dataset_private": of_data.private,
            "reference_split": method_flags.reference_split,
            "allow_pickle": model_flags.allow_pickle,
            "earlier": earlier,
            **begun,
        },
    )
    quieten(trainer)
    # What the mapping does, not where its file lies.
    class_ids = hashlib.sha256(repr(splits.class_ids(id2label_of(model.config))).encode()).hexdigest()
    trainer.identity = run_identity(
        model,
        image_processor,
        trainer.args,
        model_flags.model_name_or_path,
        method=(method_name, method_name),
        forget_request=(splits.fingerprint.id, splits.request.describe()),
        reference_split=(method_flags.reference_split, method_flags.reference_split),
        label_mapping=(class_ids, data.label_mapping),
    )
    check_resumed_run(checkpoint, trainer.identity)
    return Run(trainer, splits, model_flags, data, forget_flags, method_flags, forget, unseen, checkpoint, began)


def _told(run: Run, record: dict[str, Any]) -> list[str]:
    """What there is to say of a run that was saved, as lines."""
    from hf_unlearn.publishing.earlier import text_of

    trainer, splits, unseen = run.trainer, run.splits, run.unseen
    premise, memory = getattr(trainer, "premise", None), getattr(trainer, "memory", None)
    accuracies = {name: values for name, values in record["checks"].items() if isinstance(values, dict)}
    return [
        f"Forgot {run.request}: {len(run.forget)} samples"
        f"{'; no others were looked at' if splits.retain is None else f', {len(splits.retain)} left'}",
        f"  from    {run.model_flags.model_name_or_path}",
        *([f"  began   {run.began}"] if run.began else []),
        *cache_lines(),
        *(f"  set     {line}" for line in trainer.settled),
        *(f"  mended  {line}" for line in trainer.mended),
        f"  data    {trainer.data_used}"
        + (f": {len(unseen)} of {run.method_flags.reference_split}" if unseen is not None else ""),
        *([f"  before  {premise}"] if premise is not None else []),
        *([f"  before  {memory}"] if memory is not None else []),
        *(
            f"  {name.replace('_', ' ')} {values['before']:.1f} % -> {values['after']:.1f} %"
            for name, values in accuracies.items()
        ),
        *(
            f"  before  request {number}, {text_of(each)}: {_still(each)}"
            for number, each in enumerate(record["earlier"], start=1)
        ),
        f"  in      {trainer.state.global_step} steps, {seconds_as_text(trainer.seconds)}; stopped: "
        f"{trainer.stop_reason}",
        f"  saved   {trainer.args.output_dir}, with its card",
        loading_line(str(trainer.args.output_dir)),
        *([f"  WARNING: {trainer.mismatch}"] if trainer.mismatch is not None else []),
        f"  {_verdict(splits.removes_whole_classes, accuracies['forget_accuracy']['after'])}",
    ]


def _verdict(whole_classes: bool, after: float) -> str:
    """What the forget accuracy after the run says of the request, and what it does not."""
    if whole_classes:
        if after > WHOLE_CLASS_ACCURACY:
            return (
                f"WARNING: the request is not met. A model that never saw these classes has a forget accuracy of 0 %, "
                f"this one of {after:.1f} %; try more --max_steps"
            )
        return "check   hf-unlearn evaluate, with a model retrained without these samples where there is one"
    return (
        "WARNING: other samples still teach these labels, so the original may be nearly as close to a retrained model "
        "as this one, and without a retrained model nobody can tell: hf-unlearn evaluate --reference_model"
    )


def _still(request: dict[str, Any]) -> str:
    """What the model answers now on an earlier request."""
    found = (request.get("checks") or {}).get("forget_accuracy")
    if found is None:
        return "hf-unlearn evaluate looks at it"
    return f"forget accuracy {found['before']:.1f} % -> {found['after']:.1f} %"

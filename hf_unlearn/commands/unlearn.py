"""`hf-unlearn unlearn`: a model forgets a request."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hf_unlearn.commands.arguments import (
    DataArguments,
    ModelArguments,
    OutputArguments,
    RequestArguments,
    flag,
)
from hf_unlearn.commands.common import (
    RECORD_NAME,
    RUN_NAME,
    check_output_dir,
    check_resumed_run,
    find_checkpoint,
    load_model,
    load_splits,
    load_unseen,
    make_request,
    no_empty_folder,
    pixels_of,
    quieten,
    seconds_as_text,
    settle,
)
from hf_unlearn.commands.parsing import parse, peek, say
from hf_unlearn.errors import UnlearningError
from hf_unlearn.trainers.registry import METHODS, find_method

DESCRIPTION = (
    "Make an image classifier forget samples of its training set, from those samples alone, and save the result."
)
# How many forget samples the summary's before and after are taken over.
SUMMARY_SAMPLES = 1000
# Percent; above it a request for whole classes is not met.
WHOLE_CLASS_ACCURACY = 2.0


@dataclass
class MethodArguments:
    """How"""

    method: str = flag("The unlearning method.", "mu_mis", choices=list(METHODS))
    unseen_split: str | None = flag(
        "A split that the model was not trained on: where other samples still teach the forgotten labels, it says how "
        "sure of them a model should be. Not the test split, which is for judging."
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was written.
        DivergenceError: the run diverged; nothing was saved.
    """
    method_name = peek("method", argv or ()) or "mu_mis"
    method = find_method(method_name)

    def config_class() -> type:
        import hf_unlearn.trainers

        return getattr(hf_unlearn.trainers, method.config)

    model_flags, data, request_flags, method_flags, output, args = parse(
        "unlearn",
        DESCRIPTION,
        (ModelArguments, DataArguments, RequestArguments, MethodArguments, OutputArguments),
        config_class,
        method.parameters,
        argv or (),
    )
    request = make_request(request_flags)
    checkpoint = find_checkpoint(args)
    check_output_dir(peek("output_dir", argv or ()), output.overwrite_output_dir, checkpoint)
    settle(args)

    if os.path.realpath(model_flags.model_name_or_path) == os.path.realpath(args.output_dir):
        raise UnlearningError(f"output_dir {args.output_dir!r} is the model itself; expected another folder")
    splits = load_splits(data, request)
    model, image_processor = load_model(model_flags)

    from hf_unlearn.models.pixels import try_forward

    unseen = None
    if method_flags.unseen_split is not None:
        samples = load_unseen(data, method_flags.unseen_split, splits)
        unseen = pixels_of(samples, splits, model, image_processor).preload("Reading the unseen samples")
    given_set = splits.request.kind in ("dataset_config", "split")
    names = None if given_set else splits.forget_indices
    forget = pixels_of(splits.forget, splits, model, image_processor, index_names=names)
    # Every image is decoded here, so a corrupt one is found before anything is written.
    forget.preload("Reading the forget set")
    try_forward(model, forget)
    import hf_unlearn.trainers
    from hf_unlearn.publishing.record import unlearning_record, write_record
    from hf_unlearn.trainers.request_settings import removes_whole_classes, request_settings

    if hasattr(args, "label_shift"):
        for name, value in request_settings(splits, args.objective).items():
            if peek(name, argv or ()) is None:
                setattr(args, name, value)

    run = {"model": model_flags.model_name_or_path, "forget_request": splits.fingerprint.id, "method": method_name}
    check_resumed_run(checkpoint, run)
    with no_empty_folder(args.output_dir):
        trainer = getattr(hf_unlearn.trainers, method.trainer)(
            model=model, args=args, train_dataset=forget, processing_class=image_processor, unseen_dataset=unseen
        )
        quieten(trainer)
        if args.save_strategy != "no" and trainer.is_world_process_zero():
            write_record(run, args.output_dir, RUN_NAME)
        before = _forget_accuracy(model, forget, args)
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=checkpoint)
    seconds = time.monotonic() - started
    after = _forget_accuracy(model, forget, args)
    trainer.save_model()
    if trainer.is_world_process_zero():
        record = unlearning_record(
            method=method_name,
            model_name=model_flags.model_name_or_path,
            model_revision=getattr(model.config, "_commit_hash", None) or model_flags.model_revision,
            splits=splits,
            args=args,
            steps=trainer.state.global_step,
            stop_reason=trainer.stop_reason,
            seconds=seconds,
            forget_accuracy={"before": before, "after": after},
            premise=getattr(trainer, "premise", None),
            agreement=trainer.agreement,
        )
        write_record(record, args.output_dir, RECORD_NAME)
    sampled = "" if len(forget) <= SUMMARY_SAMPLES else f" (of {SUMMARY_SAMPLES} samples)"
    premise = getattr(trainer, "premise", None)
    say(
        f"Forgot {splits.request.describe()} of {data.dataset_name}: {len(forget)} samples, {len(splits.retain)} left",
        f"  from    {model_flags.model_name_or_path}",
        *([f"  before  {premise}"] if premise is not None else []),
        *([f"  unseen  {len(unseen)} samples of {method_flags.unseen_split}"] if unseen is not None else []),
        f"  forget accuracy {before:.1f} % -> {after:.1f} %{sampled}",
        f"  in      {trainer.state.global_step} steps, {seconds_as_text(seconds)}; stopped: {trainer.stop_reason}",
        f"  saved   {args.output_dir}",
        f'  load    pipeline("image-classification", model="{args.output_dir}")',
        f"  {_verdict(removes_whole_classes(splits), after)}",
    )


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


def _forget_accuracy(model, forget, args) -> float:  # type: ignore[no-untyped-def]
    """Forget accuracy in percent, over evenly spaced samples of a large forget set."""
    import numpy as np
    from torch.utils.data import Subset

    from hf_unlearn.evaluation.metrics import accuracy
    from hf_unlearn.evaluation.predict import predict_logits

    count = min(len(forget), SUMMARY_SAMPLES)
    rows = np.linspace(0, len(forget) - 1, count).round().astype(int).tolist()
    sample = Subset(forget, rows)
    logits = predict_logits({"model": model}, sample, args.per_device_eval_batch_size, args.device, "Checking")
    measured = accuracy(logits["model"], forget.labels[rows].numpy())
    assert measured is not None
    return measured

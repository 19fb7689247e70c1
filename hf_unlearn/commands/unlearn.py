"""`hf-unlearn unlearn`: a model forgets a request."""

from __future__ import annotations

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
    check_output_dir,
    find_checkpoint,
    load_model,
    load_splits,
    make_request,
    pixels_of,
    quieten,
    seconds_as_text,
    settle,
)
from hf_unlearn.commands.parsing import parse, peek, say
from hf_unlearn.trainers.registry import METHODS, find_method

DESCRIPTION = (
    "Make an image classifier forget samples of its training set, from those samples alone, and save the result."
)
# How many forget samples the summary's before and after are taken over.
SUMMARY_SAMPLES = 1000


@dataclass
class MethodArguments:
    """How"""

    method: str = flag("The unlearning method.", "mu_mis", choices=list(METHODS))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was written.
        DivergenceError: the run diverged; nothing was saved.
    """
    method = find_method(peek("method", argv or ()) or "mu_mis")

    def config_class() -> type:
        import hf_unlearn.trainers

        return getattr(hf_unlearn.trainers, method.config)

    model_flags, data, request_flags, _, output, args = parse(
        "unlearn",
        DESCRIPTION,
        (ModelArguments, DataArguments, RequestArguments, MethodArguments, OutputArguments),
        config_class,
        method.parameters,
        argv or (),
    )
    request = make_request(request_flags)
    check_output_dir(peek("output_dir", argv or ()), output.overwrite_output_dir, bool(args.resume_from_checkpoint))
    checkpoint = find_checkpoint(args)
    settle(args)

    splits = load_splits(data, request)
    model, image_processor = load_model(model_flags)
    forget = pixels_of(splits.forget, splits, model, image_processor, index_names=splits.forget_indices)
    # Every image is decoded here, so a corrupt one is found before anything is written.
    forget.preload("Reading the forget set")

    import hf_unlearn.trainers
    from hf_unlearn.publishing.record import unlearning_record, write_record

    trainer = getattr(hf_unlearn.trainers, method.trainer)(
        model=model, args=args, train_dataset=forget, processing_class=image_processor
    )
    quieten(trainer)
    before = _forget_accuracy(model, forget, args)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=checkpoint)
    seconds = time.monotonic() - started
    after = _forget_accuracy(model, forget, args)
    trainer.save_model()
    if trainer.is_world_process_zero():
        record = unlearning_record(
            method=peek("method", argv or ()) or "mu_mis",
            model_name=model_flags.model_name_or_path,
            model_revision=getattr(model.config, "_commit_hash", None) or model_flags.model_revision,
            splits=splits,
            args=args,
            steps=trainer.state.global_step,
            stop_reason=trainer.stop_reason,
            seconds=seconds,
            forget_accuracy={"before": before, "after": after},
        )
        write_record(record, args.output_dir, RECORD_NAME)
    sampled = "" if len(forget) <= SUMMARY_SAMPLES else f" (of {SUMMARY_SAMPLES} samples)"
    say(
        f"Forgot {splits.request.describe()} of {data.dataset_name}: {len(forget)} samples, {len(splits.retain)} left",
        f"  from    {model_flags.model_name_or_path}",
        f"  forget accuracy {before:.1f} % -> {after:.1f} %{sampled}",
        f"  in      {trainer.state.global_step} steps, {seconds_as_text(seconds)}; stopped: {trainer.stop_reason}",
        f"  saved   {args.output_dir}",
        f'  load    pipeline("image-classification", model="{args.output_dir}")',
        "  check   hf-unlearn evaluate, with a model retrained without these samples where there is one",
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

"""`hf-unlearn train`: an image classifier, on demand without a request's samples."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_unlearn.commands.arguments import DataArguments, OutputArguments, RequestArguments, flag
from hf_unlearn.commands.loading import cache_lines, load_splits, load_whole, pin
from hf_unlearn.commands.output_folder import check_output_dir, no_empty_folder
from hf_unlearn.commands.parsing import parse, say
from hf_unlearn.commands.request_flags import has_request, make_request
from hf_unlearn.commands.resuming import check_resumed_run, find_checkpoint, run_identity
from hf_unlearn.commands.terminal import quieten, seconds_as_text, settle
from hf_unlearn.commands.words import peek
from hf_unlearn.errors import DivergenceError, UnlearningError
from hf_unlearn.request import content_fingerprint
from hf_unlearn.request.kept import keep_forget_set
from hf_unlearn.request.label_mapping import as_label_mapping
from hf_unlearn.trainers.registry import settings_of

if TYPE_CHECKING:
    from transformers import EvalPrediction, TrainingArguments

    from hf_unlearn.data.pixels import PixelDataset
    from hf_unlearn.models.start import Start

DESCRIPTION = (
    "Train or fine-tune an image classifier. With a forget request, train without its samples: that is the retrained "
    "reference to which an unlearned model is compared."
)
FINE_TUNING_RATE = "5e-5"


@dataclass
class StartArguments:
    """What to start from: a trained model, or random weights"""

    model_name_or_path: str | None = flag("Fine-tune this one: a name on the Hub, or a folder.")
    model_revision: str | None = flag("Its branch, tag or commit on the Hub.")
    trust_remote_code: bool = flag("Run code that comes with the model.", False)
    model_type: str | None = flag("Start from random weights of this architecture: resnet, vit, convnext ...")
    config_overrides: str | None = flag("Fields of the architecture's configuration, as JSON.")
    image_size: int | None = flag(
        "Height and width that images are resized to, for random weights (default: that of --config_overrides, or 224)."
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was written.
    """
    argv = list(argv or ())

    def config_class() -> type:
        from hf_unlearn.trainers.base.classifier import ClassifierConfig

        return ClassifierConfig

    start, data, request_flags, output, args = parse(
        "train",
        DESCRIPTION,
        (StartArguments, DataArguments, RequestArguments, OutputArguments),
        config_class,
        settings_of("hf_unlearn.trainers.base.classifier", "ClassifierConfig"),
        argv,
    )
    start_of(start)
    if start.model_name_or_path is not None and peek("learning_rate", argv) is None:
        args.learning_rate = float(FINE_TUNING_RATE)
    checkpoint = find_checkpoint(args)
    sources = {"the model": start.model_name_or_path, "the dataset": data.dataset_name}
    check_output_dir(peek("output_dir", argv) and args.output_dir, output.overwrite_output_dir, checkpoint, sources)
    if args.push_to_hub:
        raise UnlearningError("push_to_hub is True, but train publishes nothing; expected `hf upload` of its folder")
    settle(args)
    pin(start if start.model_name_or_path is not None else None, data)
    left_out, splits = "", None
    columns: tuple[Any, ...]
    if has_request(request_flags):
        splits = load_splits(data, make_request(request_flags)).with_readable_retain()
        sets = [part for part in (splits.retain, splits.test) if part is not None]
        origins = [splits.origin(part) for part in ("retain", "test")]
        columns = (splits.image_column, splits.label_column, splits.label_names)
        label_mapping, label_values = splits.label_mapping, splits.label_values
        left_out = f", without {splits.request.describe()} ({len(splits.forget)} samples)"
    else:
        whole, rows = load_whole(data)
        sets, origins = whole.parts, list(zip(whole.names, rows, strict=True))
        columns = (whole.image_column, whole.label_column, whole.label_names)
        label_mapping, label_values = as_label_mapping(data.label_mapping), whole.label_values
    columns = (*columns, label_mapping, label_values)
    model, image_processor = start_of(start).classifier(columns[2:], args.seed)

    from hf_unlearn.data.pixels import PixelDataset, try_forward
    from hf_unlearn.evaluation.metrics.accuracies import accuracy
    from hf_unlearn.evaluation.predict import predict_logits
    from hf_unlearn.trainers.base.classifier import ClassifierTrainer

    read = []
    for part, (split_name, indices), what in zip(sets, origins, ("training", "test"), strict=False):
        named: dict[str, Any] = {"split_name": split_name, "index_names": indices.tolist()}
        read.append(PixelDataset.for_model(part, model.config, image_processor, *columns, **named))
        read[-1].preload(f"Reading the {what} set")
    pixels, test = read[0], read[1] if len(read) > 1 else None
    try_forward(model, pixels)
    evaluated = _evaluation(args, test)
    fill = args.train_batch_size * args.world_size
    if args.dataloader_drop_last and len(pixels) < fill:
        raise UnlearningError(
            f"dataloader_drop_last is True, and {len(pixels)} samples do not fill a batch of {fill}; expected a "
            "smaller batch, or False"
        )
    with no_empty_folder(args.output_dir):
        trainer = ClassifierTrainer(model, args, pixels, image_processor, **evaluated)
        quieten(trainer)
        trainer.identity = run_identity(
            model,
            image_processor,
            args,
            start.model_name_or_path or f"{start.model_type} of random weights",
            forget_request=(None, None) if splits is None else (splits.fingerprint.id, splits.request.describe()),
            dataset=(content_fingerprint(sets[0], columns[1]), data.dataset_name),
        )
        check_resumed_run(checkpoint, trainer.identity)
        started = time.monotonic()
        outcome = trainer.train(resume_from_checkpoint=checkpoint)
        if not trainer.state.global_step:
            raise UnlearningError("no step was made, so nothing was trained and nothing was saved")
        if not all(parameter.isfinite().all() for parameter in model.parameters()):
            raise DivergenceError(
                "training ran away: weights are not finite, nothing was saved; try a smaller learning_rate"
            )
        seconds = time.monotonic() - started
        trainer.save_model()
        trainer.save_metrics("train", outcome.metrics, combined=False)
        if trainer.is_world_process_zero():
            # By it an evaluation knows which request the model is a reference for.
            keep_forget_set(splits, args.output_dir)
    lines = [f"Trained {model.config.model_type} on {len(pixels)} samples of {data.dataset_name}{left_out}"]
    lines += [*cache_lines(), *(f"  mended  {line}" for line in trainer.mended)]
    if test is not None:
        logits = predict_logits({"model": model}, test, args.per_device_eval_batch_size, args.device, "Testing")
        lines.append(f"  test accuracy {accuracy(logits['model'], test.labels.numpy()):.2f} %")
    lines += [f"  in      {seconds_as_text(seconds)}", f"  saved   {args.output_dir}"]
    say(*lines)


def _evaluation(args: TrainingArguments, test: PixelDataset | None) -> dict[str, Any]:
    """What the trainer needs to evaluate on the test set, if it is to evaluate at all."""
    import numpy as np
    from transformers import SchedulerType

    from hf_unlearn.evaluation import accuracy

    if args.eval_strategy == "no" and not args.eval_on_start:
        return {}
    if test is None:
        raise UnlearningError("eval_strategy is set, but there is no test set to evaluate on; expected --test_split")
    schedule = SchedulerType(args.lr_scheduler_type).value
    chooses = {
        "load_best_model_at_end": args.load_best_model_at_end,
        "save_strategy 'best'": args.save_strategy == "best",
        f"lr_scheduler_type {schedule!r}": schedule in ("reduce_lr_on_plateau", "greedy"),
    }
    for name, asked in chooses.items():
        if asked:
            raise UnlearningError(f"{name} would choose by the test set, on which the model is then judged")

    def figures(predicted: EvalPrediction) -> dict[str, Any]:
        return {"accuracy": accuracy(np.asarray(predicted.predictions), np.asarray(predicted.label_ids))}

    return {"eval_dataset": test, "compute_metrics": figures}


def start_of(flags: StartArguments) -> Start:
    """What the flags say to start from.

    Raises:
        UnlearningError: neither or both of model and architecture, or what does not go with one.
    """
    from hf_unlearn.models.start import Start

    overrides = None if flags.config_overrides is None else _overrides(flags.config_overrides)
    return Start(**{**vars(flags), "config_overrides": overrides})


def _overrides(text: str | None) -> dict[str, Any]:
    try:
        overrides = json.loads(text) if text else {}
    except ValueError as error:
        raise UnlearningError(f"config_overrides {text!r} is not JSON: {error}") from error
    if not isinstance(overrides, dict):
        raise UnlearningError(f'config_overrides {text!r} is not an object; expected for example {{"depths": [2, 2]}}')
    return overrides

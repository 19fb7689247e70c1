"""`hf-unlearn audit`: whether the models that a method leaves can be told from retrained ones."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_unlearn.commands.arguments import DataArguments, OutputArguments, RequestArguments, flag
from hf_unlearn.commands.loading import load_splits, pin
from hf_unlearn.commands.output_folder import check_folder, check_output_dir, no_empty_folder
from hf_unlearn.commands.parsing import parse, say
from hf_unlearn.commands.request_flags import make_request
from hf_unlearn.commands.train import StartArguments, start_of
from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.files import AUDIT_NAME
from hf_unlearn.trainers.registry import METHODS, find_method

DESCRIPTION = (
    "Train many small models, unlearn them, and see whether they can be told from retrained ones: U-LiRA, KLoM, and "
    "the forgetting quality of the NeurIPS 2023 competition. Models are kept: the same command goes on where it was "
    "interrupted. Writes audit.json."
)
# Methods of an audit that are none: the originals, and more models trained without the forget set.
CONTROLS = ("nothing",)


@dataclass
class AuditArguments:
    """Which method, on how many models"""

    method: str = flag(
        "As of hf-unlearn unlearn. Controls: retrain (trained without the forget set, which is exact), nothing.",
        "mu_mis",
        choices=[*METHODS, *CONTROLS],
    )
    method_settings: str | None = flag("Settings of the method by name, as JSON; in a --config file a mapping.")
    training_settings: str | None = flag(
        "Settings of training by name, as JSON: num_train_epochs, learning_rate, per_device_train_batch_size ..."
    )
    num_models: int = flag("Originals, retrained models, and models of random halves: so many of each.", 32)
    u_lira: bool = flag("Take U-LiRA, too, which alone needs the models of random halves.", True)
    reference_compatible: bool = flag(
        "KLoM as its authors' code has it, which puts the largest margin into no bin.", False
    )
    max_retain_samples: int = flag("Look at no more retained samples than these, drawn by the seed.", 1000)
    num_processes: int = flag("Models that are made side by side, each with one thread.", 1)
    max_minutes: float | None = flag("Refuse what takes longer, before it starts.")
    seed: int = flag("Of everything drawn; each model has one of its own.", 0)
    use_cpu: bool = flag("Use the CPU even where there is a GPU.", False)
    cache_dir: str | None = flag("Where the models are kept (default: models in the output folder).")
    output_dir: str | None = flag("Where audit.json goes (required).")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was written.
    """
    start, data, request_flags, flags, output = parse(
        "audit",
        DESCRIPTION,
        (StartArguments, DataArguments, RequestArguments, AuditArguments, OutputArguments),
        None,
        None,
        argv or (),
    )
    chosen = start_of(start)
    training = _typed("training_settings", flags.training_settings, _training_config)
    method = _typed("method_settings", flags.method_settings, lambda: _method_config(flags.method))
    request = make_request(request_flags)
    sources = {"the model": start.model_name_or_path, "the dataset": data.dataset_name}
    folder = check_output_dir(flags.output_dir, True, sources=sources)
    cache_dir = flags.cache_dir or os.path.join(folder, "models")
    check_folder(cache_dir, "cache_dir")
    pin(start if start.model_name_or_path is not None else None, data)
    splits = load_splits(data, request).with_readable_retain()
    path = os.path.join(folder, AUDIT_NAME)
    said = {"method": flags.method, "request": splits.request.describe(), "num_models": flags.num_models}
    _refuse_other(path, said, output.overwrite_output_dir)

    from hf_unlearn.ensembles.audit import audit

    with no_empty_folder(folder):
        found = audit(
            splits,
            cache_dir=cache_dir,
            **{**vars(chosen), "model_revision": start.model_revision},
            training_settings=training,
            method=flags.method,
            method_settings=method,
            num_models=flags.num_models,
            u_lira=flags.u_lira,
            reference_compatible=flags.reference_compatible,
            max_retain_samples=flags.max_retain_samples,
            num_processes=flags.num_processes,
            max_minutes=flags.max_minutes,
            seed=flags.seed,
            use_cpu=flags.use_cpu,
            report=lambda line: say(f"  time    {line}"),
        )
        say(f"{flags.num_models} models, method {flags.method}, {splits.request.describe()}", str(found))
        found.save(path)
    say(f"Saved {path}; the models are in {cache_dir}")


def _refuse_other(path: str, said: Mapping[str, Any], overwrite: bool) -> None:
    """Refuse to write over what another audit found."""
    try:
        with open(path, encoding="utf-8") as file:
            held = json.load(file)
    except (OSError, ValueError):
        return
    other = isinstance(held, dict) and [name for name, value in said.items() if held.get(name) != value]
    if other and not overwrite:
        raise UnlearningError(
            f"{path!r} is of another audit ({other[0]} {held.get(other[0])!r}, not {said[other[0]]!r}); expected "
            "another --output_dir, or --overwrite_output_dir"
        )


def _training_config() -> type:
    from hf_unlearn.trainers.base.classifier import ClassifierConfig

    return ClassifierConfig


def _method_config(name: str) -> type:
    import hf_unlearn.trainers

    if name in ("retrain", *CONTROLS):
        raise UnlearningError(f"method_settings are given, and the method {name!r} has none")
    return getattr(hf_unlearn.trainers, find_method(name).config)


def _typed(what: str, text: str | None, config_class: Any) -> dict[str, Any]:
    """Settings as a config has them: what a file or a shell holds as a text becomes a number where it is to be one.

    Raises:
        UnlearningError: it is no JSON object, or names a setting that there is not, or a value of another type.
    """
    if text is None:
        return {}
    try:
        given = json.loads(text)
    except ValueError as error:
        raise UnlearningError(f"{what} {text!r} is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise UnlearningError(f"{what} {text!r} is not an object; expected settings by name")
    from dataclasses import fields

    known = [each.name for each in fields(config_class()) if each.init]
    for name in given:
        if name not in known:
            raise UnlearningError(f"{what} names {name!r}, which is none; {did_you_mean(name, known)}")
    words = [f"--{name}={json.dumps(value) if isinstance(value, dict) else value}" for name, value in given.items()]
    (settings,) = parse("audit", "", (), config_class, None, words)
    return {name: getattr(settings, name) for name in given}

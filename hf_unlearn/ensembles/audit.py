"""An audit from the request to the verdict: many models are trained, unlearned, asked and compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

from hf_unlearn.ensembles.ensemble import Ensemble
from hf_unlearn.ensembles.plan import Plan, check_time
from hf_unlearn.ensembles.workshop import Told, Workshop
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.audits.answers import Answers, Halves
from hf_unlearn.evaluation.audits.exchange import ROUNDS
from hf_unlearn.evaluation.audits.verdict import Audit, audit_answers, check_rounds
from hf_unlearn.models.start import Start
from hf_unlearn.progress import quiet_unless_terminal
from hf_unlearn.request import UnlearningSplits

FINE_TUNING_RATE = 5e-5


def audit(
    splits: UnlearningSplits,
    *,
    cache_dir: str | os.PathLike,
    model_name_or_path: str | None = None,
    model_revision: str | None = None,
    trust_remote_code: bool = False,
    model_type: str | None = None,
    config_overrides: Mapping[str, Any] | None = None,
    image_size: int | None = None,
    training_settings: Mapping[str, Any] | None = None,
    method: str = "mu_mis",
    method_settings: Mapping[str, Any] | None = None,
    num_models: int = 32,
    u_lira: bool = True,
    reference_compatible: bool = False,
    max_retain_samples: int = 1000,
    num_processes: int = 1,
    max_minutes: float | None = None,
    seed: int = 0,
    rounds: int = ROUNDS,
    use_cpu: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Audit:
    """Whether the models that a method leaves can be told from retrained ones: U-LiRA, KLoM, forgetting quality.

    Trains N originals, N models without the forget set and N models on random halves of the training set, unlearns the
    originals and the halves, and compares the answers ([`hf_unlearn.evaluation.audit_answers`]). Every model is kept in
    `cache_dir`: an audit that was interrupted goes on where it was, and one of another method or of another request
    trains no original again.

    Args:
        splits: of the request, on a whole training set.
        cache_dir: folder of the models.
        model_name_or_path, model_revision, trust_remote_code: fine-tune this model; or
        model_type, config_overrides, image_size: train this architecture from random weights.
        training_settings: of [`ClassifierConfig`] by name: `num_train_epochs`, `learning_rate` ... Fine-tuning has the
            rate 5e-5 unless they name one.
        method: as of `hf-unlearn unlearn`. Two controls: `"retrain"` (models trained without the forget set, which is
            exact) and `"nothing"` (the originals).
        method_settings: of the method's config by name.
        num_models: N, at least 8.
        u_lira: without it the models of random halves are not needed.
        reference_compatible: KLoM as its authors' code has it, see [`hf_unlearn.evaluation.klom`].
        max_retain_samples: look at no more of the retained samples.
        num_processes: models that are made side by side, each with one thread if there are several.
        max_minutes: refuse what takes longer, before it starts.
        seed: of everything drawn.
        rounds: permutations behind each p.
        use_cpu: use the CPU even where there is a GPU.
        report: takes a line on how long it takes.

    Returns:
        What [`hf_unlearn.evaluation.audit_answers`] returns, and `method`, `request`, `unchanged`: how many of the
        models that were to be unlearned are as they were before.

    Raises:
        UnlearningError: too few models, settings that do not exist, models in the cache of another recipe, or what
            takes more than `max_minutes`; models that are made by then are kept.

    Example:

    ```python
    from hf_unlearn import ForgetRequest, audit, load_image_dataset, make_splits

    splits = make_splits(load_image_dataset("ORG/DATA"), ForgetRequest(fraction=0.1))
    found = audit(splits, cache_dir="models", model_type="resnet", image_size=32, num_models=32)
    print(found)
    ```
    """
    check_rounds(rounds)
    if num_processes < 1:
        raise UnlearningError(f"num_processes is {num_processes}; expected at least 1")
    if max_minutes is not None and not max_minutes > 0:
        raise UnlearningError(f"max_minutes is {max_minutes}; expected more than 0")
    training = dict(training_settings or {})
    if model_name_or_path is not None:
        training.setdefault("learning_rate", FINE_TUNING_RATE)
    ensemble = Ensemble(
        splits=splits,
        start=Start(model_name_or_path, model_revision, trust_remote_code, model_type, config_overrides, image_size),
        training=training,
        method=method,
        method_settings=dict(method_settings or {}),
        num_models=num_models,
        seed=seed,
        halves=u_lira,
        max_retain_samples=max_retain_samples,
        use_cpu=use_cpu,
    )
    with quiet_unless_terminal():
        shop = Workshop(ensemble, os.fspath(cache_dir))
        plan = Plan(shop, num_processes)
        check_time(plan.training(), "training alone", num_models, max_minutes, report)
        told = [shop.told(0)]
        check_time(plan.rest(), "the rest", num_models, max_minutes, report)
        told += tqdm(_others(shop, num_processes), "Models", num_models - 1, disable=None, leave=False)
    found = judge(told, reference_compatible, seed, rounds)
    found.update(method=method, request=splits.request.describe(), unchanged=sum(each.unchanged for each in told))
    return found


def judge(told: list[Told], reference_compatible: bool, seed: int, rounds: int) -> Audit:
    """The audits of what the models of all numbers answered."""
    halves = None
    if told[0].half is not None:
        members = {part: np.stack([each.members[part] for each in told]) for part in told[0].members}
        halves = Halves(Answers.together([each.half for each in told if each.half is not None]), members)
    unlearned, retrained = (
        Answers.together([getattr(each, side) for each in told]) for side in ("unlearned", "retrained")
    )
    return audit_answers(
        unlearned, retrained, halves, reference_compatible=reference_compatible, seed=seed, rounds=rounds
    )


def _others(shop: Workshop, num_processes: int) -> Iterator[Told]:
    numbers = range(1, shop.ensemble.num_models)
    if num_processes == 1:
        yield from map(shop.told, numbers)
        return
    with parallel_config(backend="loky", inner_max_num_threads=1):
        run = Parallel(n_jobs=num_processes, return_as="generator")
        yield from run(delayed(_told)(shop.ensemble, str(shop.cache.folder), number) for number in numbers)


def _told(ensemble: Ensemble, folder: str, number: int) -> Told:
    return Workshop(ensemble, folder).told(number)

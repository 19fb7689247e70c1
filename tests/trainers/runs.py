"""A trainer of any method on a tiny task, for the tests of all of them."""

from __future__ import annotations

from transformers import PrinterCallback

import hf_unlearn.trainers
from hf_unlearn.trainers.registry import METHODS
from tests.tiny import make_dataset, make_model, make_processor

OTHERS = [name for name in METHODS if name != "mu_mis"]
# They make no gradient step.
AT_ONCE = ["ssd", "esc", "esc_t", "mask_logit"]
GRADIENT = [name for name in OTHERS if name not in AT_ONCE]
# Their loss compares the samples of a batch.
MIXING = ["spotter", "cola", "regun"]
# They take samples that are not to be forgotten.
WITH_UNSEEN = ["scar", "regun"]
RETAIN_FREE = [name for name in OTHERS if METHODS[name].retain_free]
RETAINING = [name for name in OTHERS if not METHODS[name].retain_free]
NUM_FORGET, NUM_RETAIN = 10, 18


def parts():
    """The forget set, of the first class alone, and the rest."""
    data = make_dataset(40)
    rows = [index for index, label in enumerate(data["label"]) if label == 0]
    rest = [index for index, label in enumerate(data["label"]) if label != 0]
    return data.select(rows[:NUM_FORGET]), data.select(rest[:NUM_RETAIN])


def make(
    tmp_path, name, model=None, forget=None, retain=None, optimizers=(None, None), unseen=None, kind="class", **settings
):
    settings = {"per_device_train_batch_size": 8, "use_cpu": True, "disable_tqdm": True, **settings}
    if name == "jit":
        settings = {"noise_draws": 2, **settings}
    if name in WITH_UNSEEN and unseen is None:
        unseen = make_dataset(40, seed=5)
    method = METHODS[name]
    default_forget, default_retain = parts()
    trainer = getattr(hf_unlearn.trainers, method.trainer)(
        make_model("vit") if model is None else model,
        getattr(hf_unlearn.trainers, method.config)(output_dir=str(tmp_path), dataloader_pin_memory=False, **settings),
        train_dataset=default_forget if forget is None else forget,
        retain_dataset=None if method.retain_free else default_retain if retain is None else retain,
        reference_dataset=None if unseen is False else unseen,
        processing_class=make_processor(),
        forget_kind=kind,
        optimizers=optimizers,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer

"""Which files of a folder are of the model that was saved there: a model of another kind must not find them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from hf_unlearn import files

# Whole models and adapters, in any form that something loads, with image processors and settings.
_OF_A_MODEL = re.compile(
    r"(config|generation_config|adapter_config|adapter_base|preprocessor_config|processor_config|training_args)\.json"
    r"|training_args\.bin"
    r"|(model|adapter_model|pytorch_model|tf_model|flax_model)([.-][\w.-]+)?\.(safetensors|bin|h5|msgpack)(\.index\.json)?"
)
# What was said of a model.
_SAID = {
    *(files.RECORD_NAME, files.RUN_NAME, files.RESULTS_NAME, files.REPORT_NAME, files.TRAIN_RESULTS_NAME),
    *(files.CERTIFICATE_NAME, files.CERTIFICATE_PAGE, files.OPENING_NAME),
    *(files.FORGET_SET_NAME, files.WITHHELD_NAME, "all_results.json", "eval_results.json", "trainer_state.json"),
}


def is_of_a_model(name: str) -> bool:
    """Whether a file of this name, in a model's folder, is the model's: weights in any form, or what describes them."""
    return _OF_A_MODEL.fullmatch(name) is not None


def stale_files(folder: str | os.PathLike) -> Callable[[str], bool]:
    """Of a file in `folder`, by its path below it: whether it is of the model that is there, or says something of it.

    A card and its plots are, where a record lies beside them; any other README.md is the user's.
    """
    has_record = os.path.isfile(os.path.join(folder, files.RECORD_NAME))

    def stale(name: str) -> bool:
        of_card = name == "README.md" or re.fullmatch(r"plots/\w+\.png", name) is not None
        return is_of_a_model(name) or name in _SAID or (has_record and of_card)

    return stale

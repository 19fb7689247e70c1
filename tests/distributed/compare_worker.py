"""One process of a distributed test: compares two models from Python, keeping no logits."""

from __future__ import annotations

import json
import os
import sys
import tempfile

from accelerate import PartialState
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, compare, make_splits

if __name__ == "__main__":
    unlearned, original, data, _, out = sys.argv[1:]
    PartialState(cpu=True)
    splits = make_splits(DatasetDict.load_from_disk(data), ForgetRequest(classes=("red",)))
    report = compare(unlearned, original=original, splits=splits, batch_size=5, device="cpu", level="fast")
    state = PartialState()
    state.wait_for_everyone()
    if state.is_main_process:
        left = [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("hf-unlearn")]
        with open(out, "w", encoding="utf-8") as file:
            json.dump({"num_processes": state.num_processes, "report": report, "left": left}, file)

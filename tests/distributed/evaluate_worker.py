"""One process of a distributed test: evaluates, and writes down how many processes there were."""

from __future__ import annotations

import json
import sys

from accelerate import PartialState

from hf_unlearn.commands.evaluate import main

if __name__ == "__main__":
    position = sys.argv.index("--out")
    out = sys.argv[position + 1]
    main([*sys.argv[1:position], *sys.argv[position + 2 :]])
    state = PartialState()
    if state.is_main_process:
        with open(out, "w", encoding="utf-8") as file:
            json.dump({"num_processes": state.num_processes}, file)

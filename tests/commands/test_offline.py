"""What was loaded by name once is there without the Hub, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from datasets import DatasetDict

from tests.hub.clients import add_dataset, add_model
from tests.hub.fixtures import WRITE_TOKEN
from tests.tiny import make_dataset, make_model, make_processor

ROOT = Path(__file__).parents[2]


def test_offline_from_the_cache(hub, hub_home, tmp_path):
    add_model(hub, "org/model", make_model(), make_processor(), home=tmp_path / "a")
    data = DatasetDict({"train": make_dataset(24), "test": make_dataset(8, seed=1)})
    add_dataset(hub, "org/colours", data, home=tmp_path / "b")
    words = [sys.executable, "-m", "hf_unlearn.commands.main", "unlearn", "--model_name_or_path", "org/model"]
    words += ["--dataset_name", "org/colours", "--forget_classes", "red", "--use_cpu", "--max_steps", "1"]
    environment = hub.env(hub_home, WRITE_TOKEN)
    for name, offline in (("online", "0"), ("offline", "1")):
        done = subprocess.run(
            [*words, "--output_dir", str(tmp_path / name)],
            cwd=ROOT,
            env={**environment, "HF_HUB_OFFLINE": offline},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        asked = len(hub.requests)
        hub.clear()
        assert (asked == 0) is (offline == "1")

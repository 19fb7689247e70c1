"""What was loaded by name once is there without the Hub, too."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from datasets import DatasetDict

from hf_unlearn.publishing.record import read_record
from tests.hub.clients import add_dataset, add_model
from tests.hub.fixtures import WRITE_TOKEN
from tests.tiny import make_dataset, make_model, make_processor

ROOT = Path(__file__).parents[2]


def test_offline_from_the_cache(hub, hub_home, tmp_path):
    model = add_model(hub, "org/model", make_model(), make_processor(), home=tmp_path / "a")
    data = DatasetDict({"train": make_dataset(24), "test": make_dataset(8, seed=1)})
    dataset = add_dataset(hub, "org/colours", data, home=tmp_path / "b")
    words = [sys.executable, "-m", "hf_unlearn.commands.main", "unlearn", "--model_name_or_path", "org/model"]
    words += ["--dataset_name", "org/colours", "--forget_classes", "red", "--use_cpu", "--max_steps", "1"]
    environment = hub.env(hub_home, WRITE_TOKEN)
    dead = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    for name, changed in (("online", {}), ("offline", {"HF_HUB_OFFLINE": "1"}), ("without a network", dead)):
        done = subprocess.run(
            [*words, "--output_dir", str(tmp_path / name)],
            cwd=ROOT,
            env={**environment, **changed},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        asked = len(hub.requests)
        hub.clear()
        assert (asked > 0) is (name == "online")
        record = read_record(str(tmp_path / name))
        assert (record["original_model"]["revision"], record["dataset"]["revision"]) == (model, dataset)
        assert record["original_model"]["from_hub"] and record["dataset"]["from_hub"]


def run_without_network(hub, home, endpoint, *words):
    return subprocess.run(
        [sys.executable, "-m", "hf_unlearn.commands.main", "unlearn", *map(str, words)],
        cwd=ROOT,
        env={**hub.env(home, WRITE_TOKEN), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        timeout=200,
    )


class LoginPage(http.server.BaseHTTPRequestHandler):
    """What a proxy answers to whatever it is asked."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>login</html>")

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("answers", [False, True], ids=["nobody", "a login page"])
def test_a_hub_that_cannot_be_reached_is_one_line(hub, hub_home, tmp_path, answers):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LoginPage)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    if answers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    else:
        server.server_close()
    words = ["--model_name_or_path", "org/model", "--dataset_name", tmp_path, "--forget_classes", "red"]
    done = run_without_network(hub, hub_home, endpoint, *words, "--use_cpu", "--output_dir", tmp_path / "out")
    if answers:
        server.shutdown()
        server.server_close()
    lines = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 2 and len(lines) == 1 and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert not (tmp_path / "out").exists()

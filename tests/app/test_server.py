"""What the page gives to whom: attacked over HTTP, without a browser."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest

from hf_unlearn.commands.main import main
from hf_unlearn.errors import UnlearningError
from tests.app.asking import asked, events_of, sent, uploaded
from tests.hub.fixtures import WRITE_TOKEN

pytest.importorskip("gradio", reason="Gradio is not installed (the extra app)")

SECRET = "nobody is to read this"


@pytest.fixture
def page(options, monkeypatch):
    """A page with small uploads, started with a token in the environment."""
    import dataclasses

    from hf_unlearn.app.server import served

    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    with served(dataclasses.replace(options, max_upload_mb=1)) as up:
        yield up


def test_no_file_is_served_but_what_was_uploaded(page, options, tmp_path):
    secret = tmp_path / "out" / "secret.txt"
    secret.write_text(SECRET)
    inside = os.path.join(options.model, "config.json")
    relative = os.path.relpath(secret)
    paths = ["/etc/passwd", str(secret), relative, inside, f"{options.model}/../resnet/config.json", "README.md"]
    paths += [os.path.join(os.environ["GRADIO_TEMP_DIR"], os.path.relpath(secret, os.environ["GRADIO_TEMP_DIR"]))]
    for path in paths:
        for shown in (path, urllib.parse.quote(path, safe=""), urllib.parse.quote(path).replace("..", "%2e%2e")):
            for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/", "/theme_assets/"):
                status, _, said = asked(page, route + shown)
                assert status in (403, 404, 405, 400), (route + shown, status)
                assert SECRET not in said and "root:" not in said and "architectures" not in said


def test_uploads_are_limited_and_gone_at_the_end(options):
    import dataclasses

    from hf_unlearn.app.server import served

    with served(dataclasses.replace(options, max_upload_mb=1)) as page:
        folder = os.environ["GRADIO_TEMP_DIR"]
        status, _, said = uploaded(page, b"x" * 1000)
        assert status == 200
        (path,) = json.loads(said)
        assert os.path.realpath(path).startswith(os.path.realpath(folder))
        assert uploaded(page, b"x" * (2**20 + 2**18))[0] == 413
        # A name is not a path.
        status, _, said = uploaded(page, b"x", "../../../../evil.png")
        assert status != 200 or os.path.realpath(json.loads(said)[0]).startswith(os.path.realpath(folder))
    assert not os.path.exists(folder)


@pytest.mark.parametrize("path", ["/etc/passwd", "{out}/secret.png"])
def test_no_file_is_read_that_was_not_uploaded(page, options, picture, path):
    with open(os.path.join(options.output_dir, "secret.png"), "w") as file:
        file.write(SECRET)
    given = {"path": path.format(out=options.output_dir), "orig_name": "x.png", "meta": {"_type": "gradio.FileData"}}
    (event,) = events_of(page, "own")
    said = sent(page, event, [given])
    assert '"success":false' in said.replace(" ", "")
    assert SECRET not in said and "root:" not in said
    # What was uploaded is, by the same event.
    with open(picture, "rb") as file:
        (given["path"],) = json.loads(uploaded(page, file.read())[2])
    said = sent(page, event, [given])
    assert '"success":true' in said.replace(" ", "") and "there is no unlearned model yet" in said


@pytest.mark.parametrize("component", ["own", "words"])
def test_no_address_is_fetched_in_the_place_of_a_file(page, component, monkeypatch):
    from gradio import processing_utils

    fetched = []

    async def download(url, cache_dir):
        fetched.append(url)
        raise ValueError

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", download)
    given = {"path": "http://example.com/x.png", "meta": {"_type": "gradio.FileData"}}
    event = events_of(page, component)[0]
    inputs = next(each for each in json.loads(asked(page, "/config")[2])["dependencies"] if each["id"] == event)[
        "inputs"
    ]
    for data in ([given] * len(inputs), [[given]] * len(inputs)):
        body = json.dumps({"data": data, "fn_index": event, "session_hash": uuid.uuid4().hex}).encode()
        # However it is written.
        for sent_as in (body, body.replace(b"http:", b"\\u0068ttp:")):
            status, _, _ = asked(page, "/gradio_api/queue/join", sent_as, **{"Content-Type": "application/json"})
            assert status == 403
    assert fetched == []
    assert asked(page, "/gradio_api/queue/join", b" " * (2**23 + 1), **{"Content-Type": "application/json"})[0] == 403


def test_other_pages_send_nothing_and_frame_nothing(page):
    assert "frame-ancestors 'none'" in asked(page, "/")[1]["content-security-policy"]
    own = page.url.rstrip("/")
    for origin, status in (("https://evil.example", 403), ("null", 403), ("http://[", 403), (own, 200)):
        body = json.dumps({"data": [None], "fn_index": events_of(page, "own")[0], "session_hash": "a"}).encode()
        headers = {"Content-Type": "application/json", "Origin": origin}
        assert asked(page, "/gradio_api/queue/join", body, **headers)[0] == status, origin


def test_a_strangers_files_are_gone_after_a_while(options, monkeypatch):
    import dataclasses
    import time

    from hf_unlearn.app import page as pages
    from hf_unlearn.app.server import served

    assert pages.CLEANED[1] <= 3600
    monkeypatch.setattr(pages, "CLEANED", (1, 1))
    with served(dataclasses.replace(options, is_public=True)) as page:
        (path,) = json.loads(uploaded(page, b"mine")[2])
        until = time.monotonic() + 20
        while os.path.exists(path) and time.monotonic() < until:
            time.sleep(0.1)
        assert not os.path.exists(path)


def test_nobody_else_is_asked_and_answers_carry_a_policy(page):
    status, headers, said = asked(page, "/")
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "googleapis" not in said and "gstatic" not in said
    assert WRITE_TOKEN not in said + asked(page, "/config")[2]
    for path in (
        "/gradio_api/file=http://127.0.0.1:9/x",
        "/gradio_api/proxy=http://127.0.0.1:9/x",
        "/file=https://x.y/z",
    ):
        assert asked(page, path)[0] in (403, 404)
    # Another site's name that was turned to this address.
    for host in ("evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""):
        assert asked(page, "/", Host=host)[0] == 403
    assert json.loads(asked(page, "/gradio_api/info")[2])["named_endpoints"] == {}
    for path in ("/docs", "/redoc", "/gradio_api/docs"):
        assert asked(page, path)[0] == 404


def test_starting_a_page_reaches_nobody(options, monkeypatch):
    from hf_unlearn.app.server import served

    reached = []
    connect = socket.socket.connect

    def noted(self, address):
        reached.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    with served(options) as page:
        assert asked(page, "/")[0] == 200
        assert page.url.startswith("http://127.0.0.1:")
    hosts = {address[0] for address in reached if isinstance(address, tuple)}
    assert hosts == {"127.0.0.1"}


def test_a_port_in_use_is_one_line(options, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["app", "--output_dir", options.output_dir, "--server_port", str(port)]
        assert main(words) == 2
    assert capsys.readouterr().err == (
        f"hf-unlearn app: error: port {port} is in use, or not yours; expected --server_port 0\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--server_port=70000"], "server_port is 70000; expected 1 to 65535, or 0 for one that is free"),
        (["--server_port=-1"], "server_port is -1; expected 1 to 65535, or 0 for one that is free"),
        (["--server_name=no.such.invalid"], "server_name 'no.such.invalid' is not known here; expected an address of"),
        (["--server_name=" + "a" * 70], "is not known here; expected an address of this computer, as 127.0.0.1"),
        (["--server_name=192.0.2.1"], "server_name '192.0.2.1' is not this computer's; expected an address of it"),
    ],
)
def test_a_place_that_is_none_is_one_line(options, words, said, capsys):
    assert main(["app", "--output_dir", options.output_dir, *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize("name", ["::1", "[::1]"])
def test_it_listens_at_an_address_of_six(options, name):
    from hf_unlearn.app.server import served

    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        pytest.skip("this computer has no ::1")
    with served(options, name) as page:
        assert page.url.startswith("http://[::1]:")
        assert asked(page, "/")[0] == 200


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    import importlib.util

    monkeypatch.chdir(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else found(name, *rest)
    )
    assert main(["app"]) == 2
    assert capsys.readouterr().err == (
        'hf-unlearn app: error: the page needs Gradio, which is not installed; expected pip install "hf-unlearn[app]"\n'
    )
    assert os.listdir(tmp_path) == []


def test_what_is_named_on_the_command_line_may_be_read(options, tmp_path, monkeypatch):
    """Wherever it lies; and nothing beside it."""
    from hf_unlearn.app import server

    found = []
    monkeypatch.setattr(server, "serve", lambda given, *rest: found.append(given))
    monkeypatch.chdir(tmp_path)
    assert main(["app", "--model_name_or_path", options.model, "--dataset_name", "org/data"]) == 0
    assert found[0].checked(options.model, "model") == options.model
    with pytest.raises(UnlearningError, match="may read"):
        found[0].checked(os.path.dirname(options.model), "model")


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted(options, tmp_path):
    import signal

    words = ["app", "--output_dir", options.output_dir, "--server_port", "0", "--folders", options.model]
    with subprocess.Popen(
        [sys.executable, "-m", "hf_unlearn.commands.entry", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        said = process.stdout.readline()
        assert said.startswith("The page is at http://127.0.0.1:")
        url = said.split()[-1]
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "hf-unlearn app: interrupted\n"
    assert [name for name in os.listdir(tmp_path) if name.startswith("hf-unlearn")] == []

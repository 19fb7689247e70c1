"""What the page gives to those who are not at this computer, and what they may take of it."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import time
import types
import urllib.parse

import pytest

from hf_unlearn.app import options as settings
from hf_unlearn.app.form import OF_STRANGERS, Form
from hf_unlearn.app.session import Session
from hf_unlearn.app.work import Work
from hf_unlearn.commands.main import main
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.limits import LEVELS
from tests.app.asking import asked, begun_by, elements, events_of, sent, uploaded

pytest.importorskip("gradio", reason="Gradio is not installed (the extra app)")


@pytest.fixture
def serve(options):
    """Serves the page with other settings, at an address."""
    from hf_unlearn.app.server import served

    return lambda name="127.0.0.1", **changed: served(dataclasses.replace(options, **changed), name)


@pytest.fixture
def limits(monkeypatch):
    """Sets what strangers may take."""
    return lambda **changed: monkeypatch.setattr(settings, "PUBLIC", dataclasses.replace(settings.PUBLIC, **changed))


@pytest.mark.parametrize("is_public", [True, False])
def test_who_looks_at_the_page_is_not_watched(serve, is_public):
    with serve(is_public=is_public) as page:
        for path in ("/monitoring", "/monitoring/summary", "/gradio_api/monitoring", "/gradio_api/monitoring/summary"):
            status, _, said = asked(page, path)
            assert status in (403, 404) and "total_requests" not in said and "console" not in said
        assert json.loads(asked(page, "/config")[2])["analytics_enabled"] is False


def test_visitors_for_whom_there_is_no_room_are_told_so(serve, limits):
    limits(sessions=0)
    with serve(is_public=True) as page:
        (path,) = json.loads(uploaded(page, b"mine")[2])
        picture = {"path": path, "orig_name": "x.png", "meta": {"_type": "gradio.FileData"}}
        boxes = [None] * len(dataclasses.fields(Form))
        # A check or a run, and a picture to try.
        for component, given in (("max_steps", boxes), ("own", [picture])):
            said = sent(page, events_of(page, component)[0], given)
            assert "0 visitors are here, as many as there is room for" in said


@pytest.mark.parametrize("is_public", [True, False])
@pytest.mark.parametrize("button", ["own", "pack"])
def test_what_fails_on_a_panel_is_not_told_strangers(serve, button, is_public, picture, monkeypatch):
    def fails(self):
        raise FileNotFoundError(2, "No such file", "/srv/secret")

    monkeypatch.setattr(Session, "finished", fails)
    with serve(is_public=is_public) as page, open(picture, "rb") as file:
        (path,) = json.loads(uploaded(page, file.read())[2])
        given = {"path": path, "orig_name": "x.png", "meta": {"_type": "gradio.FileData"}}
        said = sent(page, begun_by(page, button), [given] if button == "own" else [])
    assert ("(FileNotFoundError)" in said, "secret" in said) == (is_public, not is_public)


def test_what_is_on_the_page_stays_there_if_nothing_begins():
    from hf_unlearn.app.page import _followed

    def refused():
        raise UnlearningError("5 runs wait")

    (said,) = _followed(refused, "status", {"judged": ""})
    assert said.keys() == {"status"} and "5 runs wait" in said["status"]
    work = Work(lambda work: None).start()
    assert work.wait(60)
    assert list(_followed(lambda: work, "status", {"judged": ""})) == [{"judged": ""}, {"status": ""}]


@pytest.mark.parametrize("is_public", [True, False])
def test_strangers_are_offered_what_they_can_have(serve, options, is_public):
    with serve(is_public=is_public) as page:
        said = asked(page, "/config")[2]
        # Nor are they told where anything lies.
        assert (options.model in said, options.dataset in said) == (not is_public, not is_public)
        components = json.loads(said)["components"]
        (level,) = (each["props"] for each in components if each["props"].get("elem_id") == "level")
    assert [name for _, name in level["choices"]] == list(OF_STRANGERS if is_public else LEVELS)


def test_strangers_fill_no_disk(serve, limits):
    limits(uploads=1)
    with serve(is_public=True) as page:
        assert uploaded(page, os.urandom(2**19))[0] == 200
        # What is larger than the room that is left, and then what comes when there is none.
        assert uploaded(page, os.urandom(2**19 + 2**12))[0] >= 400
        folder = os.environ["GRADIO_TEMP_DIR"]
        with open(os.path.join(folder, "more"), "wb") as file:
            file.truncate(2**19)
        assert uploaded(page, b"x")[0] == 403


def test_what_a_tab_keeps_takes_of_the_room(serve, limits):
    limits(uploads=1)
    with serve(is_public=True) as page:
        assert uploaded(page, b"x")[0] == 200
        session = page.sessions.of(types.SimpleNamespace(session_hash="a"))
        with open(os.path.join(session.folder, "packed.zip"), "wb") as file:
            file.truncate(2**20)
        assert uploaded(page, b"x")[0] == 403
        page.sessions.close(types.SimpleNamespace(session_hash="a"))
        assert uploaded(page, b"x")[0] == 200


def test_uploads_that_come_at_once_share_the_room(serve, limits):
    limits(uploads=1)
    with serve(is_public=True) as page, contextlib.ExitStack() as stack:
        place = urllib.parse.urlsplit(page.url).netloc
        body = b'--m\r\nContent-Disposition: form-data; name="files"; filename="%d.png"\r\n\r\n%b\r\n--m--\r\n'
        begun = []
        for number in range(2):
            each = stack.enter_context(contextlib.closing(http.client.HTTPConnection(place, timeout=60)))
            content = body % (number, os.urandom(600 * 2**10))
            each.putrequest("POST", "/gradio_api/upload")
            each.putheader("Content-Type", "multipart/form-data; boundary=m")
            each.putheader("Content-Length", str(len(content)))
            each.endheaders(content[: len(content) // 2])
            begun.append((each, content[len(content) // 2 :]))
        # Both were let in while nothing lay there.
        time.sleep(0.5)
        answers = []
        for each, rest in begun:
            try:
                each.send(rest)
                answers.append(each.getresponse().status)
            except OSError:
                answers.append(400)
        assert answers[0] == 200 and answers[1] >= 400


@pytest.mark.parametrize(
    ("name", "changed", "offered"),
    [
        ("127.0.0.1", {}, True),
        ("0.0.0.0", {}, False),
        ("0.0.0.0", {"others_may_publish": True}, True),
        ("127.0.0.1", {"is_public": True, "others_may_publish": True}, False),
    ],
)
def test_others_push_and_sign_only_where_the_operator_said_so(serve, name, changed, offered):
    with serve(name, **changed) as page:
        page.url = page.url.replace("0.0.0.0", "127.0.0.1")
        found = elements(page)
        assert {"check", "forget", "own", "pack"} <= found
        publishing = {"push", "repo_id", "certify", "key"}
        assert found & publishing == (publishing if offered else set())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ""),
        (["--server_name=0.0.0.0"], "  WARNING: others can reach it there, and read its folders\n"),
        (
            ["--server_name=0.0.0.0", "--others_may_publish"],
            "  WARNING: others can reach it there, and read its folders, push by your login and sign with your keys\n",
        ),
    ],
)
def test_what_others_can_do_is_said(options, words, said, monkeypatch, capsys):
    from hf_unlearn.app import server

    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "time", types.SimpleNamespace(sleep=interrupted))
    monkeypatch.setattr(server, "served", lambda *args: contextlib.nullcontext(server.Served("http://here/", None)))
    assert main(["app", "--output_dir", options.output_dir, *words]) == 130
    assert capsys.readouterr().out == f"The page is at http://here/\n  Ctrl-C ends it\n{said}"

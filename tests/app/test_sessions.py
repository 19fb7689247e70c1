"""What strangers may take of a machine that they share, and that a tab's session is its own."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.app import options as settings
from hf_unlearn.app.session import UNFINISHED, Session
from hf_unlearn.app.sessions import Sessions
from hf_unlearn.app.uploads import keep_pictures
from hf_unlearn.app.work import Work, without_paths
from hf_unlearn.errors import UnlearningError


def tab(name):
    return types.SimpleNamespace(session_hash=name)


@pytest.fixture
def public(options, monkeypatch):
    """Gives the options of a page for strangers with other limits."""

    def limited(**limits):
        monkeypatch.setattr(settings, "PUBLIC", dataclasses.replace(settings.PUBLIC, **limits))
        return dataclasses.replace(options, is_public=True)

    return limited


def test_who_was_left_alone_gives_way_and_who_is_at_work_does_not(public, form):
    sessions = Sessions(public(sessions=2, idle=0.0))
    goes_on = threading.Event()
    try:
        busy, idle = (sessions.of(tab(name)) for name in "ab")
        assert sessions.of(tab("a")) is busy
        busy.work = Work(lambda work: goes_on.wait(60)).start()
        # It was here first and last, and is at work.
        busy.used = 0.0
        third = sessions.of(tab("c"))
        assert len(sessions) == 2 and sessions.of(tab("a")) is busy
        with pytest.raises(UnlearningError, match="this tab was closed"):
            idle.plan(form)
        third.work = busy.work
        with pytest.raises(UnlearningError, match="2 visitors are here, as many as there is room for"):
            sessions.of(tab("d"))
        goes_on.set()
        assert busy.work.wait(60)
        sessions.of(tab("d"))
    finally:
        goes_on.set()
        sessions.close_all()
    assert len(sessions) == 0


def test_nobody_gives_way_who_was_here_a_moment_ago(public):
    sessions = Sessions(public(sessions=1, idle=3600.0))
    first = sessions.of(tab("a"))
    with pytest.raises(UnlearningError, match="1 visitors are here"):
        sessions.of(tab("b"))
    first.used = time.monotonic() - 3601
    assert sessions.of(tab("b")) is not first
    sessions.close_all()


def test_nobody_gives_way_whose_run_ended_a_moment_ago(public):
    """However long ago it was begun: who waits for a long run asks nothing meanwhile."""
    sessions = Sessions(public(sessions=1, idle=3600.0))
    try:
        first = sessions.of(tab("a"))
        first.work = Work(lambda work: "done").start()
        assert first.work.wait(60) and not first.is_busy
        first.used = time.monotonic() - 3601
        with pytest.raises(UnlearningError, match="1 visitors are here"):
            sessions.of(tab("b"))
        first.work.ended -= 3601
        assert sessions.of(tab("b")) is not first
    finally:
        sessions.close_all()


def test_a_page_of_ones_own_has_no_limits(options, form):
    assert dataclasses.replace(options, is_public=True).limits == settings.PUBLIC
    assert None not in dataclasses.astuple(settings.PUBLIC)
    own = options.limits
    assert (own.sessions, own.waiting, own.seconds, own.uploads) == (None, None, None, None)


def test_tabs_come_and_go_under_one_lock(options):
    sessions = Sessions(options)

    class Watched(dict):
        def pop(self, *args):
            assert sessions._lock.locked()
            return super().pop(*args)

        def popitem(self):
            assert sessions._lock.locked()
            return super().popitem()

    sessions._open = Watched()
    closed = [sessions.of(tab(str(number))) for number in range(3)]
    # A run that takes a while to end keeps nobody else out.
    ends, close = threading.Event(), closed[0].close
    closed[0].close = lambda: (ends.wait(60), close())
    leaves = threading.Thread(target=sessions.close, args=(tab("0"),))
    leaves.start()
    sessions.close(tab("1"))
    sessions.close(tab("1"))
    assert sessions.of(tab("2")) is closed[2] and leaves.is_alive()
    ends.set()
    leaves.join(60)
    sessions.close_all()
    assert len(sessions) == 0


def test_so_many_runs_wait_and_no_more(public, form, held):
    stands, goes_on = held
    one, other, third = (Session(public(waiting=1)) for _ in range(3))
    try:
        assert one.plan(form).wait(120)
        running = one.forget(form)
        assert stands.wait(60)
        waiting = other.plan(form)
        assert waiting.waits
        with pytest.raises(UnlearningError, match="1 runs wait for their turn already; expected to try again in some"):
            third.plan(form)
        # One that does not want to any more makes room.
        other.cancel()
        assert waiting.wait(10)
        third.plan(form)
        goes_on.set()
        assert running.wait(60) and third.work.wait(60) and third.is_planned
    finally:
        goes_on.set()
        for each in (one, other, third):
            each.close()


@pytest.fixture
def full(public):
    """Gives a session, and makes its queue full, until the event is set."""
    goes_on, running = threading.Event(), threading.Event()
    session, works = Session(public(waiting=1)), []

    def takes_all():
        works.append(Work(lambda work: (running.set(), goes_on.wait(60))).start())
        assert running.wait(60)
        works.append(Work(lambda work: None).start())

    yield session, takes_all, goes_on
    goes_on.set()
    assert all(each.wait(60) for each in works)
    session.close()


def unfinished(session):
    folder = os.path.join(session.options.output_dir, UNFINISHED)
    return os.listdir(folder) if os.path.isdir(folder) else []


def test_a_run_that_is_refused_stays_planned(full, form):
    session, takes_all, _ = full
    assert session.plan(form).wait(120) and session.is_planned
    takes_all()
    with pytest.raises(UnlearningError, match="1 runs wait"):
        session.forget(form)
    with pytest.raises(UnlearningError, match="1 runs wait"):
        session.plan(dataclasses.replace(form, words="blue"))
    assert session.is_planned and len(unfinished(session)) == 1
    # As it was checked, whatever the check that was refused said.
    with pytest.raises(UnlearningError, match="boxes were changed"):
        session.forget(dataclasses.replace(form, words="blue"))
    session.close()
    assert unfinished(session) == []


@pytest.mark.parametrize("is_closed", [True, False])
def test_of_a_run_that_is_cancelled_while_it_waits_nothing_is_left(full, public, form, is_closed):
    """Once the tab is closed; else it can be begun again, or another takes its place."""
    session, takes_all, goes_on = full
    assert session.plan(form).wait(120) and session.is_planned
    takes_all()
    public(waiting=2)
    work = session.forget(form)
    assert work.waits and len(unfinished(session)) == 1
    if is_closed:
        session.close()
    else:
        assert session.cancel() and work.wait(60) and session.is_planned
        goes_on.set()
        assert session.plan(form).wait(120) and len(unfinished(session)) == 1
        assert session.forget(form).wait(120) and session.outcome is not None and not session.is_planned
    assert work.cancelled and unfinished(session) == []


def test_a_check_that_is_refused_takes_no_model(full, public, form):
    session, takes_all, goes_on = full
    assert session.plan(form).wait(120) and session.forget(form).wait(120)
    outcome = session.finished()
    takes_all()
    with pytest.raises(UnlearningError, match="1 runs wait"):
        session.plan(form)
    assert session.finished() is outcome and os.path.isfile(os.path.join(outcome.folder, "model.safetensors"))
    goes_on.set()
    public(waiting=2)
    assert session.plan(form).wait(120)
    assert session.outcome is None and not os.path.exists(outcome.folder)


def test_a_run_ends_when_its_time_is_up(public, form, monkeypatch):
    session = Session(public(seconds=3600.0))
    try:
        assert session.plan(form).wait(120) and session.is_planned
        later = time.monotonic() + 7200
        work = session.forget(form)
        monkeypatch.setattr(time, "monotonic", lambda: later)
        assert work.wait(120)
    finally:
        monkeypatch.undo()
        session.close()
    assert work.error == "this took longer than 60 min 0 s, which is the most here; nothing was kept"
    assert session.outcome is None


SECRET = "/srv/secret place/model"


def fails(error):
    def job(work):
        logging.getLogger("hf_unlearn").warning("read again, %s", f"from {SECRET!r} and /srv/secret/x: 3 rows")
        raise error

    return job


@pytest.mark.parametrize(
    ("error", "told", "of_ones_own"),
    [
        (FileNotFoundError(2, "No such file or directory", SECRET), "FileNotFoundError", SECRET),
        (KeyError(SECRET), "KeyError", SECRET),
        (MemoryError(SECRET), "MemoryError", "out of memory"),
        (UnlearningError(f"data {SECRET!r} has no label"), "data '…' has no label", f"data {SECRET!r} has no label"),
    ],
)
def test_strangers_are_not_told_what_is_where(options, error, told, of_ones_own, capsys):
    for is_public, said, warned in (
        (True, told, "read again, from '…' and … 3 rows"),
        (False, of_ones_own, f"read again, from {SECRET!r} and /srv/secret/x: 3 rows"),
    ):
        session = Session(dataclasses.replace(options, is_public=is_public))
        work = session._begin(fails(error))
        assert work.wait(60)
        session.close()
        assert said in work.error and work.warnings == [warned]
        assert not is_public or "srv" not in work.error
        # Whoever started the page is.
        assert not is_public or isinstance(error, UnlearningError) or SECRET in capsys.readouterr().err


@given(
    st.text(st.characters(exclude_characters="'\"\\", exclude_categories=["C", "Z"]), min_size=1),
    st.sampled_from(["/", "~/", "C:/"]),
)
def test_no_path_is_left_in_a_line(name, root):
    path = f"{root}{name} x/y"
    assert without_paths(f"file {path!r}: gone") == "file '…': gone"
    assert without_paths("24/36 right, and/or 3 / 4") == "24/36 right, and/or 3 / 4"
    assert without_paths("(at /a/b), from ~me/c") == "(at …), from …"


def test_strangers_bring_fewer_pictures(public, form, picture, tmp_path):
    session = Session(public(pictures=1))
    boxes = {"source": "photographs", "photographs": [picture, picture], "forget_label": "red"}
    work = session.plan(dataclasses.replace(form, **boxes))
    assert work.wait(60) and work.error == "2 photographs were given; expected at most 1"
    session.close()
    assert keep_pictures([picture, picture], str(tmp_path / "kept"), 1, 2)

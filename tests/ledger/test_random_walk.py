"""Whatever is added, cancelled, run, killed, pushed and certified in whatever order: nothing is lost or done twice."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hf_unlearn.commands.certificate import ledger_entry
from hf_unlearn.commands.main import main
from hf_unlearn.commands.queue_runs import run_queue
from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import CERTIFICATE_NAME, OPENING_NAME
from hf_unlearn.ledger import entries
from hf_unlearn.ledger.queue import CANCELLED, DONE, OPEN, RUNNING, Queue
from hf_unlearn.publishing.certificate import check_model, opened, read_certificate, write_certificate
from hf_unlearn.publishing.push import push_folder
from hf_unlearn.publishing.record import read_record
from tests.hub import LocalHub
from tests.hub.clients import pointed_here
from tests.hub.fixtures import WRITE_TOKEN
from tests.ledger.acting import Killed, StandIn

WANTED = [
    *(("forget_classes", (name,)) for name in ("red", "blue", "green")),
    *(("forget_where", (f"person=p{number}",)) for number in range(6)),
    *(("forget_indices", rows) for rows in (("3", "4"), ("40",), ("1", "7", "13", "19", "25", "31", "37", "43"))),
]
# The last is person p1 by position.
SAME = {WANTED[-1]: WANTED[4], WANTED[4]: WANTED[-1]}
# What may have become of a request meanwhile, where a process was killed, or a run met some requests and not others.
NEXT = {OPEN: {OPEN, RUNNING, DONE, CANCELLED}, RUNNING: {RUNNING, DONE, OPEN}, DONE: {DONE}, CANCELLED: {CANCELLED}}
kills = st.sampled_from([None, None, None, "before", "after", "torn"])


class Walk(RuleBasedStateMachine):
    """One ledger, and beside it what is known of it from outside."""

    world: World

    def __init__(self):
        super().__init__()
        self.folder = self.world.room / f"walk-{next(self.world.numbers)}"
        self.repo = f"org/{self.folder.name}"
        self.queue = Queue(self.folder, "walker")
        self.stand_in = StandIn()
        self.states: list[str] = []
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.certified: list[Path] = []

    @contextlib.contextmanager
    def torn(self, share):
        """The next entry is written so far, and then the process ends."""
        plain = entries._write_all

        def write(file, content):
            plain(file, content[: int(share * len(content))])
            raise Killed

        entries._write_all = write
        try:
            yield
        finally:
            entries._write_all = plain

    def look(self, new=0):
        """After a kill: what was known is still so, or what came of it."""
        known = [each.state for each in self.queue.read().requests] if self.queue.ledger.exists() else []
        assert len(self.states) <= len(known) <= len(self.states) + new
        assert all(now in NEXT[before] for before, now in zip(self.states, known, strict=False))
        self.states = known

    @rule(wanted=st.sampled_from(WANTED), share=st.sampled_from([None, None, None, 0.0, 0.4, 1.0]))
    def add(self, wanted, share):
        name, values = wanted
        first = (
            []
            if self.queue.ledger.exists() and self.queue.ledger.read()
            else ["--model_name_or_path", self.world.model]
        )
        words = ["requests", "add", str(self.folder), *first, "--dataset_name", self.world.data, f"--{name}", *values]
        there = {each for each, state in zip(self.asked, self.states, strict=True) if state != CANCELLED}
        if wanted in there or SAME.get(wanted) in there:
            before = self.queue.ledger.path.read_bytes()
            assert main(words) == 2 and self.queue.ledger.path.read_bytes() == before
            return
        if share is None:
            assert main(words) == 0
            self.states.append(OPEN)
            self.asked.append(wanted)
            return
        with self.torn(share), contextlib.suppress(Killed):
            main(words)
        self.look(new=1)
        self.asked += [wanted] * (len(self.states) - len(self.asked))

    @precondition(lambda self: OPEN in self.states)
    @rule(data=st.data())
    def cancel(self, data):
        number = data.draw(st.integers(1, len(self.states)))
        status = main(["requests", "cancel", str(self.folder), str(number)])
        assert status == (0 if self.states[number - 1] == OPEN else 2)
        if status == 0:
            self.states[number - 1] = CANCELLED

    @precondition(lambda self: {OPEN, RUNNING} & {*self.states})
    @rule(kill=kills, share=st.floats(0, 1), refused=st.sampled_from([False, False, False, True]))
    def run(self, kill, share, refused):
        self.stand_in.kill = kill if kill != "torn" else None
        self.stand_in.refuse = UnlearningError("it ran away") if refused and kill is None else None
        tearing = self.torn(share) if kill == "torn" else contextlib.nullcontext()
        try:
            with tearing:
                run_queue(self.queue, [], self.stand_in)
            self.states = [DONE if state in (OPEN, RUNNING) else state for state in self.states]
        except (Killed, UnlearningError):
            self.look()
        self.stand_in.kill = self.stand_in.refuse = None

    def finished(self):
        return [run for run in self.queue.read().runs if run.finished] if self.states else []

    @precondition(lambda self: self.finished())
    @rule()
    def push(self):
        newest = self.queue.newest()[0]
        push_folder(newest, self.repo, push_anyway=True)
        there = self.world.hub.repository(self.repo)
        record = json.loads(there.find("main").files["unlearning.json"].content)
        assert record["weights_sha256"]["unlearned"] == self.queue.newest()[2]
        assert len(record.get("earlier", [])) == len(self.queue.stages()) - 1

    @precondition(lambda self: self.finished())
    @rule(data=st.data())
    def certify(self, data):
        run = data.draw(st.sampled_from(self.finished()))
        folder = self.queue.folder_of(run)
        write_certificate(folder, self.world.key, ledger_entry(folder))
        self.certified.append(Path(folder))

    @invariant()
    def no_request_is_lost_or_done_twice(self):
        if not self.states:
            return
        self.queue.read()
        assert [each.state for each in self.queue.requests] == self.states
        finished = self.finished()
        done = [number for run in finished for number in run.requests]
        assert sorted(done) == [number for number, state in enumerate(self.states, start=1) if state == DONE]
        # The run that met a request was one of its samples, made once, and of all that were met before it.
        for place, run in enumerate(finished, start=1):
            calls = {call["output_dir"][0]: call for call in self.stand_in.calls}
            for stage, numbers in enumerate(run.stages):
                call = calls[self.queue.made(run.stages[: stage + 1])]
                for number in numbers:
                    name, values = self.asked[number - 1]
                    assert {*values} <= {*call.get(name, ())} or (name == "forget_where" and len(numbers) > 1)
            met = sorted(number for earlier in finished[:place] for number in earlier.requests)
            assert sorted(number for numbers in run.stages for number in numbers) == met

    @invariant()
    def the_newest_model_carries_all_that_was_met(self):
        if finished := self.finished():
            record = read_record(self.queue.newest()[0])
            assert len(record["earlier"]) == len(self.queue.stages()) - 1
            digests = {run.ended["what"]["weights_sha256"] for run in finished[:-1]}
            assert digests == {*record.get("takes_place_of", ())}

    @invariant()
    def every_certificate_holds(self):
        for folder in {*self.certified}:
            said = read_certificate(str(folder / CERTIFICATE_NAME))["statement"]
            check_model(said, str(folder))
            assert opened(said, str(folder / OPENING_NAME))["num_forget"]
            assert said["ledger_entry"] in {each["digest"] for each in self.queue.ledger.read()}


class World:
    """A Hub, a model and data for all walks."""

    def __init__(self, room, hub, model, data):
        self.room, self.hub, self.model, self.data = room, hub, model, data
        self.numbers = itertools.count()
        self.key = str(room / "key.pem")
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        Path(self.key).write_bytes(pem)


@pytest.mark.parametrize(
    ("walks", "steps"),
    [
        pytest.param(1, 24, id="24 steps"),
        pytest.param(1, 200, id="200 steps", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_a_random_walk(walks, steps, tmp_path, saved_model, saved_dataset):
    how = settings(
        # The first walk of all is the simplest.
        max_examples=1 + walks,
        stateful_step_count=steps,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
        deadline=None,
    )
    with LocalHub() as hub:
        hub.add_token(WRITE_TOKEN, "writer", organisations=("org",))
        with pointed_here(hub, tmp_path / "hf-home", WRITE_TOKEN):
            world = World(tmp_path, hub, saved_model(), saved_dataset)
            run_state_machine_as_test(type("Walk", (Walk,), {"world": world}), settings=how)

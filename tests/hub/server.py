"""The server itself: it reads requests, records them, meets faults, and answers."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

from . import routes
from .answers import Account, Answer, Call, Refusal
from .faults import Fault
from .log import Request, Upload
from .repository import Repository
from .state import State

# Some versions of the client look this up once a process. A test that counts requests must not see it.
_ASIDES = ("/api/agent-harnesses", "/api/telemetry")


class LocalHub:
    """A Hub on 127.0.0.1, in memory. Use it as a context manager, or `start` and `stop` it.

    Attributes:
        endpoint: its address, without a slash at the end.
        requests: all that came, oldest first.
    """

    def __init__(self, port: int = 0):
        self.state = State()
        self.requests: list[Request] = []
        self.stopped = threading.Event()
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        self._observed = True
        self._server = _Server(self, port)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> LocalHub:
        # Polling every 0.05 s only bears on how fast it stops.
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.drop_connections()

    def __enter__(self) -> LocalHub:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add_token(
        self,
        token: str,
        user: str,
        role: str = "write",
        organisations: tuple[str, ...] = (),
        roles: dict[str, str] | None = None,
        scopes: dict[str, list[str]] | None = None,
    ) -> str:
        """Let the token stand for the user (see `Account`), and give it back."""
        if role not in ("read", "write", "fineGrained"):
            raise ValueError(f"role is {role!r}, not 'read', 'write' or 'fineGrained'")
        self.state.accounts[token] = Account(token, user, role, tuple(organisations), roles or {}, scopes or {})
        return token

    def repository(self, repo_id: str, repo_type: str = "model") -> Repository:
        """What the Hub keeps under this name; KeyError if nothing."""
        return self.state.repositories[repo_type, repo_id]

    @property
    def repos(self) -> dict[tuple[str, str], Repository]:
        """The repositories by (type, id)."""
        return self.state.repositories

    def inject(self, fault: Fault) -> Fault:
        """Let the fault happen from the next request on. A fault's own `times` says how many it has left."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget the requests so far, and the faults that are still to come."""
        with self._lock:
            self.requests.clear()
            self._faults.clear()

    def calls(self, *kinds: str) -> list[str]:
        """The kinds of the requests so far, in order; only these kinds, if any are given."""
        return [request.kind for request in list(self.requests) if not kinds or request.kind in kinds]

    def bytes_sent(self) -> int:
        """How much was downloaded so far: the bodies of all answers."""
        return sum(request.sent for request in list(self.requests))

    def uploads(self) -> list[Upload]:
        """Everything that was ever sent, refused or not: files, samples, commit messages, the bodies of other calls."""
        return [upload for request in list(self.requests) for upload in request.uploads()]

    def env(self, home: str | Path, token: str | None = None, xet: bool = False) -> dict[str, str]:
        """See `clients.environment`."""
        from .clients import environment

        return environment(self, home, token, xet)

    @contextlib.contextmanager
    def unobserved(self) -> Iterator[None]:
        """Requests meanwhile are not recorded and meet no fault."""
        self._observed = False
        try:
            yield
        finally:
            self._observed = True

    def admit(self, request: Request) -> Fault | None:
        """Record the request, and the fault that it meets."""
        if not self._observed or request.path in _ASIDES:
            return None
        with self._lock:
            self.requests.append(request)
            # Each fault counts the requests, also those that another fault has met.
            met = [fault for fault in self._faults if fault.meets(request.kind, request.method)]
        request.fault = met[0].kind if met else None
        return met[0] if met else None

    def handle(self, handler: routes.Handler, call: Call, authorization: str | None) -> Answer:
        """Carry the call out; one at a time, so that two commits never meet."""
        with self._lock:
            try:
                account = self.state.account(authorization)
                return handler(self.state, Call(**{**vars(call), "account": account}))
            except Refusal as refusal:
                return refusal.answer()
            except Exception as error:
                return Answer.of_json({"error": f"The local Hub failed: {type(error).__name__}: {error}"}, 500)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, hub: LocalHub, port: int):
        self.hub = hub
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        # A reset must not be preceded by the polite end of a connection.
        self._open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            request.close()
        else:
            super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""

    def drop_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal: the requests are recorded."""

    def _serve(self) -> None:
        hub = cast(_Server, self.server).hub
        url = urlsplit(self.path)
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        kind, parts, handler = routes.find(self.command, url.path)
        authorization = headers.get("authorization")
        token = authorization.removeprefix("Bearer ") if authorization else None
        request = Request(kind, self.command, url.path, token, headers, body)
        fault = hub.admit(request)

        if fault is not None and fault.kind in ("reset", "hang-up", "stall"):
            if fault.kind == "stall":
                hub.stopped.wait(fault.seconds)
            return self._break_off(reset=fault.kind != "hang-up")
        answer = fault.answer() if fault is not None else None
        if answer is None:
            query = parse_qs(url.query)
            answer = hub.handle(
                handler, Call(self.command, parts, query, headers, body, None, hub.endpoint), authorization
            )
        if fault is not None and fault.kind == "answer-lost":
            return self._break_off()
        if fault is not None and fault.kind == "garbled":
            half = len(answer.body) // 2
            answer = Answer(answer.status, b"?" * half + answer.body[half:], answer.headers)
        request.status = answer.status
        request.sent = 0 if self.command == "HEAD" else len(answer.body)
        self._send(answer, cut=fault is not None and fault.kind == "cut")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _send(self, answer: Answer, cut: bool = False) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(answer.body[: len(answer.body) // 2] if cut else answer.body)
        if cut:
            self._break_off(reset=False)

    def _break_off(self, reset: bool = True) -> None:
        self.close_connection = True
        if reset:
            # On, and no time to linger: closing sends RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

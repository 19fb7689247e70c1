"""Serves the page: to whom, from where, and that it asks nobody else for anything."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_unlearn.app.held import HeldFolder, clear_left
from hf_unlearn.app.options import Options
from hf_unlearn.app.room import Messages, Room
from hf_unlearn.app.session import clear_what_is_left
from hf_unlearn.commands.parsing import say
from hf_unlearn.errors import UnlearningError

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]", "::1")
# Nothing of the page comes from elsewhere, and nothing goes there.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)
# Bytes of an event: what stands in the boxes, and where uploads lie. Uploads come by a way of their own.
MOST_OF_EVENT = 2**23
# What a page's folder of uploads is called, in the temporary folder.
OF_PAGE = "hf-unlearn-uploads-"
_IN_USE = "port {} is in use, or not yours; expected --server_port 0"


@dataclass
class Served:
    """A page that is up.

    Attributes:
        url: where.
        sessions: of those who look at it.
    """

    url: str
    sessions: Any


class Guard:
    """ASGI middleware: refuses other hosts' names, and addresses to be fetched; answers with a policy.

    Another site whose name was turned to this computer's address (DNS rebinding) so reads nothing here, and one that is
    open beside the page sends nothing here and shows nothing of it in a frame.

    Args:
        hosts: names that the page may be asked for by; none: by any.
        room: for uploads; None: as much as there is.
    """

    def __init__(self, app: Any, hosts: tuple[str, ...], room: Room | None = None):
        self._app, self._hosts, self._room = app, hosts, room

    async def __call__(self, scope: MutableMapping[str, Any], receive: Messages, send: Messages) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        # Gradio would fetch an address that it is given in the place of a file.
        elsewhere = "://" in scope["path"] or "/proxy=" in scope["path"]
        if elsewhere or (self._hosts and name not in self._hosts):
            await _refuse(send)
            return
        if scope.get("method") == "POST":
            origin = headers.get(b"origin")
            if self._hosts and origin is not None and _host_of(origin) not in self._hosts:
                await _refuse(send)
                return
            is_upload = scope["path"].rstrip("/").endswith("/upload")
            if is_upload and self._room is not None:
                if self._room.is_full():
                    await _refuse(send)
                    return
                receive = self._room.taken_by(receive)
            elif not is_upload:
                body = await _body_of(receive)
                if body is None or _names_address(body):
                    await _refuse(send)
                    return
                receive = _once_more(body, receive)
        policy = f"{POLICY}; frame-ancestors 'none'" if self._hosts else POLICY

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                added = [(b"content-security-policy", policy.encode()), (b"referrer-policy", b"no-referrer")]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, answer)


async def _refuse(send: Messages) -> None:
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"not served here"})


def _host_of(origin: bytes) -> str | None:
    try:
        return urllib.parse.urlsplit(origin.decode("latin-1")).hostname
    except ValueError:
        return None


async def _body_of(receive: Messages) -> bytes | None:
    """All of a request's body; None where it is longer than any event."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_OF_EVENT:
            return None
        if not message.get("more_body"):
            return body


def _names_address(body: bytes) -> bool:
    """Whether an event has an address in the place of an uploaded file. Gradio would fetch it, for any box."""
    try:
        waiting = [json.loads(body)]
    except ValueError:
        # Gradio reads it in the same way, and will say so.
        return False
    except RecursionError:
        return True
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "://" in str(value.get("path")):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


def _once_more(body: bytes, receive: Messages) -> Messages:
    """Gives a body that was read already, and then what else comes."""
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


@contextlib.contextmanager
def served(options: Options, server_name: str = "127.0.0.1", server_port: int = 0) -> Iterator[Served]:
    """The page, while this is open; uploads and unfinished work are gone afterwards.

    Args:
        server_port: 0: one that is free.

    Raises:
        UnlearningError: the port is none or in use, or the address is not this computer's.
    """
    port = _port_at(server_name, server_port)
    # Read when Gradio is imported, or when a page is made.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    clear_what_is_left(options.output_dir)
    clear_left(tempfile.gettempdir(), OF_PAGE)
    held = HeldFolder(tempfile.gettempdir(), OF_PAGE)
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = uploads = os.path.join(held.path, "uploads")
    try:
        import gradio as gr
        from starlette.middleware import Middleware

        from hf_unlearn.app.page import make_page

        is_local = server_name in LOCAL_NAMES
        may_publish = not options.is_public and (is_local or options.others_may_publish)
        page, sessions = make_page(options, may_publish)
        room, most = None, options.limits.uploads
        if most is not None:
            room = Room(lambda: [uploads, *sessions.folders()], most * 2**20)
        guard = Middleware(Guard, hosts=LOCAL_NAMES if is_local else (), room=room)
        try:
            _, url, _ = page.launch(
                # As an address in the browser has it.
                server_name=f"[{server_name}]" if ":" in server_name.strip("[]") == server_name else server_name,
                server_port=port,
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                enable_monitoring=False,
                show_error=False,
                footer_links=[],
                max_file_size=f"{options.max_upload_mb}mb",
                theme=_theme(gr),
                css=(Path(__file__).parent / "style.css").read_text(encoding="utf-8"),
                app_kwargs={"middleware": [guard], "docs_url": None, "redoc_url": None},
            )
        except OSError as error:
            raise UnlearningError(_IN_USE.format(port)) from error
        try:
            yield Served(url, sessions)
        finally:
            page.close(verbose=False)
            sessions.close_all()
    finally:
        held.close()
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before


def _port_at(server_name: str, server_port: int) -> int:
    """The port, or for 0 one that is free: Gradio itself would take that of its environment variable.

    Raises:
        UnlearningError: see [`served`].
    """
    if not 0 <= server_port <= 65535:
        raise UnlearningError(f"server_port is {server_port}; expected 1 to 65535, or 0 for one that is free")
    try:
        found = socket.getaddrinfo(server_name.strip("[]"), server_port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnlearningError(
            f"server_name {server_name!r} is not known here; expected an address of this computer, as 127.0.0.1"
        ) from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UnlearningError(
                    f"server_name {server_name!r} is not this computer's; expected an address of it, as 127.0.0.1"
                ) from error
            raise UnlearningError(_IN_USE.format(server_port)) from error
        return int(tried.getsockname()[1])


def _theme(gr: Any) -> Any:
    """Gradio's own, in fonts that are here, or are not; none is fetched. What is grey there can be read here."""
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    plain = gr.themes.Default(primary_hue="blue", text_size=gr.themes.sizes.text_lg, **fonts)
    return plain.set(block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300")


def serve(options: Options, server_name: str, server_port: int, open_browser: bool) -> None:
    """Serve the page until the process is interrupted.

    Raises:
        UnlearningError: see [`served`].
    """
    with served(options, server_name, server_port) as page:
        say(f"The page is at {page.url}", "  Ctrl-C ends it")
        if server_name not in LOCAL_NAMES and not options.is_public:
            others = options.others_may_publish
            do = "read its folders, push by your login and sign with your keys" if others else "read its folders"
            say(f"  WARNING: others can reach it there, and {do}")
        if open_browser:
            import webbrowser

            webbrowser.open(page.url)
        while True:
            time.sleep(3600)

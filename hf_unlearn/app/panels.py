"""What can be done with an unlearned model: try a picture, download, push, certify."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import gradio as gr

from hf_unlearn.app import shown
from hf_unlearn.app.options import Options
from hf_unlearn.app.outcome import answers_to, certify, packed, push
from hf_unlearn.app.session import Session
from hf_unlearn.app.uploads import ENDINGS
from hf_unlearn.app.work import error_line

# Of every button: nothing is an API that others may call, and each tab goes its own way.
EVENT: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
PRIVATE = {"as it is, or as the Hub makes a new one": None, "private": True, "public": False}


def result_panels(options: Options, session_of: Callable[[gr.Request], Session], may_publish: bool) -> list[Any]:
    """Make the panels; returns what a new result makes empty.

    Args:
        may_publish: with push and certificate. Without, there is nothing that a request of any kind could reach.
    """
    with gr.Tabs():
        stale = [*_try_panel(options, session_of), *_download_panel(options, session_of)]
        if may_publish:
            stale += [*_push_panel(session_of), *_certificate_panel(options, session_of)]
    return stale


def _try_panel(options: Options, session_of: Callable[[gr.Request], Session]) -> list[Any]:
    with gr.Tab("Try"):
        picture = gr.File(label="A picture of yours", file_types=list(ENDINGS), elem_id="own")
        said = gr.HTML("", elem_id="answers")

    def ask(path: str | None, request: gr.Request) -> str:
        if path is None:
            return ""
        return _or_error(
            lambda: shown.answers(answers_to(path, session_of(request).finished(), options.max_upload_mb), path),
            options.is_public,
        )

    picture.change(ask, picture, said, **EVENT)
    return [picture, said]


def _download_panel(options: Options, session_of: Callable[[gr.Request], Session]) -> list[Any]:
    with gr.Tab("Download"):
        button = gr.Button("Pack the model, its card and its record", elem_id="pack")
        said = gr.HTML("", elem_id="packed")
        file = gr.File(label="Download", interactive=False, visible=False, elem_id="download")

    def pack(request: gr.Request) -> dict[Any, Any]:
        def made() -> list[str]:
            session = session_of(request)
            return [packed(session.finished().folder, session.folder)]

        return _files(made, said, file, options.is_public)

    button.click(pack, None, [said, file], **EVENT)
    return [said, file]


def _push_panel(session_of: Callable[[gr.Request], Session]) -> list[Any]:
    with gr.Tab("Push"):
        repo_id = gr.Textbox(label="Repository", info="organisation/name, or a name of your own.", elem_id="repo_id")
        private = gr.Radio(list(PRIVATE), value=next(iter(PRIVATE)), label="Who may see it", elem_id="private")
        hides = gr.Checkbox(label="Publish no name of what was forgotten", elem_id="private_names")
        replaces = gr.Checkbox(label="Replace another model that is there", elem_id="replace")
        button = gr.Button("Push", elem_id="push")
        said = gr.HTML("", elem_id="pushed")

    def publish(name: str, who: str, hides_names: bool, replace: bool, request: gr.Request) -> str:
        def lines() -> str:
            done = push(session_of(request).finished().folder, name, PRIVATE[who], hides_names, replace)
            return "".join(shown.note(line, "good") for line in done)

        return _or_error(lines)

    button.click(publish, [repo_id, private, hides, replaces], said, **EVENT)
    return [said]


def _certificate_panel(options: Options, session_of: Callable[[gr.Request], Session]) -> list[Any]:
    with gr.Tab("Certificate"):
        key = gr.Textbox(
            label="Key", info="A PEM file with an Ed25519 private key, in a folder the page may read.", elem_id="key"
        )
        button = gr.Button("Sign what was done", elem_id="certify")
        said = gr.HTML("", elem_id="certified")
        files = gr.File(label="Certificate", interactive=False, visible=False, file_count="multiple", elem_id="signed")

    def sign(path: str, request: gr.Request) -> dict[Any, Any]:
        def made() -> list[str]:
            session = session_of(request)
            written = certify(session.finished().folder, options.checked(path, "key"))
            # A page serves copies: where the models lie it need not reach.
            return [shutil.copy(each, os.path.join(session.folder, os.path.basename(each))) for each in written]

        return _files(made, said, files)

    button.click(sign, key, [said, files], **EVENT)
    return [said, files]


def _files(make: Callable[[], list[str]], said: gr.HTML, files: gr.File, is_public: bool = False) -> dict[Any, Any]:
    """Offer what `make` made, or say why it could not."""
    found: list[str] = []

    def made() -> str:
        found.extend(make())
        return ""

    text = _or_error(made, is_public)
    value: Any = found if files.file_count == "multiple" else next(iter(found), None)
    return {said: text, files: gr.update(value=value, visible=bool(found))}


def _or_error(say: Callable[[], str], is_public: bool = False) -> str:
    """What `say` says, or its error on one line."""
    try:
        return say()
    except Exception as error:
        return shown.note(error_line(error, is_public), "error")

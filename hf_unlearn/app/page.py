"""The boxes and buttons of the page, and what each does. All that is decided is decided elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterator
from typing import Any

import gradio as gr

from hf_unlearn.app import shown
from hf_unlearn.app.form import FORGET_KINDS, KINDS, OF_STRANGERS, PHOTOGRAPHS, SAMPLES, SOURCES, TRAINING_SET, Form
from hf_unlearn.app.options import Options
from hf_unlearn.app.panels import EVENT, result_panels
from hf_unlearn.app.session import Session
from hf_unlearn.app.sessions import Sessions
from hf_unlearn.app.uploads import ENDINGS
from hf_unlearn.app.work import Work
from hf_unlearn.errors import UnlearningError
from hf_unlearn.trainers.registry import METHODS

TITLE = "Make a model forget"
# Events that may wait, of strangers: a run that goes on or waits is one.
MOST_EVENTS = 100
# Of strangers' files, and of copies made for them: how often old ones are removed, and how old they become; seconds.
CLEANED = (300, 3600)
# What each level is, and what it costs beside the one before it.
LEVELS_IN_WORDS = {
    "fast": "Fast: accuracies alone",
    "standard": "Standard: attacks, too. Longer, since the model is trained again for up to 100 steps",
    "deep": "Deep: what is still found inside, too. The longest, with up to 250 such steps more for each model",
}
LEVEL_HINT = "The check says about how long it takes here."


def make_page(options: Options, may_publish: bool) -> tuple[gr.Blocks, Sessions]:
    """The page, and the sessions of those who look at it.

    Args:
        may_publish: whether it can push and sign.
    """
    sessions = Sessions(options)
    cleaned = CLEANED if options.is_public else None
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=cleaned) as page:
        gr.HTML(shown.heading(TITLE, options.about), elem_id="title")
        fields = _form(options)
        with gr.Row():
            check = gr.Button("1. Check", variant="primary", elem_id="check")
            forget = gr.Button("2. Forget", variant="primary", interactive=False, elem_id="forget")
            cancel = gr.Button("Cancel", variant="stop", interactive=False, elem_id="cancel")
        status = gr.HTML("", elem_id="status", padding=False)
        planned = gr.HTML("", elem_id="plan", padding=False)
        with gr.Column(visible=False, elem_id="after", min_width=0) as after:
            judged = gr.HTML("", elem_id="outcome", padding=False)
            stale = result_panels(options, sessions.of, may_publish)

        def busy() -> dict[Any, Any]:
            return {check: _off(), forget: _off(), cancel: _on()}

        def idle(session: Session) -> dict[Any, Any]:
            return {check: _on(), forget: _on() if session.is_planned else _off(), cancel: _off()}

        def form_of(values: tuple[Any, ...]) -> Form:
            # Of a box that is empty Gradio says None.
            return Form(**{name: value for name, value in zip(fields, values, strict=True) if value is not None})

        def admitted(handler: Callable[..., Iterator[dict[Any, Any]]]) -> Callable[..., Iterator[dict[Any, Any]]]:
            """The handler with the tab's session, or why the tab has none."""

            def handle(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
                try:
                    session = sessions.of(request)
                except UnlearningError as error:
                    yield {status: shown.note(str(error), "error")}
                    return
                yield from handler(session, *values)

            return handle

        def checked(session: Session, *values: Any) -> Iterator[dict[Any, Any]]:
            yield busy()
            # What was there before stays there if this may not begin.
            cleared = {planned: "", judged: "", after: gr.update(visible=False)}
            work = yield from _followed(lambda: session.plan(form_of(values)), status, cleared)
            if work is not None and session.is_planned:
                yield {planned: shown.plan(work.result, work.warnings)}
            yield idle(session)

        def forgotten(session: Session, *values: Any) -> Iterator[dict[Any, Any]]:
            yield busy()
            cleared = {judged: "", after: gr.update(visible=False)}
            work = yield from _followed(lambda: session.forget(form_of(values)), status, cleared)
            if work is not None and session.outcome is not None:
                fresh = dict.fromkeys(stale, gr.update(value=None))
                yield {
                    judged: shown.outcome(session.outcome, options.is_public),
                    planned: "",
                    after: gr.update(visible=True),
                    **fresh,
                }
            yield idle(session)

        def cancelled(request: gr.Request) -> None:
            # Who has no session has nothing to cancel.
            with contextlib.suppress(UnlearningError):
                sessions.of(request).cancel()

        every = [status, planned, judged, after, check, forget, cancel, *stale]
        check.click(admitted(checked), list(fields.values()), every, **EVENT)
        forget.click(admitted(forgotten), list(fields.values()), every, **EVENT)
        cancel.click(cancelled, None, None, **EVENT)

        # Gradio gives the request to what asks for one by its type.
        def left(request: gr.Request) -> None:
            sessions.close(request)

        page.unload(left)
    page.queue(max_size=MOST_EVENTS if options.is_public else None)
    return page, sessions


def _on() -> Any:
    return gr.update(interactive=True)


def _off() -> Any:
    return gr.update(interactive=False)


def _followed(
    begin: Callable[[], Work], status: gr.HTML, cleared: dict[Any, Any]
) -> Generator[dict[Any, Any], None, Work | None]:
    """What is to be shown of work while it goes on, and of how it ended; `cleared` once it began.

    Returns:
        The work; None where it may not begin.
    """
    try:
        work = begin()
    except UnlearningError as error:
        yield {status: shown.note(str(error), "error")}
        return None
    yield cleared
    for now in work.watched():
        yield {status: shown.progress(now, work.waits, work.is_asked_to_end)}
    if work.error is not None:
        yield {status: shown.note(work.error, "error")}
    else:
        yield {status: shown.note("Cancelled: nothing was kept.") if work.cancelled else ""}
    return work


def _form(options: Options) -> dict[str, Any]:
    """The boxes, by the names of the fields of [`Form`]."""
    kinds = [(each.title, name) for name, each in KINDS.items()]
    local = not options.is_public
    with gr.Group():
        # Where things lie is not for strangers, who can choose neither of them.
        named: dict[str, Any] = {"info": "A name on the Hub, or a folder.", "visible": local}
        model = gr.Textbox(options.model if local else "", label="Model", elem_id="model", **named)
        sources = [(title, name) for name, title in SOURCES.items() if local or name != SAMPLES]
        source = gr.Radio(sources, value=TRAINING_SET, label="Where the samples are", elem_id="source")
        dataset = gr.Textbox(options.dataset if local else "", label="Data", elem_id="dataset", **named)
        photographs = gr.File(
            label="Photographs to forget",
            file_count="multiple",
            file_types=list(ENDINGS),
            visible=False,
            elem_id="photographs",
        )
    with gr.Group():
        with gr.Column(min_width=0) as of_set:
            kind = gr.Dropdown(kinds, value="classes", label="What to forget", elem_id="kind")
            words = gr.Textbox(
                "\n".join(options.forget_classes), lines=2, label="Which", info=KINDS["classes"].hint, elem_id="words"
            )
        with gr.Column(visible=False, min_width=0) as of_samples:
            choices = [(title, name) for name, title in FORGET_KINDS.items()]
            forget_kind = gr.Radio(choices, value="class", label="What becomes of their class", elem_id="forget_kind")
            forget_label = gr.Textbox(
                label="Their class",
                info="Its name, or 'predicted': what the model says of each.",
                elem_id="forget_label",
            )
            test_dataset = gr.Textbox(
                label="A test set, if there is one", info="As for data.", elem_id="test_dataset", visible=local
            )
    with gr.Accordion("More", open=False, elem_id="more"):
        method = gr.Dropdown(list(METHODS), value="mu_mis", label="Method", elem_id="method")
        max_steps = gr.Textbox(
            label="At most this many steps", info="Empty: what suits the request.", elem_id="max_steps"
        )
        levels = [(title, name) for name, title in LEVELS_IN_WORDS.items() if local or name in OF_STRANGERS]
        level = gr.Radio(levels, value="fast", label="How closely to look afterwards", elem_id="level", info=LEVEL_HINT)
        references = gr.Textbox(
            lines=2,
            label="Models retrained without the samples, if there are any",
            info="Names or folders, one a line. With them the result can be told from a good one, and what is found "
            "inside becomes a picture of how deep it goes.",
            elem_id="references",
            visible=local,
        )

    def source_changed(name: str) -> tuple[Any, Any, Any, Any]:
        of_one = gr.update(visible=name == TRAINING_SET), gr.update(visible=name != TRAINING_SET)
        return gr.update(visible=local and name != PHOTOGRAPHS), gr.update(visible=name == PHOTOGRAPHS), *of_one

    source.change(source_changed, source, [dataset, photographs, of_set, of_samples], **EVENT)
    kind.change(lambda name: gr.update(info=KINDS[name].hint), kind, words, **EVENT)
    made = locals()
    return {each.name: made[each.name] for each in dataclasses.fields(Form)}

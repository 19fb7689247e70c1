"""The page in a headless Chromium, by clicks: from the boxes to the end, and every way that can go wrong."""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
import time
import zipfile
from contextlib import ExitStack

import pytest

from hf_unlearn.app.server import served
from hf_unlearn.trainers.methods import mu_mis
from tests.app.browser import DESKTOP, PHONE, Tab, open_browser
from tests.app.conftest import STEPS
from tests.hub.fixtures import WRITE_TOKEN
from tests.tiny import make_dataset, make_model, make_processor, make_reference

pytest.importorskip("gradio", reason="Gradio is not installed (the extra app)")


NAMES = ["red", "<img src=x onerror=alert(1)>", "blue", '<b>"grey"\\</b>']
# The class that the tiny model takes every sample for: the one that it knows.
KNOWN = NAMES[3]


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture
def look(browser, options):
    """Opens a tab on a page, the same one for all tabs of a test."""
    with ExitStack() as stack:
        pages = []

        def opened(width=DESKTOP, given=options):
            if not pages:
                pages.append(stack.enter_context(served(given)))
            tab = Tab(browser, pages[0].url, width)
            tab.sessions = pages[0].sessions
            stack.callback(tab.context.close)
            return tab

        yield opened


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """Folders of a model and of data whose classes have names that are no names."""
    from datasets import DatasetDict

    folder = tmp_path_factory.mktemp("nasty")
    parts = {"train": make_dataset(48), "test": make_dataset(24, seed=1)}
    features = parts["train"].features.copy()
    features["label"] = type(features["label"])(names=NAMES)
    DatasetDict({name: part.cast(features) for name, part in parts.items()}).save_to_disk(str(folder / "data"))
    make_model(label_names=NAMES).save_pretrained(folder / "model")
    make_processor().save_pretrained(folder / "model")
    return str(folder / "model"), str(folder / "data")


def test_a_class_is_forgotten_in_five_clicks(look, options, nasty, monkeypatch):
    """The words of docs/app.md, one after the other, on a page that was opened without any flag."""
    monkeypatch.setattr(mu_mis, "STEPS_OF_FEATURES", STEPS)
    model, data = nasty
    empty = dataclasses.replace(options, folders=(model, data), model="", dataset="", forget_classes=())
    tab = look(given=empty)
    tab.write("model", model)
    tab.write("dataset", data)
    tab.write("words", KNOWN)
    tab.check()
    assert "12 samples: the class '<b>" in tab.text("dl.plan")
    tab.forget()
    assert tab.clicks == 5
    said = tab.text(".verdict.met").replace("\u00a0", " ")
    assert "Forgotten in its answers: the model recognises 0.0 % of the samples to forget, where it was 100.0 %" in said
    # Names are what they are, and make nothing of themselves.
    assert [cell.inner_text() for cell in tab.page.query_selector_all("table.classes tbody th")] == NAMES
    assert tab.page.query_selector_all("#outcome b, #outcome img[onerror], #plan b") == []
    assert tab.text(".strip strong") == KNOWN
    # The picture comes right after the sentence, before any table.
    heights = [
        tab.page.query_selector(each).bounding_box()["y"] for each in (".verdict", ".picture svg", "table.classes")
    ]
    assert heights == sorted(heights)
    assert (tab.faults, tab.elsewhere, tab.overflows()) == ([], [], [])
    assert os.listdir(options.output_dir) and "model-unlearned" in os.listdir(options.output_dir)


@pytest.fixture
def finished(look, options):
    """A tab in which a run has ended."""
    tab = look()
    tab.click("#more button")
    tab.write("max_steps", str(STEPS))
    tab.check()
    tab.forget()
    return tab


@pytest.mark.slow
def test_what_can_be_done_with_the_result(finished, options, picture, tmp_path):
    tab = finished
    # A picture of one's own, one that cannot be read, and one of another kind.
    tab.page.set_input_files("#own input[type=file]", picture)
    tab.page.wait_for_selector("#answers table")
    assert [each.inner_text() for each in tab.page.query_selector_all("#answers caption")] == ["before", "after"]
    assert re.search(r"\d+\.\d %", tab.text("#answers"))
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    tab.click("#own button[aria-label='Clear'], #own button[aria-label='Remove'], #own .label-clear-button")
    tab.page.set_input_files("#own input[type=file]", str(tmp_path / "broken.png"))
    tab.page.wait_for_selector("#answers .error")
    assert "picture 'broken.png' cannot be read; expected a JPEG, PNG or WebP file" in tab.text("#answers")

    tab.click("button[role=tab]:has-text('Download')")
    tab.click("button#pack")
    tab.page.wait_for_selector("#download a[download], #download a")
    with tab.page.expect_download() as download:
        tab.click("#download a")
    path = str(tmp_path / "model.zip")
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        assert "model.safetensors" in {os.path.basename(name) for name in archive.namelist()}

    tab.click("button[role=tab]:has-text('Push')")
    tab.click("button#push")
    tab.page.wait_for_selector("#pushed .error")
    assert "no repository was named" in tab.text("#pushed")

    tab.click("button[role=tab]:has-text('Certificate')")
    tab.write("key", "/etc/shadow")
    tab.click("button#certify")
    tab.page.wait_for_selector("#certified .error")
    assert "'/etc/shadow' is not in a folder that this page may read" in tab.text("#certified")
    key = os.path.join(options.output_dir, "key.pem")
    _write_key(key)
    tab.write("key", key)
    tab.click("button#certify")
    tab.page.wait_for_selector("#signed a")
    assert "certificate.json" in tab.text("#signed").replace("\n", "")
    assert (tab.faults, tab.elsewhere) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_how_deep_it_goes_is_drawn(look, options, width):
    folder = os.path.join(options.output_dir, "retrained")
    make_reference(without=3).save_pretrained(folder)
    make_processor().save_pretrained(folder)
    tab = look(width)
    tab.write("words", "grey")
    tab.click("#more button")
    tab.write("max_steps", str(STEPS))
    tab.click("#level label:has-text('found inside')")
    tab.write("references", folder)
    tab.check()
    said = tab.text("dl.plan")
    assert "judging at the level 'deep': at most about" in said and "and how deep it goes" in said
    tab.forget()
    assert tab.text(".picture figcaption") == "How deep it goes"
    assert tab.page.query_selector(".picture svg").bounding_box()["width"] > 200
    assert (tab.faults, tab.elsewhere, tab.overflows(), tab.small_texts(8.0)) == ([], [], [], [])


def _write_key(path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with open(path, "wb") as file:
        file.write(pem)


@pytest.mark.slow
def test_photographs_are_dragged_in_and_pushed(look, options, tmp_path, connected_hub):
    """On a phone: the samples to forget alone, an unreadable one among them at first, and then to the Hub."""
    paths = []
    for number, row in enumerate(make_dataset(24)):
        paths.append(str(tmp_path / f"{row['label']}-{number}.png"))
        row["image"].save(paths[-1])
    red = [path for path in paths if os.path.basename(path).startswith("0-")]
    (tmp_path / "half.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    tab = look(PHONE)
    tab.click("#source label:has-text('Photographs')")
    tab.page.set_input_files("#photographs input[type=file]", [*red, str(tmp_path / "half.jpg")])
    tab.page.wait_for_selector("#photographs :text('half')")
    tab.write("forget_label", "red")
    tab.click("#more button")
    tab.write("max_steps", str(STEPS))
    tab.check()
    assert "picture 'half.jpg' cannot be read" in tab.text("#status .error")
    assert tab.overflows() == []
    tab.click("#photographs button[aria-label='Clear']")
    tab.page.set_input_files("#photographs input[type=file]", red)
    tab.page.wait_for_selector("#photographs :text('0-')")
    tab.page.evaluate("() => document.querySelector('#status .error').remove()")
    tab.check()
    assert "6 samples" in tab.text("dl.plan") and "there is no test set" in tab.text("dl.plan")
    tab.forget()
    assert tab.page.query_selector_all(".strip img")
    assert (tab.faults, tab.overflows(), tab.small_texts()) == ([], [], [])

    tab.click("button[role=tab]:has-text('Push')")
    tab.write("repo_id", "org/forgot")
    tab.click("button#push")
    tab.page.wait_for_selector("#pushed .note")
    assert "Pushed to org/forgot" in tab.text("#pushed") and "verified" in tab.text("#pushed")
    assert WRITE_TOKEN not in tab.page.content()


def test_a_wrong_name_is_one_line(look, options):
    tab = look(PHONE)
    for box, text, said in (
        ("model", "no/such-model", "no/such-model"),
        ("model", "/etc", "'/etc' is not in a folder that this page may read"),
        ("words", "<b>rde</b>", "forget class '<b>rde</b>' is not a label of this dataset"),
    ):
        tab.page.fill(f"#{box} textarea, #{box} input", text)
        tab.check()
        line = tab.text("#status .error")
        assert said in line and "\n" not in line and "Traceback" not in line
        assert tab.page.is_disabled("button#forget")
        assert tab.page.query_selector_all("#status b") == []
        tab.page.fill("#model textarea, #model input", options.model)
        # The next answer is told from this one.
        tab.page.evaluate("() => document.querySelector('#status .error').remove()")
    assert (tab.faults, tab.overflows()) == ([], [])


def test_two_tabs_and_a_cancel_in_the_middle(look, options, held, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    stands, goes_on = held
    one, other = look(), look(PHONE)
    one.check()
    one.click("button#forget")
    one.page.wait_for_selector("text=step 3 of")
    assert stands.is_set()
    assert "Forget confidence" in one.text("#status") and "left" in one.text("#status")
    assert one.page.is_disabled("button#check")
    # Another tab waits for its turn, and says so; it has nothing of the first one.
    other.page.fill("#words textarea", "blue")
    other.click("button#check")
    other.page.wait_for_selector("text=another tab is at work")
    assert "step" not in other.text("#status")
    one.click("button#cancel")
    goes_on.set()
    one.page.wait_for_selector("text=nothing was kept")
    assert one.page.is_disabled("button#forget") and one.page.is_enabled("button#check")
    other.page.wait_for_selector("dl.plan")
    assert "'blue'" in other.text("dl.plan")
    assert [name for name in os.listdir(options.output_dir) if not name.startswith(".")] == []
    assert (one.faults, one.elsewhere, other.faults, other.elsewhere) == ([], [], [], [])
    # Loaded anew, a tab is a new one, and what it was is gone.
    assert len(other.sessions) == 2
    other.page.reload()
    other.page.wait_for_selector("#check")
    assert other.text("#plan").strip() == ""
    one.context.close()
    until = time.monotonic() + 60
    while len(other.sessions) and time.monotonic() < until:
        time.sleep(0.1)
    assert len(other.sessions) == 0
    # One folder for each tab, and none is left of those that are closed.
    assert [each for each in os.listdir(temporary) if each.startswith("hf-unlearn-app")] == []

"""A certificate: what it says, that any change of it is found, and that it does not say who was forgotten."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_unlearn import ForgetRequest, UnlearningError
from hf_unlearn.commands.main import main
from hf_unlearn.evaluation.report.rows import ROWS
from hf_unlearn.evaluation.report.table import HEADINGS
from hf_unlearn.files import CERTIFICATE_NAME, CERTIFICATE_PAGE, OPENING_NAME
from hf_unlearn.publishing.certificate import read_certificate, signed
from hf_unlearn.publishing.push import published_files
from hf_unlearn.publishing.record import read_record, write_record
from tests.publishing.conftest import unlearn
from tests.tiny import make_model


def write_key(key, path, passphrase=None):
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    public = path.with_suffix(".pub.pem")
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(path), str(public)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Paths of a private and its public key."""
    return write_key(Ed25519PrivateKey.generate(), tmp_path_factory.mktemp("keys") / "key.pem")


@pytest.fixture
def certified(unlearned, keys):
    """A folder with a certificate, of a model that forgot by its own figures."""
    met(unlearned)
    assert main(["certificate", str(unlearned), "--key", keys[0]]) == 0
    return unlearned


def met(folder, after=0.0):
    record = read_record(str(folder))
    record["checks"]["forget_accuracy"]["after"] = after
    write_record(record, str(folder))


def verify(folder, *words):
    return main(["verify-certificate", str(folder / CERTIFICATE_NAME), *map(str, words)])


def test_a_certificate_says_what_was_done_and_holds(certified, keys, capsys):
    said = read_certificate(str(certified / CERTIFICATE_NAME))["statement"]
    record = read_record(str(certified))
    assert said["model"]["weights_sha256"] == record["weights_sha256"]
    assert said["request"]["text"] == "the class 'red'" and said["date"] == record["date"]
    assert said["settings"]["max_steps"] == 2 and said["versions"]["torch"] and "0 %" in said["met"]
    assert any("formal guarantee" in each for each in said["not_shown"]) and len(said["samples"]["commitment"]) == 64
    assert verify(certified, "--public_key", keys[1], "--model", certified, "--opening", certified / OPENING_NAME) == 0
    out = capsys.readouterr().out
    assert "is the unlearned one" in out and f"that of {keys[1]}" in out and "8: the class 'red'" in out
    page = (certified / CERTIFICATE_PAGE).read_text()
    assert "the class &#39;red&#39;" in page and said["samples"]["commitment"] in page and "forget accuracy" in page
    assert "http" not in page and "<script" not in page


def test_without_key_and_salt_it_says_what_it_cannot_say(certified, capsys):
    assert verify(certified) == 0
    out = capsys.readouterr().out
    assert "whose it is nobody can tell without --public_key" in out and "sealed; --opening opens it" in out
    assert "the class" not in out


@pytest.fixture(scope="module")
def some_certificate(tmp_path_factory):
    said = {"schema_version": 1, "model": {"weights_sha256": {}}, "evaluation": None, "settings": None, "checks": None}
    said |= {"issued": "2026-01-01", "request": None, "dataset": None, "samples_in_words": "", "date": None}
    said |= {"method": {"title": "é", "paper": None}, "data_used": None, "steps": None, "met": None, "not_shown": []}
    said |= {"earlier_requests": [], "begins_with": None}
    said |= {"versions": {}, "hardware": "CPU", "samples": {"commitment": "a" * 64}, "ledger_entry": None}
    said["model"] |= {"name": None, "first_model": {"name": "m", "revision": None}}
    document, _ = signed(said, Ed25519PrivateKey.generate())
    return (json.dumps(document, indent=2) + "\n").encode()


@settings(max_examples=150)
@given(data=st.data())
def test_any_changed_byte_is_found(tmp_path_factory, some_certificate, data):
    place = data.draw(st.integers(0, len(some_certificate) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != some_certificate[place]))
    path = tmp_path_factory.getbasetemp() / "changed.json"
    path.write_bytes(some_certificate)
    read_certificate(str(path))
    path.write_bytes(some_certificate[:place] + bytes([byte]) + some_certificate[place + 1 :])
    with pytest.raises(UnlearningError, match=r"changed\.json'"):
        read_certificate(str(path))


def test_a_changed_page_is_found(certified, capsys):
    page = certified / CERTIFICATE_PAGE
    page.write_text(page.read_text().replace("red", "sad"))
    assert verify(certified) == 2 and "is not the page that the certificate was signed with" in capsys.readouterr().err


def test_another_model_another_key_another_opening_and_other_samples_are_found(
    certified, keys, tmp_path, capsys, saved_dataset
):
    other = shutil.copytree(certified, tmp_path / "other")
    make_model(seed=7).save_pretrained(other)
    assert verify(certified, "--model", other) == 2 and "is of another model" in capsys.readouterr().err
    assert verify(certified, "--original_model", certified) == 2 and "original weights" in capsys.readouterr().err
    mine = write_key(Ed25519PrivateKey.generate(), tmp_path / "mine.pem")
    assert verify(certified, "--public_key", mine[1]) == 2
    assert "was signed with another key" in capsys.readouterr().err
    # Signed anew by somebody else it is theirs.
    forged = shutil.copytree(certified, tmp_path / "forged")
    assert main(["certificate", str(forged), "--key", mine[0]]) == 0
    assert verify(forged, "--public_key", mine[1]) == 0 and verify(forged, "--public_key", keys[1]) == 2
    opening = json.loads((certified / OPENING_NAME).read_text())
    opening["committed"]["num_forget"] += 1
    (tmp_path / "opening.json").write_text(json.dumps(opening))
    assert verify(certified, "--opening", tmp_path / "opening.json") == 2
    assert "does not open this certificate" in capsys.readouterr().err
    data = ["--dataset_name", saved_dataset, "--forget_classes", "red"]
    assert verify(certified, *data) == 2 and "expected --opening" in capsys.readouterr().err
    assert verify(certified, "--opening", certified / OPENING_NAME, *data) == 2
    assert "the certificate is of other samples: 8" in capsys.readouterr().err
    assert verify(certified, "--ledger", tmp_path) == 2 and "names no entry" in capsys.readouterr().err


def test_whoever_has_the_salt_and_the_data_sees_that_the_samples_are_these(tmp_path, keys, capsys):
    from datasets import DatasetDict

    from tests.tiny import make_dataset

    parts = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    parts.save_to_disk(str(tmp_path / "data"))
    folder = tmp_path / "forgot"
    unlearn(folder, ForgetRequest(where={"person": ("p1",)})).save_model()
    assert main(["certificate", str(folder), "--key", keys[0]]) == 0
    words = ["--opening", folder / OPENING_NAME, "--dataset_name", tmp_path / "data"]
    assert verify(folder, *words, "--forget_where", "person=p1") == 0 and "are these" in capsys.readouterr().out
    assert verify(folder, *words, "--forget_indices", "1", "7", "13", "19", "25", "31") == 0
    assert verify(folder, *words, "--forget_where", "person=p2") == 2
    said = (folder / CERTIFICATE_NAME).read_text() + (folder / CERTIFICATE_PAGE).read_text()
    for secret in (json.loads((folder / OPENING_NAME).read_text())["salt"], "'person'", '"p1"', "images_sha256"):
        assert secret not in said


def test_what_opens_it_is_the_owners_and_nothing_of_it_is_pushed(certified, keys):
    assert stat.S_IMODE(os.stat(certified / OPENING_NAME).st_mode) == 0o600
    assert not [name for name in published_files(str(certified)) if "certificate" in name]
    first = json.loads((certified / OPENING_NAME).read_text())
    # Made again it is opened by the same.
    assert main(["certificate", str(certified), "--key", keys[0]]) == 0
    assert json.loads((certified / OPENING_NAME).read_text()) == first
    assert verify(certified, "--opening", certified / OPENING_NAME) == 0


def changed(folder, **values):
    write_record({**read_record(str(folder)), **values}, str(folder))


def swap_weights(folder):
    met(folder)
    make_model(seed=7).save_pretrained(folder)


def forget_what(folder):
    met(folder)
    os.unlink(folder / "forget_set.json")


def say_another_set(folder):
    met(folder)
    kept = json.loads((folder / "forget_set.json").read_text())
    (folder / "forget_set.json").write_text(json.dumps({**kept, "fingerprint": "other"}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: met(folder, 40.0), "the request was not met"),
        (lambda folder: (met(folder), changed(folder, in_progress=True)), "was not finished"),
        (swap_weights, "are not those that its unlearning.json describes"),
        (forget_what, "does not say which samples were forgotten"),
        (say_another_set, "does not say which samples were forgotten"),
    ],
)
def test_what_is_not_so_is_not_certified(unlearned, keys, capsys, spoil, said):
    spoil(unlearned)
    assert main(["certificate", str(unlearned), "--key", keys[0]]) == 2
    assert said in capsys.readouterr().err and not [*unlearned.glob("certificate*")]


def test_a_key_of_the_wrong_kind(unlearned, tmp_path, keys, capsys, monkeypatch):
    met(unlearned)
    secret = write_key(Ed25519PrivateKey.generate(), tmp_path / "secret.pem", b"sesame")[0]
    (tmp_path / "text.pem").write_text("no key")
    wrong = {
        write_key(rsa.generate_private_key(65537, 2048), tmp_path / "rsa.pem")[0]: "is of kind RSA; expected Ed25519",
        write_key(ec.generate_private_key(ec.SECP256R1()), tmp_path / "ec.pem")[0]: "expected Ed25519",
        keys[1]: "holds a public key; expected an Ed25519 private key",
        str(tmp_path / "text.pem"): "holds no private key in PEM",
        str(tmp_path / "none.pem"): "cannot be read: No such file",
        secret: "is encrypted; expected its passphrase in HF_UNLEARN_KEY_PASSPHRASE",
    }
    for path, said in wrong.items():
        assert main(["certificate", str(unlearned), "--key", path]) == 2
        err = capsys.readouterr().err
        assert said in err and len(err.splitlines()) == 1 and not [*unlearned.glob("certificate*")]
    monkeypatch.setenv("HF_UNLEARN_KEY_PASSPHRASE", "open")
    assert main(["certificate", str(unlearned), "--key", secret]) == 2
    assert "does not open with the passphrase" in capsys.readouterr().err
    monkeypatch.setenv("HF_UNLEARN_KEY_PASSPHRASE", "sesame")
    assert main(["certificate", str(unlearned), "--key", secret]) == 0
    for path, said in ((keys[0], "holds a private key"), (tmp_path / "rsa.pub.pem", "of kind RSA")):
        assert verify(unlearned, "--public_key", path) == 2 and said in capsys.readouterr().err
    assert verify(unlearned, "--public_key", tmp_path / "text.pem") == 2
    assert main(["certificate", str(unlearned)]) == 2 and "expected --key" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"statement": 1}'])
def test_what_is_no_certificate(tmp_path, text, capsys):
    (tmp_path / CERTIFICATE_NAME).write_text(text)
    assert verify(tmp_path) == 2 and "is no certificate" in capsys.readouterr().err


def test_a_certificate_of_a_queued_request_names_the_ledgers_entry(tmp_path, keys, capsys, saved_model, saved_dataset):
    from hf_unlearn.commands import queue_runs
    from hf_unlearn.ledger.entries import Ledger
    from tests.ledger.acting import StandIn

    folder = tmp_path / "requests"
    words = ["--model_name_or_path", saved_model(), "--dataset_name", saved_dataset, "--forget_classes", "red"]
    assert main(["requests", "add", str(folder), *words]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue_runs.unlearn, "main", StandIn())
        assert main(["requests", "run", str(folder)]) == 0
    model = folder / "models" / "0001"
    assert main(["certificate", str(model), "--key", keys[0]]) == 0
    said = read_certificate(str(model / CERTIFICATE_NAME))["statement"]
    assert said["ledger_entry"] == Ledger(folder).read()[-1]["digest"]
    assert verify(model, "--ledger", folder) == 0 and "its entry 4 of" in capsys.readouterr().out
    # An end that was taken off is found by what is signed.
    whole = Ledger(folder).path.read_bytes()
    Ledger(folder).path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    assert verify(model, "--ledger", folder) == 2 and "does not have the entry" in capsys.readouterr().err
    assert main(["certificate", str(model), "--key", keys[0]]) == 2
    assert "does not say that the run" in capsys.readouterr().err
    Ledger(folder).path.write_bytes(whole.replace(b"red", b"sad", 1))
    assert main(["certificate", str(model), "--key", keys[0]]) == 2 and "is broken at line" in capsys.readouterr().err


@pytest.mark.slow
def test_it_prints_on_one_page_with_all_figures_that_there_are(certified, tmp_path):
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here")
    said = json.loads((certified / CERTIFICATE_NAME).read_text())["statement"]
    figures = {row.key: 12.3456 for row in ROWS}
    evaluation = {
        "models": dict.fromkeys(HEADINGS, figures),
        "references": [figures, figures],
        "counts": {},
        "level": "deep",
    }
    earlier = [f"the class 'class number {number}'" for number in range(10)]
    said |= {"evaluation": evaluation, "earlier_requests": earlier, "begins_with": "first", "ledger_entry": "a" * 64}
    _, page = signed(said, Ed25519PrivateKey.generate())
    assert page.count("<tr><td>") >= len(ROWS) - 2 and "with all requests so far together" in page
    (tmp_path / "page.html").write_text(page)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    to = [f"--print-to-pdf={tmp_path / 'page.pdf'}", f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run(
        [browser, *flags, *to, (tmp_path / "page.html").as_uri()], check=True, capture_output=True, timeout=120
    )
    assert len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes())) == 1

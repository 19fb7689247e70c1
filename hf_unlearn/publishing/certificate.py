"""A certificate of what was done to a model, signed, that does not say about whom.

It says what the published record says and no more, so it passes what the record passes (see
`hf_unlearn.publishing.secrecy`). Which samples were meant is in it as a commitment: a digest of what recognises them
after a random salt. Whoever has the salt can open it; without it the digest tells nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import jinja2

from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import CERTIFICATE_NAME, CERTIFICATE_PAGE, OPENING_NAME, RECORD_NAME, replacing, write_text
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.publishing.card import SHOWN_SETTINGS, figures_of, samples_in_words
from hf_unlearn.publishing.earlier import text_of
from hf_unlearn.publishing.not_shown import not_shown
from hf_unlearn.publishing.record import read_record, request_met
from hf_unlearn.publishing.secrecy import hides_samples, published
from hf_unlearn.publishing.signing import ALGORITHM, is_signed, public_half, read_private_key, sign
from hf_unlearn.request.fingerprint import canonical_json
from hf_unlearn.request.kept import read_forget_set

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SCHEMA_VERSION = 1
TEMPLATE = "certificate.html.jinja"
SCHEME = "sha256(salt, canonical JSON of what recognises the samples)"
# What is signed begins with this, so that no signature of another text is taken for one.
_DOMAIN = b"hf-unlearn certificate 1\n"
_PARTS = {"statement", "page_sha256", "algorithm", "public_key", "signature"}
# Of the published record. What is not named here is left out.
_STATED = (
    *("method", "request", "dataset", "whole_classes", "num_forget", "num_forget_band", "date", "steps", "stop_reason"),
    *("seconds", "retain_free", "data_used", "settings", "checks", "hardware", "versions", "dtype"),
    "begins_with",
)
_KEPT = ("fingerprint", "images_sha256", "num_forget", "text", "dataset")


def write_certificate(folder: str, key_path: str, ledger_entry: str | None = None) -> str:
    """Certify what was done to the model of a folder, into `certificate.json` and `certificate.html` there.

    `certificate_opening.json` is what opens the commitment: it says which samples are meant and stays with its owner
    (mode 0600).

    Args:
        folder: what `hf-unlearn unlearn` saved.
        key_path: a PEM file with an Ed25519 private key.
        ledger_entry: digest of the ledger's entry that says that the run met its requests.

    Returns:
        The path of the certificate.

    Raises:
        UnlearningError: the model is not that of its record, the run was not finished or did not meet the request, what
            it forgot is not known, or the key is of another kind. Nothing was written.
    """
    key = read_private_key(key_path)
    record = read_record(folder)
    committed = _recognised(folder, record)
    _check_holds(folder, record)
    salt = _salt(folder, committed)
    statement = statement_of(record, commitment(salt, committed), ledger_entry)
    document, page = signed(statement, key)
    opening = {
        "about": "Says which samples the certificate is of, to whoever has the data: do not give away.",
        "salt": salt,
        "committed": committed,
    }
    # First, so that no certificate is left that nobody can open.
    _write_for_owner(_text(opening), os.path.join(folder, OPENING_NAME))
    write_text(page, os.path.join(folder, CERTIFICATE_PAGE))
    path = os.path.join(folder, CERTIFICATE_NAME)
    write_text(_text(document), path)
    return path


def statement_of(record: Mapping[str, Any], committed: str, ledger_entry: str | None = None) -> dict[str, Any]:
    """What a certificate says, as JSON can hold it: of a record no more than is published.

    Args:
        record: all that is known of a run.
        committed: the commitment to the samples.
        ledger_entry: see [`write_certificate`].
    """
    hides = hides_samples(record)
    shown = published(record)
    met = None if hides else request_met(shown)[1]
    evaluation = shown.get("evaluation")
    return {
        "schema_version": SCHEMA_VERSION,
        "issued": datetime.now(timezone.utc).date().isoformat(),
        "model": {
            "name": shown.get("hub_model_id"),
            "original_model": shown["original_model"],
            # Of a chain the one that the card names, too.
            "first_model": (shown.get("earlier") or [shown])[0]["original_model"],
            "weights_sha256": shown["weights_sha256"],
        },
        **{name: shown.get(name) for name in _STATED},
        "earlier_requests": [text_of(each) for each in shown.get("earlier") or ()],
        "samples_in_words": samples_in_words(shown, hides),
        "evaluation": evaluation and {name: value for name, value in evaluation.items() if name != "curves"},
        "met": met,
        "not_shown": not_shown(shown, hides),
        "samples": {"scheme": SCHEME, "commitment": committed},
        "ledger_entry": ledger_entry,
    }


def commitment(salt: str, committed: Mapping[str, Any]) -> str:
    """The digest of what recognises the samples after a salt, all in hexadecimal."""
    return hashlib.sha256(bytes.fromhex(salt) + canonical_json(committed).encode()).hexdigest()


def signed(statement: Mapping[str, Any], key: Ed25519PrivateKey) -> tuple[dict[str, Any], str]:
    """A statement as a certificate, and as the page that it vouches for, too."""
    public_key = public_half(key)
    # As it is read back.
    statement = json.loads(json.dumps(statement, allow_nan=False))
    page = _page(statement, public_key)
    document = {
        "statement": statement,
        "page_sha256": hashlib.sha256(page.encode()).hexdigest(),
        "algorithm": ALGORITHM,
        "public_key": public_key,
    }
    return {**document, "signature": sign(key, _signed_bytes(document))}, page


def read_certificate(path: str) -> dict[str, Any]:
    """A certificate whose signature is right, and whose page, if it lies beside it, is the one that was signed.

    Raises:
        UnlearningError: there is none, or anything of it was changed.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
        document = json.loads(text)
    except OSError as error:
        raise UnlearningError(f"certificate {path!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UnlearningError(f"{path!r} is no certificate: it is not JSON, or was changed") from error
    if not isinstance(document, dict) or document.keys() != _PARTS:
        raise UnlearningError(f"{path!r} is no certificate; expected what hf-unlearn certificate wrote")
    if document["algorithm"] != ALGORITHM:
        raise UnlearningError(f"certificate {path!r} is signed by {document['algorithm']!r}; expected {ALGORITHM}")
    try:
        right = _text(document) == text and is_signed(
            _signed_bytes(document), document["signature"], document["public_key"]
        )
    except (ValueError, TypeError):
        right = False
    if not right:
        raise UnlearningError(
            f"certificate {path!r} was changed after it was signed: its signature is not of this text"
        )
    version = document["statement"].get("schema_version")
    if version != SCHEMA_VERSION:
        raise UnlearningError(f"certificate {path!r} has schema version {version!r}; expected {SCHEMA_VERSION}")
    page = os.path.join(os.path.dirname(path), CERTIFICATE_PAGE)
    if os.path.isfile(page):
        with open(page, "rb") as shown:
            if hashlib.sha256(shown.read()).hexdigest() != document["page_sha256"]:
                raise UnlearningError(f"{page!r} is not the page that the certificate was signed with")
    return document


def check_model(statement: Mapping[str, Any], folder: str, which: str = "unlearned") -> None:
    """Hold a model against a certificate.

    Args:
        which: `"unlearned"` or `"original"`.

    Raises:
        UnlearningError: it is another model, or the certificate does not say which.
    """
    stated = statement["model"]["weights_sha256"].get(which)
    if stated is None:
        raise UnlearningError(f"the certificate does not tell the {which} model's weights, so it cannot be recognised")
    found = weights_digest(load_image_classifier(folder, dtype="auto"))
    if found != stated:
        raise UnlearningError(
            f"the certificate is of another model: its {which} weights are {stated[:12]}, those in {folder!r} are "
            f"{found[:12]}"
        )


def opened(statement: Mapping[str, Any], path: str) -> dict[str, Any]:
    """What the commitment of a certificate is to, by what opens it.

    Raises:
        UnlearningError: the file cannot be read, or opens another certificate.
    """
    try:
        with open(path, encoding="utf-8") as file:
            opening = json.load(file)
        found = commitment(opening["salt"], opening["committed"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnlearningError(f"{path!r} is not what opens a certificate; expected its {OPENING_NAME}") from error
    if found != statement["samples"]["commitment"]:
        raise UnlearningError(f"{path!r} does not open this certificate: it is of other samples, or was changed")
    return opening["committed"]


def _recognised(folder: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """What recognises the samples that the model of a folder forgot."""
    kept = read_forget_set(folder)
    known = (record.get("dataset") or {}).get("id")
    if not kept or (known is not None and known != kept["fingerprint"]):
        raise UnlearningError(
            f"{folder!r} does not say which samples were forgotten; expected the folder that hf-unlearn unlearn wrote"
        )
    return {name: kept.get(name) for name in _KEPT}


def _check_holds(folder: str, record: Mapping[str, Any]) -> None:
    """Refuse to certify what is not so."""
    if record.get("in_progress"):
        raise UnlearningError(f"the run of {folder!r} was not finished: the model still remembers")
    met, why = request_met(record)
    if not met:
        raise UnlearningError(f"the request was not met, by the run's own figures ({why}); there is nothing to certify")
    found = weights_digest(load_image_classifier(folder, dtype="auto"))
    if found != record["weights_sha256"]["unlearned"]:
        raise UnlearningError(f"the weights in {folder!r} are not those that its {RECORD_NAME} describes")


def _salt(folder: str, committed: Mapping[str, Any]) -> str:
    """A new salt; where the same was committed to before, its own, so that this opens the earlier certificate, too."""
    try:
        with open(os.path.join(folder, OPENING_NAME), encoding="utf-8") as file:
            opening = json.load(file)
        if opening["committed"] == committed and len(bytes.fromhex(opening["salt"])) == 32:
            return str(opening["salt"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return secrets.token_hex(32)


def _signed_bytes(document: Mapping[str, Any]) -> bytes:
    rest = {name: value for name, value in document.items() if name != "signature"}
    return _DOMAIN + canonical_json(rest).encode()


def _text(values: Mapping[str, Any]) -> str:
    # The one way of writing it: a blank that was added is found, too.
    return json.dumps(values, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _write_for_owner(text: str, path: str) -> None:
    with replacing(path) as part, open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _page(statement: Mapping[str, Any], public_key: str) -> str:
    headings, rows = figures_of(statement["evaluation"])
    loader = jinja2.PackageLoader("hf_unlearn", "publishing")
    made = jinja2.Environment(
        loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, autoescape=True
    )
    settings = statement["settings"] or {}
    return made.get_template(TEMPLATE).render(
        said=statement,
        public_key=public_key,
        headings=headings,
        rows=rows,
        checks={name: each for name, each in (statement["checks"] or {}).items() if isinstance(each, Mapping)},
        settings={name: settings[name] for name in SHOWN_SETTINGS if settings.get(name) is not None},
    )

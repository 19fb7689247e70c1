"""`hf-unlearn certificate`: a signed statement of what was done to a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from hf_unlearn.commands.arguments import flag
from hf_unlearn.commands.parsing import parse, say
from hf_unlearn.commands.push import DisclosureArguments, disclose, positional
from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import CERTIFICATE_PAGE, OPENING_NAME

DESCRIPTION = (
    "Certify what was done to an unlearned model: certificate.json, signed, and certificate.html, one page. It says no "
    "more than the published record; which samples were meant is sealed, and certificate_opening.json opens it."
)


@dataclass
class CertificateArguments:
    """Of what, and by whom"""

    folder: str = field(metadata={"help": "What hf-unlearn unlearn saved; the flag's name may be left out."})
    key: str = flag("A PEM file with an Ed25519 private key (openssl genpkey -algorithm ed25519 -out key.pem).", "")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input, or what cannot be certified; no certificate was written.
    """
    words = positional(argv or (), "folder")
    flags, told = parse("certificate", DESCRIPTION, (CertificateArguments, DisclosureArguments), None, None, words)
    if not os.path.isdir(flags.folder):
        raise UnlearningError(f"folder {flags.folder!r} does not exist; expected one that hf-unlearn unlearn wrote")
    if not flags.key:
        raise UnlearningError("expected --key, a PEM file; certificate does not go without")

    from hf_unlearn.publishing.certificate import write_certificate

    entry = ledger_entry(flags.folder)
    disclose(flags.folder, told)
    path = write_certificate(flags.folder, flags.key, entry)
    say(
        f"Wrote {path} and {CERTIFICATE_PAGE}" + (", which name the ledger's entry" if entry else ""),
        f"  {OPENING_NAME} says which samples are meant: keep it to yourself",
    )


def ledger_entry(folder: str) -> str | None:
    """The digest of the entry by which a ledger says that the run of this model met its requests, if it came of one.

    Raises:
        UnlearningError: the ledger's chain is broken, or its run is not said to have met them.
    """
    from hf_unlearn.ledger.queue import queue_of

    found = queue_of(folder)
    return found and str((found[1].ended or {})["digest"])

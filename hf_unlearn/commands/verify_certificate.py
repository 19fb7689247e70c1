"""`hf-unlearn verify-certificate`: whether a certificate is as it was signed, by whom, of which model and samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_unlearn.commands.arguments import (
    ForgetSetArguments,
    RequestArguments,
    TestSetArguments,
    UnlearningDataArguments,
    flag,
)
from hf_unlearn.commands.parsing import parse, say
from hf_unlearn.commands.push import positional
from hf_unlearn.errors import UnlearningError

DESCRIPTION = (
    "Check a certificate of hf-unlearn certificate: that nothing of it was changed, and as far as more is given, that "
    "it is by this key, of this model, and of these samples. The exit status is 2 if anything is not as it should be."
)


@dataclass
class VerifyArguments:
    """What, and against what"""

    certificate: str = field(metadata={"help": "certificate.json; the flag's name may be left out."})
    public_key: str | None = flag("A PEM file with the public key of whoever should have signed it.")
    model: str | None = flag("The unlearned model: a folder, or a name on the Hub.")
    original_model: str | None = flag("The model before.")
    opening: str | None = flag("certificate_opening.json: which samples are meant; with data and a request, whether.")
    ledger: str | None = flag("The folder of the ledger that the certificate names an entry of.")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input, or the certificate does not hold.
    """
    groups = (VerifyArguments, UnlearningDataArguments, RequestArguments, ForgetSetArguments, TestSetArguments)
    flags, *request = parse(
        "verify-certificate", DESCRIPTION, groups, None, None, positional(argv or (), "certificate")
    )
    has_data = request[0].dataset_name is not None or request[2].forget_dataset is not None
    if has_data and flags.opening is None:
        raise UnlearningError(
            "whether the certificate is of these samples is sealed; expected --opening, which opens it"
        )

    from hf_unlearn.publishing.certificate import check_model, opened, read_certificate

    document = read_certificate(flags.certificate)
    said = document["statement"]
    lines = [f"{flags.certificate} is as it was signed, on {said['issued']}", f"  key      {_by(flags, document)}"]
    for name, which in ((flags.model, "unlearned"), (flags.original_model, "original")):
        if name is not None:
            check_model(said, name, which)
            lines.append(f"  model    {name} is the {which} one")
    if flags.ledger is not None:
        lines.append(f"  ledger   {_in_ledger(flags.ledger, said)}")
    if flags.opening is not None:
        meant = opened(said, flags.opening)
        lines.append(f"  samples  {meant['num_forget']}: {meant['text']}")
        if has_data:
            _check_samples(meant, request)
            lines.append("           and the data and request that were given are these")
    else:
        lines.append("  samples  sealed; --opening opens it")
    say(*lines)


def _by(flags: Any, document: dict[str, Any]) -> str:
    if flags.public_key is None:
        return f"{document['public_key']}; whose it is nobody can tell without --public_key"
    from hf_unlearn.publishing.signing import read_public_key

    expected = read_public_key(flags.public_key)
    if expected != document["public_key"]:
        raise UnlearningError(
            f"the certificate was signed with another key ({document['public_key'][:16]}) than the one in "
            f"{flags.public_key!r} ({expected[:16]})"
        )
    return f"that of {flags.public_key}"


def _in_ledger(folder: str, said: dict[str, Any]) -> str:
    from hf_unlearn.ledger.entries import Ledger

    named = said["ledger_entry"]
    if named is None:
        raise UnlearningError("the certificate names no entry of a ledger; expected no --ledger")
    for entry in Ledger(folder).read():
        if entry["digest"] == named:
            if entry["what"].get("weights_sha256") != said["model"]["weights_sha256"].get("unlearned"):
                break
            return f"its entry {entry['number']} of {entry['time'][:10]}, in a chain that is whole"
    raise UnlearningError(f"the ledger in {folder!r} does not have the entry that the certificate names ({named[:12]})")


def _check_samples(meant: dict[str, Any], request: Sequence[Any]) -> None:
    from hf_unlearn.commands.forget_set import check_forget_set, load_forget_set
    from hf_unlearn.commands.loading import load_splits
    from hf_unlearn.commands.request_flags import make_request
    from hf_unlearn.request.kept import are_same, recognised_by

    data, what, forget, test = request
    if check_forget_set(data, what, forget, test):

        def no_model() -> Any:
            raise UnlearningError("--forget_label 'predicted' needs a model; expected the name of the samples' class")

        splits = load_forget_set(data, forget, test, no_model)
    else:
        splits = load_splits(data, make_request(what), test)
    if not are_same(recognised_by(splits), meant):
        raise UnlearningError(
            f"the certificate is of other samples: {meant['num_forget']} ({meant['text']}), and the request gives "
            f"{len(splits.forget)}"
        )

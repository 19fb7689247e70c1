"""`hf-unlearn card`: the card of an unlearned model, made anew from its record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from hf_unlearn.commands.arguments import flag
from hf_unlearn.commands.parsing import parse, say
from hf_unlearn.commands.push import DisclosureArguments, disclose, positional
from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import CARD_NAME

DESCRIPTION = "Make README.md and the plots of an unlearned model anew, from its unlearning.json."


@dataclass
class CardArguments:
    """Of what"""

    folder: str = field(metadata={"help": "What hf-unlearn unlearn saved; the flag's name may be left out."})
    hub_model_id: str | None = flag(
        "Repository that the card's example loads (default: as it was, at first the folder's name)."
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was written.
    """
    flags, told = parse(
        "card", DESCRIPTION, (CardArguments, DisclosureArguments), None, None, positional(argv or (), "folder")
    )
    if not os.path.isdir(flags.folder):
        raise UnlearningError(f"folder {flags.folder!r} does not exist; expected one that hf-unlearn unlearn wrote")

    from hf_unlearn.publishing.card import write_card

    disclose(flags.folder, told)
    write_card(flags.folder, flags.hub_model_id)
    say(f"Wrote {os.path.join(flags.folder, CARD_NAME)}")

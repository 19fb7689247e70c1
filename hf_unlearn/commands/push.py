"""`hf-unlearn push`: publish a folder that `hf-unlearn unlearn` saved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from hf_unlearn.commands.arguments import flag
from hf_unlearn.commands.parsing import parse, say
from hf_unlearn.commands.terminal import loading_line
from hf_unlearn.errors import UnlearningError

DESCRIPTION = (
    "Publish an unlearned model on the Hub with its card and record, in one commit, once it was read back and compared "
    "with what is here. Checkpoints, reports and results stay at home. Can be repeated."
)


# True where they stand alone.
_SWITCH = {"nargs": "?", "const": True}


@dataclass
class DisclosureArguments:
    """What is told (default: as the run was told)"""

    publish_request: bool | None = flag(
        "Publish column names, counts, the seed of a random draw, and figures on the forget set, of requests that "
        "single out people or samples, too. Whoever has model and data may then find out which samples were forgotten.",
        **_SWITCH,
    )
    private_names: bool | None = flag(
        "Publish no name of a forgotten class, split, configuration or folder.", **_SWITCH
    )
    publish_private_sources: bool | None = flag(
        "Publish what was made of a model or dataset that is private on the Hub, and its name, where all see it.",
        **_SWITCH,
    )


def disclose(folder: str, flags: DisclosureArguments) -> None:
    """Have of a folder's record told what the flags say."""
    from hf_unlearn.publishing.record import set_disclosure

    names = None if flags.private_names is None else not flags.private_names
    set_disclosure(folder, request=flags.publish_request, names=names, sources=flags.publish_private_sources)


@dataclass
class PushArguments:
    """What, and where to"""

    folder: str = field(metadata={"help": "What hf-unlearn unlearn saved; the flag's name may be left out."})
    hub_model_id: str | None = flag("Repository: organisation/name, or a name of your own (default: the folder's).")
    hub_private_repo: bool | None = flag(
        "Whether it is to be private, which is checked (default: as it is, and a new one as the Hub makes it)."
    )
    hub_revision: str | None = flag("Branch to push to, made if it is not there (default: main).")
    hub_replace: bool = flag("Replace a model that forgot something else, or a card that was changed by hand.", False)
    trust_remote_code: bool = flag("Run code that lies beside the model, and publish it with it.", False)
    push_anyway: bool = flag("Even if the run's own figures say that the request was not met.", False)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was published.
        PublishingError: the Hub failed; the folder is whole.
    """
    words = positional(argv or (), "folder")
    flags, told = parse("push", DESCRIPTION, (PushArguments, DisclosureArguments), None, None, words)
    if not os.path.isdir(flags.folder):
        raise UnlearningError(f"folder {flags.folder!r} does not exist; expected one that hf-unlearn unlearn wrote")

    from hf_unlearn.publishing.push import destination_of, push_folder

    disclose(flags.folder, told)
    destination = destination_of(
        flags.folder,
        flags.hub_model_id,
        private=flags.hub_private_repo,
        revision=flags.hub_revision,
        replace=flags.hub_replace,
    )
    commit = push_folder(
        flags.folder, destination, push_anyway=flags.push_anyway, trust_remote_code=flags.trust_remote_code
    )
    say(
        f"Pushed {flags.folder} to {destination.repo_id} at {commit}",
        "  read back file by file, and it answers the same: verified",
        loading_line(flags.folder, destination.repo_id),
    )


def positional(argv: Sequence[str], *names: str) -> list[str]:
    """First words that are no flags are the values of these, in order."""
    words = list(argv)
    if not names or not words or words[0].startswith("-"):
        return words
    return [f"--{names[0]}", words[0], *positional(words[1:], *names[1:])]

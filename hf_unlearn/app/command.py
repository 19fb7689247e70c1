"""`hf-unlearn app`: a page in the browser on which a model forgets."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass

from hf_unlearn.commands.arguments import flag
from hf_unlearn.commands.parsing import parse
from hf_unlearn.errors import UnlearningError

DESCRIPTION = (
    "Open a page in the browser: name a model, data and what to forget, see what it comes to, run it, and look at what "
    "came of it. The page is for this computer alone, and fetches nothing from elsewhere but what you name on the Hub."
)
LOCAL = "127.0.0.1"


@dataclass
class PageArguments:
    """What stands on the page at first"""

    model_name_or_path: str = flag("Image classifier: a name on the Hub, or a folder.", "")
    dataset_name: str = flag("The training set: a name on the Hub, or a folder.", "")
    forget_classes: list[str] | None = flag("Classes to forget, by name or id.")


@dataclass
class ServerArguments:
    """What it may do, and where it is"""

    output_dir: str = flag("Where unlearned models go, each to a folder of its own.", "outputs/app")
    folders: list[str] | None = flag(
        "Folders that the page may read: models, datasets and files in them may be named (default: this one)."
    )
    max_upload_mb: int = flag("The largest picture that may be dragged in, megabytes.", 10)
    server_name: str = flag("The address that it listens at. Any but this computer's own lets others in.", LOCAL)
    others_may_publish: bool = flag(
        "At such an address: let others push by this computer's login and sign with its keys, too.", False
    )
    server_port: int = flag("Its port; 0: one that is free.", 7860)
    open_browser: bool = flag("Open it in the browser.", False)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command, until it is interrupted.

    Raises:
        UnlearningError: bad input, or Gradio is not installed.
    """
    page, server = parse("app", DESCRIPTION, (PageArguments, ServerArguments), None, None, argv or ())
    if importlib.util.find_spec("gradio") is None:
        raise UnlearningError('the page needs Gradio, which is not installed; expected pip install "hf-unlearn[app]"')
    from hf_unlearn.app.options import Options
    from hf_unlearn.app.server import serve
    from hf_unlearn.commands.output_folder import check_folder

    check_folder(server.output_dir, "output_dir")
    # What was named here may be read there.
    named = [each for each in (page.model_name_or_path, page.dataset_name) if os.path.isdir(each)]
    options = Options(
        output_dir=server.output_dir,
        folders=(*(server.folders or (".",)), *named),
        model=page.model_name_or_path,
        dataset=page.dataset_name,
        forget_classes=tuple(page.forget_classes or ()),
        max_upload_mb=server.max_upload_mb,
        others_may_publish=server.others_may_publish,
    )
    serve(options, server.server_name, server.server_port, server.open_browser)

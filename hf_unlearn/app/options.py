"""How a page is set up: what it may read, where it writes, and what it does not offer."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hf_unlearn.errors import UnlearningError, unseen
from hf_unlearn.files import expand_user
from hf_unlearn.names import is_repo_id


@dataclass(frozen=True)
class Limits:
    """What all who look at a page may take of its machine together. None: as much as there is.

    Attributes:
        sessions: tabs at once. Where there are more, the one that was left alone for longest gives way.
        idle: seconds after which a tab that does nothing may give way.
        waiting: runs that wait for their turn; one goes on at a time.
        seconds: of one run, or one check.
        pictures: that are forgotten at once.
        uploads: megabytes of uploads, those on the way among them, and of what lies in the tabs' folders.
    """

    sessions: int | None = None
    idle: float = 0.0
    waiting: int | None = None
    seconds: float | None = None
    pictures: int = 2000
    uploads: int | None = None


# Of a page for strangers.
PUBLIC = Limits(sessions=30, idle=600.0, waiting=5, seconds=900.0, pictures=200, uploads=2000)


@dataclass(frozen=True)
class Options:
    """Settings of a page.

    Attributes:
        output_dir: where finished models go, each to a folder of its own.
        folders: what lies in these may be named on the page as a model, a dataset or a file; all else is refused.
        model, dataset: what stands in the boxes at first.
        forget_classes: the same.
        is_public: for strangers, as a Space is: model and dataset are those above and no others, nothing is kept,
            pushed or certified, and no sample is shown.
        about: a sentence on top of the page.
        max_upload_mb: of one picture.
        others_may_publish: who reaches the page from another computer may push by this computer's login and sign with
            its keys.
    """

    output_dir: str
    folders: tuple[str, ...] = (".",)
    model: str = ""
    dataset: str = ""
    forget_classes: tuple[str, ...] = ()
    is_public: bool = False
    about: str = ""
    max_upload_mb: int = 10
    others_may_publish: bool = False
    real_folders: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if self.max_upload_mb < 1:
            raise UnlearningError(f"max_upload_mb is {self.max_upload_mb}; expected 1 or more")
        for folder in self.folders:
            if not os.path.isdir(expand_user(folder)):
                raise UnlearningError(f"folder {folder!r} does not exist; expected one that the page may read")
        real = {os.path.realpath(expand_user(each)) for each in (*self.folders, self.output_dir)}
        object.__setattr__(self, "real_folders", tuple(sorted(real)))

    @property
    def limits(self) -> Limits:
        """Strangers share; who uses a page of their own has all of it."""
        return PUBLIC if self.is_public else Limits()

    def checked(self, name: str, what: str) -> str:
        """A name that was written on the page, if the page may read what it names.

        A name on the Hub, or something that lies in one of `folders` once all links are followed.

        Raises:
            UnlearningError: it is empty, or names something elsewhere.
        """
        name = name.strip()
        if not name:
            raise UnlearningError(f"no {what} was named; expected a name on the Hub, or a folder")
        if "://" in name or "::" in name:
            raise UnlearningError(f"{what} {name!r} is an address; expected a name on the Hub, or a folder")
        if any(map(unseen, name)):
            raise UnlearningError(f"{what} {name!r} has a control character; expected a name on the Hub, or a folder")
        # Whether something is there is not told either, of what lies elsewhere.
        path = os.path.realpath(expand_user(name))
        if any(path == each or path.startswith(each.rstrip(os.sep) + os.sep) for each in self.real_folders):
            return name
        if is_repo_id(name) and not os.path.lexists(expand_user(name)):
            return name
        raise UnlearningError(
            f"{what} {name!r} is not in a folder that this page may read; expected a name on the Hub, or something in "
            "a folder that hf-unlearn app was started with (--folders)"
        )

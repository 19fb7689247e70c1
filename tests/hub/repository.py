"""What the Hub keeps of a repository: commits, each with all its files, and the names that point to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timezone

GIT_ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


def git_oid(content: bytes) -> str:
    """The name that git gives to a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Blob:
    content: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git itself stores of an LFS file."""
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n"
        return text.encode()

    @property
    def oid(self) -> str:
        return git_oid(self.pointer if self.lfs else self.content)

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True)
class Commit:
    sha: str
    parent: str | None
    title: str
    message: str
    author: str
    files: dict[str, Blob]
    date: str


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@dataclass
class Repository:
    """A model or a dataset.

    `lfs_objects` holds what was uploaded by the LFS protocol, committed or not, by SHA-256.
    """

    id: str
    type: str
    author: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lfs_objects: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit({".gitattributes": Blob(GIT_ATTRIBUTES, lfs=False)}, "initial commit", author=self.author)

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]

    @property
    def sha(self) -> str:
        """The newest commit of `main`."""
        return self.branches["main"]

    def commit(
        self, files: dict[str, Blob], title: str, message: str = "", author: str = "", branch: str = "main"
    ) -> Commit:
        """A new commit whose tree is `files`, at the head of `branch`."""
        parent = self.branches.get(branch)
        # The number of commits stands in for the time: the same calls give the same names.
        tree = [self.type, self.id, str(parent), title, message, str(len(self.commits))]
        tree += [f"{path} {blob.oid}" for path, blob in sorted(files.items())]
        sha = hashlib.sha1("\n".join(tree).encode()).hexdigest()
        self.commits[sha] = Commit(sha, parent, title, message, author, dict(files), _now())
        self.branches[branch] = sha
        return self.commits[sha]

    def find(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag or a (shortened) commit hash names."""
        sha = self.branches.get(revision.removeprefix("refs/heads/")) or self.tags.get(revision)
        if sha is None and len(revision) >= 7:
            sha = next((known for known in self.commits if known.startswith(revision)), None)
        return self.commits.get(sha) if sha else None

    def history(self, commit: Commit) -> list[Commit]:
        """The commit and its ancestors, newest first."""
        found = [commit]
        while found[-1].parent:
            found.append(self.commits[found[-1].parent])
        return found

    def last_change(self, commit: Commit, path: str) -> Commit:
        """The commit that gave the file its content, or the folder its newest file."""
        line = self.history(commit)

        def under(one: Commit) -> dict[str, Blob]:
            return {name: blob for name, blob in one.files.items() if name == path or name.startswith(f"{path}/")}

        for newer, older in zip(line, line[1:], strict=False):
            if under(newer) != under(older):
                return newer
        return line[-1]

    def read(self, path: str, revision: str = "main") -> bytes:
        """The content of a file, for tests."""
        commit = self.find(revision)
        if commit is None:
            raise KeyError(f"{self.id} has no revision {revision!r}")
        return commit.files[path].content

    def paths(self, revision: str = "main") -> list[str]:
        """The names of the files, sorted, for tests."""
        commit = self.find(revision)
        if commit is None:
            raise KeyError(f"{self.id} has no revision {revision!r}")
        return sorted(commit.files)

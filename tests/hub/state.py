"""All that the Hub remembers, and who may see and change it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from .answers import Account, Call, Refusal
from .repository import Commit, Repository

TYPES = {"models": "model", "datasets": "dataset"}
LFS_SUFFIXES = (".safetensors", ".png", ".jpg", ".parquet", ".arrow", ".bin", ".pt", ".pkl", ".npz")


@dataclass
class State:
    """Accounts by token, repositories by (type, id), and the LFS uploads that were granted.

    Files that end like `lfs_suffixes`, or have at least `lfs_from_bytes`, go by LFS. Empty the suffixes where clients
    keep xet on: for LFS files they would want a xet server, which this is not.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    # The secret part of an upload's address -> where it goes, its SHA-256 and its size in bytes.
    grants: dict[str, tuple[Repository, str, int]] = field(default_factory=dict)
    # Namespaces where a repository of which nobody says it is private.
    private_by_default: set[str] = field(default_factory=set)
    lfs_suffixes: tuple[str, ...] = LFS_SUFFIXES
    lfs_from_bytes: int = 10 * 1024 * 1024

    def account(self, authorization: str | None) -> Account | None:
        """Whose request it is; None without a token."""
        if not authorization:
            return None
        account = self.accounts.get(authorization.removeprefix("Bearer ").strip())
        if account is None:
            # The words make a client tell a wrong token from a missing repository.
            raise Refusal(401, "Invalid credentials in Authorization header")
        return account

    def readable(self, call: Call) -> Repository:
        """The repository that the call names, if whoever calls may see it."""
        repository = self.repositories.get((TYPES[call.parts.get("type") or "models"], call.parts["id"]))
        if repository is not None:
            at_home = call.account is not None and call.account.belongs_to(repository.namespace)
            if at_home or not repository.private:
                return repository
        # What is hidden is answered like what is not there.
        if call.account is None:
            raise Refusal(401, "Invalid username or password.", "RepoNotFound")
        raise Refusal(404, "Repository not found", "RepoNotFound")

    def writable(self, call: Call) -> tuple[Repository, Account]:
        """The same for a call that changes it, and who calls."""
        repository = self.readable(call)
        return repository, self.writer(call, repository.id)

    @staticmethod
    def writer(call: Call, repo_id: str) -> Account:
        """Whoever calls, if they may write to the repository, or make it."""
        namespace = repo_id.split("/")[0]
        if call.account is None:
            raise Refusal(401, "Invalid username or password.")
        if not call.account.may_write(namespace, repo_id):
            raise Refusal(403, "Forbidden: you must use a write token to upload to a repository.")
        if not call.account.belongs_to(namespace) or call.account.roles.get(namespace) == "read":
            raise Refusal(403, f'You don\'t have the rights to write under the namespace "{namespace}"')
        return call.account

    @staticmethod
    def commit_of(repository: Repository, revision: str) -> Commit:
        commit = repository.find(revision)
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def grant(self, repository: Repository, sha256: str, size: int) -> str:
        secret = secrets.token_hex(16)
        self.grants[secret] = (repository, sha256, size)
        return secret

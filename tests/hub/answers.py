"""A call as the handlers see it, what they answer, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Account:
    """Whom a token stands for.

    `role` is "read", "write" or "fineGrained"; what one of the last kind may do is in `scopes`, a list of permissions
    by the name of a user, an organisation or a repository. A member of an organisation may do there as at home, unless
    `roles` says otherwise ("read").
    """

    token: str
    user: str
    role: str = "write"
    organisations: tuple[str, ...] = ()
    roles: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, list[str]] = field(default_factory=dict)

    def belongs_to(self, namespace: str) -> bool:
        return namespace == self.user or namespace in self.organisations

    def may_write(self, namespace: str, repo_id: str) -> bool:
        """Whether the token allows it, for one who belongs to the namespace."""
        if self.role == "fineGrained":
            return any("repo.write" in self.scopes.get(name, ()) for name in (namespace, repo_id))
        return self.role == "write"


@dataclass(frozen=True)
class Call:
    """A request, read: `parts` are the named pieces of the path, `query` has a list for each name."""

    method: str
    parts: dict[str, str]
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    account: Account | None
    endpoint: str

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise Refusal(400, "The body is not JSON") from error
        if not isinstance(value, dict):
            raise Refusal(400, "The body is not a JSON object")
        return value

    def asks_for(self, name: str) -> bool:
        return self.query.get(name, [""])[0].lower() in {"1", "true"}


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **headers})


class Refusal(Exception):
    """An error that the client is told of. `code` goes to X-Error-Code, by which clients choose their exception."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}

    def answer(self) -> Answer:
        return Answer.of_json({"error": self.message}, self.status, **self.headers)

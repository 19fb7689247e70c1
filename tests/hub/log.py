"""The requests that came, and the bytes that came with them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import NamedTuple


class Upload(NamedTuple):
    """A piece of what a client sent: by which call, its path where the call says it (else the kind), and the bytes."""

    call: str
    name: str
    content: bytes


@dataclass
class Request:
    """`kind` is the kind of call, such as "commit"; `status` is 0 where the client got no answer; `sent` is the size of
    the answer's body, in bytes."""

    kind: str
    method: str
    path: str
    token: str | None
    headers: dict[str, str]
    body: bytes
    status: int = 0
    fault: str | None = None
    sent: int = 0

    def uploads(self) -> list[Upload]:
        """What the body holds: files without their base64, and the rest as it came."""
        if not self.body:
            return []
        found = [Upload(self.kind, self.kind, self.body)] if self.kind != "commit" else []
        try:
            if self.kind == "commit":
                for line in self.body.splitlines():
                    found += self._entry(json.loads(line))
            elif self.kind == "preupload":
                files = json.loads(self.body)["files"]
                found += [Upload(self.kind, file["path"], base64.b64decode(file["sample"])) for file in files]
        except (ValueError, KeyError, TypeError):
            return [Upload(self.kind, self.kind, self.body)]
        return found

    def _entry(self, entry: dict) -> list[Upload]:
        key, value = entry["key"], entry["value"]
        if key == "file":
            return [Upload(self.kind, value["path"], base64.b64decode(value["content"]))]
        return [Upload(self.kind, value.get("path", key), json.dumps(value).encode())]

"""The calls that change nothing: who, info, trees, refs, commits, files."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import parse_qs

from . import cards
from .answers import Answer, Call, Refusal
from .repository import Blob, Commit, Repository
from .state import State


def whoami(state: State, call: Call) -> Answer:
    if call.account is None:
        raise Refusal(401, "Invalid username or password.")
    account = call.account
    organisations = [
        {"type": "org", "name": name, "roleInOrg": account.roles.get(name, "write")} for name in account.organisations
    ]
    token: dict[str, Any] = {"displayName": "local", "role": account.role}
    if account.role == "fineGrained":
        types = {account.user: "user", **dict.fromkeys(account.organisations, "org")}
        scoped = [
            {"entity": {"_id": "0", "type": types.get(name, "model"), "name": name}, "permissions": list(permissions)}
            for name, permissions in account.scopes.items()
        ]
        token["fineGrained"] = {"canReadGatedRepos": False, "global": [], "scoped": scoped}
    return Answer.of_json(
        {
            "type": "user",
            "name": account.user,
            "fullname": account.user,
            "orgs": organisations,
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


def validate_yaml(state: State, call: Call) -> Answer:
    content = str(call.json().get("content", ""))
    errors = [{"message": message} for message in cards.problems(content)]
    head, _ = cards.read_head(content)
    warnings = [] if head or errors else [{"message": "empty or missing yaml metadata in repo card"}]
    return Answer.of_json({"errors": errors, "warnings": warnings}, 400 if errors else 200)


def auth_check(state: State, call: Call) -> Answer:
    """Whether whoever calls may read the repository, or write to it."""
    if call.parts.get("write"):
        state.writable(call)
    else:
        state.readable(call)
    return Answer.of_json({})


def info(state: State, call: Call) -> Answer:
    repository = state.readable(call)
    commit = state.commit_of(repository, call.parts.get("revision") or "main")
    head: dict[str, Any] = {}
    if "README.md" in commit.files:
        head, _ = cards.read_head(commit.files["README.md"].content.decode("utf-8", "replace"))
    known = {
        "_id": hashlib.sha1(repository.id.encode()).hexdigest()[:24],
        "id": repository.id,
        "author": repository.namespace,
        "sha": commit.sha,
        "createdAt": repository.history(commit)[-1].date,
        "lastModified": commit.date,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": cards.tags(head),
        "siblings": [_sibling(path, blob, call.asks_for("blobs")) for path, blob in sorted(commit.files.items())],
    }
    if head:
        known["cardData"] = head
    if repository.type == "model":
        known["modelId"] = repository.id
        known |= {name: head[name] for name in ("library_name", "pipeline_tag", "model-index") if name in head}
    return Answer.of_json(known)


def _sibling(path: str, blob: Blob, with_blobs: bool) -> dict[str, Any]:
    if not with_blobs:
        return {"rfilename": path}
    found: dict[str, Any] = {"rfilename": path, "size": len(blob.content), "blobId": blob.oid}
    if blob.lfs:
        found["lfs"] = {"sha256": blob.sha256, "size": len(blob.content), "pointerSize": len(blob.pointer)}
    return found


def tree(state: State, call: Call) -> Answer:
    repository = state.readable(call)
    commit = state.commit_of(repository, call.parts["revision"])
    folder = (call.parts.get("path") or "").strip("/")
    prefix = f"{folder}/" if folder else ""
    if folder and not any(path.startswith(prefix) for path in commit.files):
        raise Refusal(404, f"{folder} does not exist on {call.parts['revision']!r}", "EntryNotFound")
    inside = {path for path in _all_paths(commit) if path.startswith(prefix) and path != folder}
    if not call.asks_for("recursive"):
        inside = {path for path in inside if "/" not in path[len(prefix) :]}
    return Answer.of_json([_entry(repository, commit, path, call.asks_for("expand")) for path in sorted(inside)])


def paths_info(state: State, call: Call) -> Answer:
    repository = state.readable(call)
    commit = state.commit_of(repository, call.parts["revision"])
    if "json" in call.headers.get("content-type", ""):
        wanted, expand = call.json().get("paths", []), bool(call.json().get("expand"))
    else:
        form = parse_qs(call.body.decode())
        wanted, expand = form.get("paths", []), form.get("expand", [""])[0].lower() == "true"
    known = _all_paths(commit)
    return Answer.of_json([_entry(repository, commit, path, expand) for path in wanted if path in known])


def _all_paths(commit: Commit) -> set[str]:
    """The files and the folders that they lie in."""
    found = set(commit.files)
    for path in commit.files:
        pieces = path.split("/")
        found |= {"/".join(pieces[:count]) for count in range(1, len(pieces))}
    return found


def _entry(repository: Repository, commit: Commit, path: str, expand: bool) -> dict[str, Any]:
    blob = commit.files.get(path)
    if blob is None:
        files = sorted(f"{name} {one.oid}" for name, one in commit.files.items() if name.startswith(f"{path}/"))
        oid = hashlib.sha1("\n".join(files).encode()).hexdigest()
        entry: dict[str, Any] = {"type": "directory", "oid": oid, "size": 0, "path": path}
    else:
        entry = {"type": "file", "oid": blob.oid, "size": len(blob.content), "path": path}
        if blob.lfs:
            entry["lfs"] = {"oid": blob.sha256, "size": len(blob.content), "pointerSize": len(blob.pointer)}
    if expand:
        last = repository.last_change(commit, path)
        entry["lastCommit"] = {"id": last.sha, "title": last.title, "date": last.date}
    return entry


def refs(state: State, call: Call) -> Answer:
    repository = state.readable(call)
    named = {
        kind: [{"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": sha} for name, sha in names.items()]
        for kind, folder, names in (("branches", "heads", repository.branches), ("tags", "tags", repository.tags))
    }
    return Answer.of_json({**named, "converts": [], "pullRequests": []})


def commits(state: State, call: Call) -> Answer:
    repository = state.readable(call)
    newest = state.commit_of(repository, call.parts["revision"])
    return Answer.of_json(
        [
            {
                "id": commit.sha,
                "title": commit.title,
                "message": commit.message,
                "authors": [{"user": commit.author}],
                "date": commit.date,
            }
            for commit in repository.history(newest)
        ]
    )


def resolve(state: State, call: Call) -> Answer:
    """A file. The Hub sends LFS files from elsewhere, by a redirect; here they come from the same address."""
    repository = state.readable(call)
    revision, path = call.parts["revision"], call.parts["path"]
    commit = state.commit_of(repository, revision)
    blob = commit.files.get(path)
    if blob is None:
        raise Refusal(404, f'"{path}" does not exist at {revision!r}', "EntryNotFound", **{"X-Repo-Commit": commit.sha})
    headers = {
        "X-Repo-Commit": commit.sha,
        "ETag": f'"{blob.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'inline; filename="{path.split("/")[-1]}"',
    }
    if blob.lfs:
        headers |= {"X-Linked-ETag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.content))}
    size = len(blob.content)
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", ""))
    if match is None or match.groups() == ("", ""):
        return Answer(200, blob.content, headers)
    first, last = match.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        raise Refusal(416, "The range is not satisfiable", **{"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Answer(206, blob.content[start : end + 1], headers)

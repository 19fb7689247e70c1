"""The calls that change something: repositories, their names, uploads, commits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from . import cards
from .answers import Answer, Call, Refusal
from .repository import Blob, Commit, Repository
from .state import State


def create(state: State, call: Call) -> Answer:
    wanted = call.json()
    if call.account is None:
        raise Refusal(401, "Invalid username or password.")
    namespace = wanted.get("organization") or call.account.user
    key = (wanted.get("type") or "model", f"{namespace}/{wanted['name']}")
    account = state.writer(call, key[1])
    if key[0] not in ("model", "dataset"):
        raise Refusal(400, f"This Hub keeps models and datasets, not a {key[0]!r}")
    folder = "datasets/" if key[0] == "dataset" else ""
    there = {"url": f"{call.endpoint}/{folder}{key[1]}", "name": key[1], "id": key[1]}
    if key in state.repositories:
        return Answer.of_json({"error": f"You already created this {key[0]} repo", **there}, 409)
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    if wanted.get("visibility") is None and wanted.get("private") is None:
        private = namespace in state.private_by_default
    state.repositories[key] = Repository(key[1], key[0], account.user, private)
    return Answer.of_json(there)


def delete(state: State, call: Call) -> Answer:
    wanted = call.json()
    namespace = wanted.get("organization") or (call.account.user if call.account else "")
    parts = {"type": f"{wanted.get('type') or 'model'}s", "id": f"{namespace}/{wanted['name']}"}
    repository, _ = state.writable(Call(**{**vars(call), "parts": parts}))
    del state.repositories[repository.type, repository.id]
    return Answer.of_json({})


def settings(state: State, call: Call) -> Answer:
    repository, _ = state.writable(call)
    wanted = call.json()
    if "visibility" in wanted or "private" in wanted:
        repository.private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    return Answer.of_json({"private": repository.private})


def branch(state: State, call: Call) -> Answer:
    repository, _ = state.writable(call)
    name = call.parts["name"]
    if call.method == "DELETE":
        if repository.branches.pop(name, None) is None:
            raise Refusal(404, f"There is no branch {name!r}", "RevisionNotFound")
        return Answer.of_json({})
    if name in repository.branches:
        raise Refusal(409, f"Reference already exists: {name}")
    start = call.json().get("startingPoint", "main") if call.body else "main"
    repository.branches[name] = state.commit_of(repository, start).sha
    return Answer.of_json({})


def tag(state: State, call: Call) -> Answer:
    repository, _ = state.writable(call)
    name = call.parts["name"]
    if call.method == "DELETE":
        if repository.tags.pop(name, None) is None:
            raise Refusal(404, f"There is no tag {name!r}", "RevisionNotFound")
        return Answer.of_json({})
    wanted = call.json()["tag"]
    if wanted in repository.tags:
        raise Refusal(409, f"Tag already exists: {wanted}")
    repository.tags[wanted] = state.commit_of(repository, name).sha
    return Answer.of_json({})


def preupload(state: State, call: Call) -> Answer:
    """Which files go by LFS, and what the revision has in their places."""
    repository, _ = state.writable(call)
    commit = state.commit_of(repository, call.parts["revision"])
    files = []
    for file in call.json()["files"]:
        known = commit.files.get(file["path"])
        large = file["path"].lower().endswith(state.lfs_suffixes) or file["size"] >= state.lfs_from_bytes
        files.append(
            {
                "path": file["path"],
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": False,
                "oid": known.etag if known else None,
            }
        )
    return Answer.of_json({"files": files, "commitOid": commit.sha})


def lfs_batch(state: State, call: Call) -> Answer:
    """Where to send each object; nothing for those that the repository has already."""
    repository, _ = state.writable(call)
    folder = "datasets/" if repository.type == "dataset" else ""
    objects = []
    for wanted in call.json()["objects"]:
        item: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in repository.lfs_objects:
            secret = state.grant(repository, wanted["oid"], wanted["size"])
            item["actions"] = {
                "upload": {"href": f"{call.endpoint}/lfs-storage/{secret}", "header": {}},
                "verify": {"href": f"{call.endpoint}/{folder}{repository.id}.git/info/lfs/objects/verify"},
            }
        objects.append(item)
    return Answer.of_json({"transfer": "basic", "objects": objects})


def lfs_put(state: State, call: Call) -> Answer:
    """The data themselves. The address is the permission, as with the stores that the Hub uses: no token comes."""
    if call.parts["secret"] not in state.grants:
        raise Refusal(403, "The upload address is not valid")
    repository, sha256, size = state.grants[call.parts["secret"]]
    if len(call.body) != size or hashlib.sha256(call.body).hexdigest() != sha256:
        raise Refusal(400, "The content does not have the announced size and SHA-256")
    repository.lfs_objects[sha256] = call.body
    return Answer()


def lfs_verify(state: State, call: Call) -> Answer:
    repository, _ = state.writable(call)
    wanted = call.json()
    content = repository.lfs_objects.get(wanted["oid"])
    if content is None or len(content) != wanted["size"]:
        raise Refusal(404, f"The object {wanted['oid']} was not uploaded")
    return Answer.of_json({})


def commit(state: State, call: Call) -> Answer:
    repository, account = state.writable(call)
    name = call.parts["revision"]
    if name not in repository.branches:
        raise Refusal(404, f"Invalid rev id: {name}", "RevisionNotFound")
    if call.asks_for("create_pr"):
        raise Refusal(400, "This Hub has no pull requests")
    parent = state.commit_of(repository, name)
    header, files = _changed(repository, parent, list(_lines(call.body)))
    wanted_parent = header.get("parentCommit")
    if wanted_parent and not parent.sha.startswith(wanted_parent):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    made = repository.commit(files, header.get("summary", ""), header.get("description", ""), account.user, name)
    folder = "datasets/" if repository.type == "dataset" else ""
    url = f"{call.endpoint}/{folder}{repository.id}/commit/{made.sha}"
    return Answer.of_json({"success": True, "commitOid": made.sha, "commitUrl": url, "pullRequestUrl": None})


def _lines(body: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in body.splitlines():
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            yield entry["key"], entry["value"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(400, "The body is not lines of JSON with a key and a value") from error


def _changed(
    repository: Repository, parent: Commit, lines: list[tuple[str, dict[str, Any]]]
) -> tuple[dict[str, Any], dict[str, Blob]]:
    """The header of a commit, and the files as they are after it."""
    if not lines or lines[0][0] != "header":
        raise Refusal(400, "The first line must be the header")
    files = dict(parent.files)
    for key, value in lines[1:]:
        path = value.get("path", "")
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise Refusal(400, f"Invalid path {path!r}")
        if key == "file":
            files[path] = Blob(_decoded(value), lfs=False)
        elif key == "lfsFile":
            content = repository.lfs_objects.get(value.get("oid", ""))
            if content is None:
                raise Refusal(400, f"The LFS object of {path!r} was never uploaded: {value.get('oid')}")
            files[path] = Blob(content, lfs=True)
        elif key in ("deletedFile", "deletedFolder"):
            prefix = path.rstrip("/") + "/"
            gone = [name for name in files if (name == path if key == "deletedFile" else name.startswith(prefix))]
            if not gone:
                raise Refusal(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            files = {name: blob for name, blob in files.items() if name not in gone}
        else:
            raise Refusal(400, f"Unknown operation {key!r}")
    changed_card = files.get("README.md")
    if changed_card is not None and changed_card != parent.files.get("README.md"):
        errors = cards.problems(changed_card.content.decode("utf-8", "replace"))
        if errors:
            raise Refusal(400, f"Invalid metadata in README.md: {errors[0]}")
    return lines[0][1], files


def _decoded(value: dict[str, Any]) -> bytes:
    content = value.get("content", "")
    if value.get("encoding") != "base64":
        return str(content).encode()
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise Refusal(400, f"The content of {value['path']!r} is not base64") from error

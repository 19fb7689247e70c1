"""Which call a request is, by method and path, and who handles it."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from . import reading, writing
from .answers import Answer, Call, Refusal
from .state import State

Handler = Callable[[State, Call], Answer]

_ID = "(?P<id>[^/]+/[^/]+)"
_API = f"/api/(?P<type>models|datasets)/{_ID}"
_PAGE = f"/(?:(?P<type>datasets)/)?{_ID}"
_REV = "(?P<revision>[^/]+)"

# (methods, path, kind of call, handler). The first that fits.
_TABLE: list[tuple[str, str, str, Handler]] = [
    ("GET", "/api/whoami-v2", "whoami", reading.whoami),
    ("POST", "/api/validate-yaml", "validate-yaml", reading.validate_yaml),
    ("POST", "/api/repos/create", "create", writing.create),
    ("DELETE", "/api/repos/delete", "delete", writing.delete),
    ("PUT", f"{_API}/settings", "settings", writing.settings),
    ("POST DELETE", f"{_API}/branch/(?P<name>[^/]+)", "branch", writing.branch),
    ("POST DELETE", f"{_API}/tag/(?P<name>[^/]+)", "tag", writing.tag),
    ("POST", f"{_API}/preupload/{_REV}", "preupload", writing.preupload),
    ("POST", f"{_API}/commit/{_REV}", "commit", writing.commit),
    ("POST", f"{_API}/paths-info/{_REV}", "paths-info", reading.paths_info),
    ("GET", f"{_API}(?:/revision/{_REV})?", "info", reading.info),
    ("GET", f"{_API}/tree/{_REV}(?:/(?P<path>.+))?", "tree", reading.tree),
    ("GET", f"{_API}/refs", "refs", reading.refs),
    ("GET", f"{_API}/auth-check(?:/(?P<write>write))?", "auth-check", reading.auth_check),
    ("GET", f"{_API}/commits/{_REV}", "commits", reading.commits),
    ("POST", rf"{_PAGE}\.git/info/lfs/objects/batch", "lfs-batch", writing.lfs_batch),
    ("POST", rf"{_PAGE}\.git/info/lfs/objects/verify", "lfs-verify", writing.lfs_verify),
    ("PUT", "/lfs-storage/(?P<secret>[^/]+)", "lfs-put", writing.lfs_put),
    ("HEAD GET", f"{_PAGE}/resolve/{_REV}/(?P<path>.+)", "resolve", reading.resolve),
]
_ROUTES = [(methods.split(), re.compile(path), kind, handler) for methods, path, kind, handler in _TABLE]
KINDS = tuple(kind for _, _, kind, _ in _TABLE)


def _unknown(state: State, call: Call) -> Answer:
    raise Refusal(404, "This Hub does not know the call")


def find(method: str, path: str) -> tuple[str, dict[str, str], Handler]:
    """The kind of call, the named parts of its path, and its handler; kind "unknown" if there is none."""
    for methods, pattern, kind, handler in _ROUTES:
        match = pattern.fullmatch(path)
        if match and method in methods:
            parts = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
            return kind, parts, handler
    return "unknown", {}, _unknown

"""`python -m tests.hub`: a local Hub to play with, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time

from .clients import settings
from .fixtures import WRITE_TOKEN
from .server import LocalHub


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hub", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--user", default="writer", help="whom the token stands for")
    options = parser.parse_args(argv)
    with LocalHub(options.port) as hub, tempfile.TemporaryDirectory(prefix="hf-home-") as home:
        hub.add_token(WRITE_TOKEN, options.user)
        for name, value in settings(hub, home, WRITE_TOKEN).items():
            print(f"export {name}={value}")
        print(
            "# Set these before the clients are imported. Ctrl-C stops the Hub, which forgets everything.", flush=True
        )
        seen = 0
        while True:
            time.sleep(0.2)
            for request in hub.requests[seen:]:
                print(f"# {request.status or '---'} {request.kind:13} {request.method:6} {request.path}", flush=True)
                seen += 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

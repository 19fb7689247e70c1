"""Asks a page over HTTP what a browser would ask, and what none would."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid


def asked(page, path, data=None, **headers):
    """The status of an answer, its headers, and what it says."""
    request = urllib.request.Request(page.url.rstrip("/") + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode("utf-8", "replace")


def uploaded(page, content, name="x.png"):
    mark = uuid.uuid4().hex
    head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = head + content + f"\r\n--{mark}--\r\n".encode()
    return asked(page, "/gradio_api/upload", body, **{"Content-Type": f"multipart/form-data; boundary={mark}"})


def events_of(page, component):
    """The numbers of the events that take this component."""
    config = json.loads(asked(page, "/config")[2])
    ids = {each["id"] for each in config["components"] if each["props"].get("elem_id") == component}
    assert ids
    return [each["id"] for each in config["dependencies"] if ids & set(each["inputs"])]


def begun_by(page, component):
    """The number of the event that a component begins."""
    config = json.loads(asked(page, "/config")[2])
    ids = {each["id"] for each in config["components"] if each["props"].get("elem_id") == component}
    (found,) = (each["id"] for each in config["dependencies"] if ids & {target[0] for target in each["targets"]})
    return found


def sent(page, event, data):
    """What the page answers to an event that a browser would send; all of the stream."""
    session = uuid.uuid4().hex
    body = json.dumps({"data": data, "fn_index": event, "session_hash": session}).encode()
    status, _, said = asked(page, "/gradio_api/queue/join", body, **{"Content-Type": "application/json"})
    assert status == 200, said
    with urllib.request.urlopen(f"{page.url}gradio_api/queue/data?session_hash={session}", timeout=60) as stream:
        lines = []
        for line in stream:
            lines.append(line.decode())
            if "process_completed" in lines[-1] or "close_stream" in lines[-1]:
                break
    return "".join(lines)


def elements(page):
    """The ids of what is on the page."""
    components = json.loads(asked(page, "/config")[2])["components"]
    return {each["props"]["elem_id"] for each in components if each["props"].get("elem_id")}

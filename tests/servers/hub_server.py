"""A server that takes uploads as the Hugging Face Hub does: repositories, the modes of files, and commits.

    with running() as hub: HF_ENDPOINT=hub.url ...     then hub.repositories["you/feid"].files["README.md"]

    POST /api/repos/create                       GET  /api/{models,datasets}/<repo>
    POST /api/<kind>/<repo>/preupload/main       POST /api/<kind>/<repo>/commit/main        POST /api/validate-yaml

Every file comes inside the commit, none through large file storage.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_test"


@dataclass
class Repository:
    """One repository."""

    kind: str
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    message: str = ""


class Hub:
    """What was uploaded, by repository."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        found = re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/?]+)", self.path.partition("?")[0])
        repository = found and self.hub.repositories.get(found[2])
        if not repository:
            return self.answer(404, {"error": "Repository not found"})
        return self.answer(200, {"id": found[2], "private": repository.private, "siblings": [], "tags": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid credentials"})
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        found = re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/(preupload|commit)/main", path)
        if found is None:
            return self.answer(404, {"error": path})
        if found[3] == "preupload":
            files = [
                {"path": of["path"], "uploadMode": "regular", "shouldIgnore": False} for of in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        repository = self.hub.repositories[found[2]]
        for line in filter(None, body.splitlines()):
            entry = json.loads(line)
            if entry["key"] == "header":
                repository.message = entry["value"]["summary"]
            else:
                repository.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        return self.answer(200, {"commitUrl": f"{self.hub.url}/{found[2]}/commit/0", "commitOid": "0" * 40})

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or 'you'}/{asked['name']}"
        private = bool(asked.get("private") or asked.get("visibility") == "private")
        if name in self.hub.repositories:
            return self.answer(409, {"error": "You already created this repo", "url": f"{self.hub.url}/{name}"})
        self.hub.repositories[name] = Repository(asked.get("type") or "model", private)
        return self.answer(200, {"url": f"{self.hub.url}/{name}", "name": name, "id": "0"})

    def answer(self, status: int, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def running() -> Iterator[Hub]:
    """Serve at a free port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfThisHub", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""A hub on this machine, to which the hub's own library talks."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "c0ffee" + "0" * 34


@dataclass
class FakeHub:
    """The repositories of a hub, and what was asked of it."""

    address: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    cut: str = ""
    """A file whose download fails."""
    part_bytes: int = 0
    """Size of the parts in which large files come; 0 for one piece."""
    refuses_large: bool = False
    """Whether the place for large files answers 403."""
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    """The large files that have come, by their sha256 and by part."""


class Handler(BaseHTTPRequestHandler):
    """The few routes of the hub's API that upload and download need."""

    hub: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, content: Any = b"", status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if path.startswith("/api/models/"):
            repository = "/".join(path.split("/")[3:5])
            if repository not in self.hub.files:
                return self.answer({"error": "none"}, 404, X_Error_Code="RepoNotFound")
            siblings = [{"rfilename": name, "size": len(data)} for name, data in self.hub.files[repository].items()]
            facts = {"id": repository, "sha": COMMIT, "private": self.hub.private[repository], "siblings": siblings}
            return self.answer(facts)
        repository, _, rest = path[1:].partition("/resolve/")
        name = rest.partition("/")[2]
        if name not in self.hub.files.get(repository, {}):
            return self.answer(status=404)
        data = self.hub.files[repository][name]
        if name == self.hub.cut and self.command == "GET":
            return self.answer(b"", 500)
        return self.answer(data, ETag=f'"{hashlib.sha256(data).hexdigest()}"', X_Repo_Commit=COMMIT)

    def read_body(self) -> bytes:
        """Return the body of a request, which may come in chunks."""
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def do_PUT(self) -> None:
        _, _, oid, part = self.path.split("/")
        body = self.read_body()
        if self.hub.refuses_large:
            self.answer(status=403)
            return
        self.hub.parts.setdefault(oid, {})[int(part)] = body
        self.answer(ETag=f'"{part}"')

    def plan_upload(self, oid: str, size: int) -> dict[str, Any]:
        """Say where the parts of a large file go, as git-lfs and the hub agree on it."""
        place = f"{self.hub.address}/lfs/{oid}"
        step = self.hub.part_bytes
        header = (
            {"chunk_size": str(step)} | {str(n + 1): f"{place}/{n}" for n in range(-(-size // step))} if step else {}
        )
        upload = {"href": f"{place}/complete" if step else f"{place}/0", "header": header}
        return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": {"href": f"{place}/verify"}}}

    def take_large_file(self, oid: str) -> bytes:
        """Return a large file that has come, whole."""
        parts = self.hub.parts[oid]
        data = b"".join(parts[number] for number in range(len(parts)))
        assert hashlib.sha256(data).hexdigest() == oid
        return data

    def take_large(self, body: bytes) -> None:
        """Say which files are large, where they go, and whether they have come."""
        request = json.loads(body)
        if "/preupload/" in self.path:
            names = [each["path"] for each in request["files"]]
            modes = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in names}
            self.answer(
                {"files": [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes.items()]}
            )
        elif self.path.endswith("/batch"):
            self.answer({"objects": [self.plan_upload(**each) for each in request["objects"]]})
        else:
            oid, last = self.path.split("/")[2:]
            expected = len(self.hub.parts[oid]) if last == "complete" else len(self.take_large_file(oid))
            found = len(request["parts"]) if last == "complete" else request["size"]
            self.answer({}, 200 if found == expected else 400)

    def do_POST(self) -> None:
        body = self.read_body()
        self.hub.requests.append(f"POST {self.path}")
        if self.path == "/api/repos/create":
            request = json.loads(body)
            name = f"{request['organization']}/{request['name']}"
            if name in self.hub.files:
                return self.answer({"url": f"{self.hub.address}/{name}"}, 409)
            self.hub.files[name], self.hub.private[name] = (
                {},
                request.get("visibility") == "private" or bool(request.get("private")),
            )
            return self.answer({"url": f"{self.hub.address}/{name}"})
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path or "/lfs/" in self.path:
            return self.take_large(body)
        repository = "/".join(self.path.split("/")[3:5])
        files = self.hub.files[repository]
        for line in body.splitlines():
            change = json.loads(line)
            if change["key"] == "file":
                files[change["value"]["path"]] = base64.b64decode(change["value"]["content"])
            elif change["key"] == "lfsFile":
                files[change["value"]["path"]] = self.take_large_file(change["value"]["oid"])
            elif change["key"] == "deletedFile":
                del files[change["value"]["path"]]
        return self.answer({"commitUrl": f"{self.hub.address}/{repository}/commit/{COMMIT}", "commitOid": COMMIT})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The hub; its requests go over this machine's loopback, and no token is sent."""
    from huggingface_hub import constants

    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace("https://huggingface.co", hub.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # it talks to another server, in its own protocol
    monkeypatch.setenv("HF_TOKEN", "hf_" + "s" * 34)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()

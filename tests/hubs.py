"""The hub, played by a server on loopback."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "89abcdef0123456789abcdef0123456789abcdef"
REVISIONS = {"main": COMMIT, "step3000": OLDER, "refs/pr/1": OLDER}


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


class Hub(ThreadingHTTPServer):
    """Serves the models in `folders` (id -> folder), their `older` commit if they have one; ids in `gated` are refused;
    `asked` are the files fetched. With the `token` repositories are made in the folder `new`, and committed to."""

    new: Path
    token = "hf_may_write"

    def __init__(self, folders: dict[str, Path], gated: set[str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folders, self.gated = folders, gated
        self.older: dict[str, Path] = {}
        self.commits: dict[str, str] = {}  # of those whose main is another commit than COMMIT
        self.asked: list[str] = []
        self.private: set[str] = set()
        self.validated: list[str] = []  # cards


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        repo = "/".join(path.removeprefix("/api/models").split("/")[1:3])
        if repo in self.server.gated:
            return self.answer(403, {}, {"X-Error-Code": "GatedRepo"})
        folder = self.server.folders.get(repo)
        if folder is None:
            return self.answer(401, {}, {"X-Error-Code": "RepoNotFound"})
        commit = self.server.commits.get(repo, COMMIT)
        if asked := re.search("/(?:revision|tree|resolve)/([^/]+)", path):
            revision = unquote(asked[1])
            commit = commit if revision == "main" else REVISIONS.get(revision, revision)
            if commit != self.server.commits.get(repo, COMMIT) and (commit != OLDER or repo not in self.server.older):
                return self.answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
            folder = self.server.older[repo] if commit == OLDER else folder
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        names = [file.relative_to(folder).as_posix() for file in files]
        if "/tree/" in path:
            entries = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": sha1(name)}
                for name, file in zip(names, files, strict=True)
            ]
            return self.answer(200, entries)
        if path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in names]
            about = {"id": repo, "sha": commit, "siblings": siblings, "private": repo in self.server.private}
            return self.answer(200, about)
        name = path.split(f"/resolve/{commit}/")[1]
        if name not in names:
            return self.answer(404, {}, {"X-Error-Code": "EntryNotFound"})
        if self.command == "GET":
            self.server.asked.append(name)
        etag = {"ETag": f'"{sha1(name)}"', "X-Repo-Commit": commit}
        return self.answer(200, (folder / name).read_bytes(), etag)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.answer(401 if "Authorization" not in self.headers else 403, {"error": "no"})
        if self.path == "/api/validate-yaml":
            self.server.validated.append(json.loads(content)["content"])
            return self.answer(200, {"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            asked = json.loads(content)
            repo = f"{asked['organization']}/{asked['name']}"
            if repo in self.server.folders:
                return self.answer(409, {"error": "exists", "url": repo})
            self.server.folders[repo] = self.server.new / repo
            (self.server.new / repo).mkdir(parents=True)
            (self.server.new / repo / ".gitattributes").write_text("")
            self.server.private |= {repo} if asked.get("private") or asked.get("visibility") == "private" else set()
            return self.answer(200, {"url": f"http://127.0.0.1:{self.server.server_port}/{repo}"})
        _, _, _, user, name, what, _ = self.path.split("?")[0].split("/")
        repo = f"{user}/{name}"
        if what == "preupload":
            modes = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(content)["files"]]
            return self.answer(200, {"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        for line in map(json.loads, content.splitlines()):
            if line["key"] == "file":
                file = self.server.folders[repo] / line["value"]["path"]
                file.write_bytes(base64.b64decode(line["value"]["content"]))
        self.server.commits[repo] = hashlib.sha1(content).hexdigest()
        where = f"http://127.0.0.1:{self.server.server_port}/{repo}/commit/{self.server.commits[repo]}"
        return self.answer(200, {"success": True, "commitOid": self.server.commits[repo], "commitUrl": where})

    def answer(self, code: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[None]:
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    yield
    hub.shutdown()
    hub.server_close()
    thread.join()


def environment(hub: Hub, home: Path, *, offline: bool = False) -> dict[str, str]:
    """Of a process that talks to this hub, and keeps what it fetches in `home`: its libraries read it once."""
    found = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    address = f"http://127.0.0.1:{hub.server_port}"
    found |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_OFFLINE": str(int(offline))}
    return found | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

"""A hub of models on this machine, as far as its client asks: what a model has, and its files."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789" * 4
GATED = "some/gated"


@contextmanager
def hub(repos, licence="mit", lies=()):
    """Serve `repos`: name -> file -> bytes; yields (environment for its client, paths asked for).

    Of files in `lies` it tells another sha256 than they have.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, body):
            path = self.path.partition("?")[0].strip("/")
            asked.append(path)
            if GATED in path:
                return self.send(403, b"{}", body, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
            if path.startswith("api/models/"):
                name = "/".join(path.split("/")[2:4])
                if name not in repos:
                    return self.send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})
                if "/revision/" in path and path.rpartition("/")[2] not in ("main", COMMIT):
                    return self.send(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
                return self.send(200, json.dumps(self.model(name)).encode(), body)
            name, _, file = path.partition("/resolve/")
            file = file.partition("/")[2]
            if name not in repos:
                return self.send(404, b"", body, {"X-Error-Code": "RepoNotFound"})
            if file not in repos[name]:
                return self.send(404, b"", body, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            data = repos[name][file]
            told = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
            return self.send(200, data, body, told)

        def model(self, name):
            files = [
                {
                    "rfilename": file,
                    "size": len(data),
                    "blobId": hashlib.sha1(data).hexdigest(),
                    "lfs": {"sha256": sha(file, data), "size": len(data), "pointerSize": 134},
                }
                for file, data in repos[name].items()
            ]
            return {"id": name, "modelId": name, "sha": COMMIT, "siblings": files, "cardData": {"license": licence}}

        def send(self, status, data, body, headers=None):
            self.send_response(status)
            for key, value in {"Content-Length": len(data), **(headers or {})}.items():
                self.send_header(key, str(value))
            self.end_headers()
            if body:
                self.wfile.write(data)

    def sha(file, data):
        return hashlib.sha256(data + (b"!" if file in lies else b"")).hexdigest()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        yield {"HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}, asked
    finally:
        server.shutdown()
        server.server_close()

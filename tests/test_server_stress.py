"""A minute of 64 clients, with a new state, one that fails its check, and a client that is killed: all is answered."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import picture
from sealing import seal
from serving import FORM, form_body, open_url
from synced import record, sync
from test_server_command import lines_until, serving

from simsearch.home import Home
from simsearch.search import Searcher
from simsearch.server.opened import digest_now

pytestmark = pytest.mark.slow
SECONDS, CLIENTS = 60, 64

KILLED = """
import socket, sys
while True:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as one:
        one.sendall(b"POST /v1/search HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nContent-Type: application/json\\r\\n"
                    b"Content-Length: 10\\r\\n\\r\\n" + b'{"row": 1}')
        one.recv(100)
"""


def answers(home, pictures):
    """What `simsearch query` says of each picture: (image, row, score to 4 places) of its hits; and of which state."""
    build = Home(home).build("photos")
    with Searcher(build) as searcher:
        found = [[(hit.image, hit.row, round(hit.score, 4)) for hit in searcher.ask(one).hits] for one in pictures]
    return digest_now(build), found


async def client(port, requests, number, end, seen):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    at = number
    while time.monotonic() < end:
        which = at % len(requests)
        at += 1
        writer.write(requests[which])
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        reply = json.loads(body)
        hits = [(hit["image"], hit["row"], round(hit["score"], 4)) for hit in reply.get("hits", ())]
        seen.append((int(head[9:12]), which, reply.get("digest"), hits))
    writer.close()


def test_a_minute_of_64_clients(ours):
    folder, home = ours
    pictures = [path.read_bytes() for path in sorted(folder.rglob("*.png"))]
    requests = []
    for one in pictures:
        body = form_body({}, {"image": one})
        head = f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM['Content-Type']}\r\n"
        requests.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    expected = dict([answers(home, pictures)])
    seen = []
    with serving(home, "--build", "photos", "--port", "0") as process:
        port = int(lines_until(process, "Ctrl+C")[2].rpartition(":")[2].strip("/"))

        def ready():
            with open_url(f"http://127.0.0.1:{port}/readyz", timeout=60) as reply:
                return json.load(reply)

        async def disturb():
            doomed = subprocess.Popen([sys.executable, "-c", KILLED, str(port)])
            await asyncio.sleep(5)
            os.kill(doomed.pid, signal.SIGKILL)
            doomed.wait()
            picture(1, 500).save(folder / "class 1" / "new.png")
            await asyncio.to_thread(sync, home, None, "photos")
            digest, found = await asyncio.to_thread(answers, home, pictures)
            expected[digest] = found
            while (await asyncio.to_thread(ready))["builds"]["photos"] != digest:
                await asyncio.sleep(0.2)
            path = home / "builds" / "photos.json"
            whole = path.read_bytes()
            stages = record(home)["stages"]
            seal(path, {**record(home), "stages": {**stages, "index": {**stages["index"], "digest": "0" * 64}}})
            while "photos" not in (await asyncio.to_thread(ready))["faults"]:
                await asyncio.sleep(0.2)
            path.write_bytes(whole)
            while (await asyncio.to_thread(ready))["faults"]:
                await asyncio.sleep(0.2)

        async def whole():
            end = time.monotonic() + SECONDS
            tasks = [client(port, requests, number, end, seen) for number in range(CLIENTS)]
            await asyncio.gather(disturb(), *tasks)

        asyncio.run(whole())
        assert ready()["faults"] == {}
        assert process.poll() is None
    assert {status for status, *_ in seen} <= {200, 503}
    good = [one for one in seen if one[0] == 200]
    assert len(good) > 0.9 * len(seen)
    assert {state for _, _, state, _ in good} == {*expected}
    assert len(expected) == 2
    for _, which, state, hits in good:
        assert hits == expected[state][which]

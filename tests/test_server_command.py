"""`simsearch serve` on a terminal: what it says, the port it takes, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from commands import ENTRY, PACKAGE
from conftest import run_cli
from serving import open_url, served

from simsearch.server.running import PORT, listen


@contextmanager
def serving(home, *arguments):
    """A `simsearch serve` in a process of its own; killed at the end, if it still runs."""
    command = [*ENTRY, "serve", "--home", str(home), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines_until(process, last):
    found = []
    for line in process.stderr:
        found.append(line.rstrip("\n"))
        if found[-1].startswith(last):
            return found
    raise AssertionError(found)


def test_it_says_where_it_is_answers_and_stops_at_once(built):
    with serving(built[1], "--build", "photos", "--port", "0") as process:
        said = lines_until(process, "Ctrl+C")
        told, ready, page, api, reach, stops = said
        assert re.fullmatch(
            r"photos: 30 images, 3 labels, recall@1 (\.\d{3}|1\.000) \[\.\d{3}, (\.\d{3}|1\.000)\]", told
        )
        assert re.fullmatch(r"Ready in \d+\.\d s", ready)
        address = re.fullmatch(r"  Page     (http://127\.0\.0\.1:\d+)/", page)[1]
        assert api == f"  API      {address}/docs"
        assert reach == "  Only this computer can reach it (--host 0.0.0.0 lets others in, without a password)"
        assert stops == "Ctrl+C stops after the running requests"
        assert open_url(f"{address}/healthz", timeout=10).status == 200
        started = time.perf_counter()
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=60)
        assert (process.returncode, out, rest.strip()) == (0, "", "Stopping")
        assert time.perf_counter() - started < 30


def test_a_busy_port_is_said_or_refused(built):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run_cli("serve", "--home", built[1], "--port", port, check=2)
        assert done.stderr == f"error: port {port} is busy\nhint: leave --port out to get the next free one\n"
    try:
        first = listen("127.0.0.1", PORT)
    except Exception:
        first = None  # somebody has it
    second = listen("127.0.0.1", None)
    assert second.getsockname()[1] > PORT
    second.close()
    if first is not None:
        first.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--build", "fotos"], "no build 'fotos'"), (["--host", "256.1.1.1"], "no host"), (["--port", "65536"], "65536"),
     (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1")],
)  # fmt: skip
def test_what_cannot_be_served_is_one_clear_line(built, arguments, said):
    done = run_cli("serve", "--home", built[1], "--port", "0", *arguments, check=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_other_commands_load_nothing_of_it(built):
    heavy = "{'fastapi', 'uvicorn', 'starlette', 'pydantic', 'torch'} & set(sys.modules)"
    code = f"import sys; from simsearch.cli import main\ntry: main(sys.argv[1:])\nfinally: assert not {heavy}, {heavy}"
    picture = str(built[0] / "class 0" / "01.png")
    for arguments in (["--help"], ["serve", "--help"], ["query", picture, "--home", str(built[1])]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_serving_loads_no_torch(built):
    code = (
        "import sys; sys.modules['torch'] = None; sys.path.insert(0, sys.argv[2])\n"
        "from serving import served\nwith served(sys.argv[1], 'photos') as s: assert s.get('/v1/builds').status == 200"
    )
    tests = os.path.dirname(__file__)
    subprocess.run([sys.executable, "-c", code, str(built[1]), tests], check=True, timeout=60)


def test_running_requests_end_before_it_does(built):
    import threading

    with served(built[1], "photos") as server:
        begun, found = threading.Event(), []
        searcher = server.service.shelf.now().searcher
        ask_row = searcher.ask_row

        def slowly(*arguments):
            begun.set()
            time.sleep(0.5)
            return ask_row(*arguments)

        searcher.ask_row = slowly
        thread = threading.Thread(target=lambda: found.append(server.post("/v1/search", {"row": 1})))
        thread.start()
        assert begun.wait(60)
    thread.join(60)
    assert [reply.status for reply in found] == [200]

"""Load for server.py: clients on kept-alive connections that send bodies in turn; prints rate, seconds and CPU seconds.

Arguments: port, pid of the server, seconds, clients, requests a second of all together (0: as many as are answered),
path, Content-Type, a folder whose files are the bodies.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

port, pid, seconds, clients, wanted, path, kind, folder = sys.argv[1:]
bodies = [file.read_bytes() for file in sorted(Path(folder).iterdir())]
HEAD = "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
requests = [HEAD.format(path, kind, len(body)).encode() + body for body in bodies]
took, failed = [], 0


def cpu_seconds() -> float:
    """User and system seconds of the server so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def client(number: int, end: float, pause: float) -> None:
    """Send one request after the other; with a pause, each at its time, and counted from then."""
    global failed
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    at, due = number * 37, time.perf_counter() + pause * number / int(clients)
    while (started := time.perf_counter()) < end:
        if pause:
            await asyncio.sleep(max(0, due - started))
            started, due = due, due + pause
        writer.write(requests[at % len(requests)])
        at += 1
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        failed += not head.startswith(b"http/1.1 200")
        took.append(time.perf_counter() - started)
    writer.close()


async def run(span: float) -> float:
    """Let all clients send for so many seconds; returns how many it were."""
    pause = int(clients) / float(wanted) if float(wanted) else 0.0
    started = time.perf_counter()
    await asyncio.gather(*(client(number, started + span, pause) for number in range(int(clients))))
    return time.perf_counter() - started


asyncio.run(run(1.0))  # untimed
took.clear()
before = cpu_seconds()
wall = asyncio.run(run(float(seconds)))
used, ordered = cpu_seconds() - before, sorted(took)
found = {"rate": len(took) / wall, "p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)]}
print(json.dumps({**found, "cpu": used / len(took), "requests": len(took), "failed": failed}))

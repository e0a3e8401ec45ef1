"""A server that runs: its socket, its start, and a stop that lets running requests end. Owner of uvicorn."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from fastapi import FastAPI
from uvicorn import Config, Server

from simsearch.errors import SimsearchError
from simsearch.server.limits import Limits
from simsearch.server.protocol import protocol_of
from simsearch.server.service import Service

PORT = 8000
_TRIED = 20  # ports after a busy one
_BACKLOG = 1024
_THRESHOLDS = 50_000, 50, 50  # objects, and rounds of each generation, before garbage is looked for


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens; without a port on 8000, or the next that is free.

    Raises SimsearchError for a port that is busy or not allowed, and for a host that is none of this machine.
    """
    if port is not None:
        return _bound(host, port)
    for tried in range(PORT, PORT + _TRIED):
        try:
            return _bound(host, tried)
        except SimsearchError as error:
            if not isinstance(error, BusyError):
                raise
    raise BusyError(f"the ports {PORT} to {PORT + _TRIED - 1} are busy", hint="--port gives another one")


def settle() -> None:
    """Let Python look for garbage seldom, and not in what was loaded till now: half of a request's waiting was that.

    Measured with digits and 32 clients: 1,261 requests a second in place of 623, 0.72 ms of CPU in place of 1.01.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


class BusyError(SimsearchError):
    """A port that another server has."""


def _bound(host: str, port: int) -> socket.socket:
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SimsearchError(
            f"no host {host!r} is known here: {error}", hint="--host 127.0.0.1 is this computer"
        ) from None
    found = socket.socket(family, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            raise BusyError(f"port {port} is busy", hint="leave --port out to get the next free one") from None
        what = f"cannot listen on {host}, port {port}: {error.strerror}"
        raise SimsearchError(what, hint="--port 8000 needs no rights, and --host 127.0.0.1 is this computer") from None
    found.setblocking(False)
    return found


class Running(Server):
    """A server of uvicorn that says when it is ready, and leaves signals to who runs it."""

    def __init__(self, config: Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer."""
        await super().startup(sockets)
        self._ready()


def config_of(app: FastAPI, limits: Limits) -> Config:
    """Return what uvicorn is told: nothing is logged but what we say, no header is believed of a proxy."""
    return Config(
        app,
        http=protocol_of(limits),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(limits.idle_seconds),
        timeout_graceful_shutdown=int(limits.stop_seconds),
    )


async def run(
    service: Service,
    app: FastAPI,
    listening: socket.socket,
    ready: Callable[[], None],
    stopping: Callable[[int], None],
    beside: Sequence[Callable[[], Coroutine[Any, Any, object]]] = (),
) -> None:
    """Answer requests until SIGINT or SIGTERM, then those that run, and return; a second signal waits for none.

    `ready` is called once it answers, `stopping` with how many requests run. What is `beside` are coroutine functions
    that run as long as it does.
    """
    server = Running(config_of(app, service.limits), ready)

    def stop() -> None:
        if server.should_exit:
            server.force_exit = True
            return
        service.stopping = server.should_exit = True
        stopping(len(server.server_state.tasks))

    loop = asyncio.get_running_loop()
    # Outside of the main thread there are no signals: whoever runs it stops it.
    with suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
    service.stop = stop
    tasks = [loop.create_task(one()) for one in beside]
    try:
        await server.serve(sockets=[listening])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        service.close()

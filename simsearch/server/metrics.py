"""What a server counts of itself, for Prometheus. Owner of prometheus_client."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MEDIA_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = self._registry
        of_route = ("method", "route", "status")
        self.requests = Counter("simsearch_requests", "Requests that were answered", of_route, registry=own)
        self.seconds = Histogram(
            "simsearch_request_seconds", "Seconds of a request", ("route",), buckets=SECONDS, registry=own
        )
        self.waiting = Gauge("simsearch_queue", "Requests that are worked on or wait for it", registry=own)
        self.refused = Gauge("simsearch_refused", "Requests that found the queue full", registry=own)
        self.shared = Gauge("simsearch_shared", "Requests answered by the work for another one", registry=own)
        self.images = Gauge("simsearch_images", "Images that are searched", ("build", "digest"), registry=own)
        self.reloads = Counter("simsearch_reloads", "New states of builds", ("build", "outcome"), registry=own)

    def text(self) -> bytes:
        """Return all of it in Prometheus' own format."""
        return generate_latest(self._registry)


class Counting:
    """Counts the requests that pass."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - started)

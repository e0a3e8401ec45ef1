"""One state of a build, opened and checked: what answers for it, and how many requests use it just now."""

from __future__ import annotations

import json
import threading
from functools import cached_property
from typing import Any

import numpy as np

from simsearch.artifacts import digest_of
from simsearch.embedder.bundle.canaries import check_canaries
from simsearch.embedder.bundle.fingerprint import check_embedder
from simsearch.errors import ArtifactError, SimsearchError
from simsearch.evaluation.details.placed import PLACES, Places, places_of
from simsearch.home import Build, Home
from simsearch.packs import bytes_of
from simsearch.report.reading import report_of
from simsearch.search import Searcher
from simsearch.search.detector import Detector
from simsearch.server.hits import HitTexts

_LENGTH = 12  # characters of a digest, in addresses
_SURE = 0.99  # the least score of an image with itself, by an index that stores it as it is
SYSTEM = "recipe/index"
FEATURES = "features.h5"


def digest_now(build: Build) -> str:
    """Return the digest of what a name stands for: its artifacts, how they are searched, and where its files are."""
    record = build.record
    whole = {"stages": record.stages, "search": record.search.to_json(), "root": record.root, "built": record.built}
    if record.milvus is not None:
        whole["milvus"] = record.milvus
    return digest_of({**whole, "provisional": record.provisional})[:_LENGTH]


class Opened:
    """A build as it was when it was opened; several threads may use it until it is let go of and the last has ended."""

    def __init__(self, build: Build) -> None:
        """Open and check a build: every file by its sha256, its embedder by its canaries, its index by a search.

        Raises ArtifactError, and any other SimsearchError, for one that must not answer.
        """
        self.build, self.name, self.digest = build, build.name, digest_now(build)
        self.users, self._let_go, self._counting = 0, False, threading.Lock()
        self.searcher = Searcher(build, rehash=True, threads=1)
        self.detector: Detector | None = None
        try:
            self.detector = Detector(build) if "defects" in build.record.stages and not build.provisional else None
            self.report: dict[str, Any] | None = None if build.provisional else report_of(build)
            self.doubts = self._doubts()
            self.places = self._checked()
            path = self.searcher.corpus.path
            self.texts = HitTexts(self.address(None, "images"), path, pictures=self.embeds)
        except BaseException:
            self._close()
            raise

    def _checked(self) -> Places | None:
        record, corpus = self.build.record, self.searcher.corpus
        with Home(self.build.home).reading(days=None) as store:
            embedded = store.open("embed", **record.stages["embed"])
            if not self.build.of_vectors:
                trained = store.open("train", **record.stages["train"])
                check_embedder(embedded, "the features", trained, self.name)
                check_canaries(embedded, trained, self.name)
            self._search_once()
            if self.build.provisional:
                return None
            if self.build.pack is not None:
                found = bytes_of(self.build.home, f"builds/{self.name}/{PLACES}")
                return None if found is None else Places.from_bytes(found)
            evaluated = store.open("evaluate", **record.stages["evaluate"])
            measured = store.open("embed", **self.build.measured["embed"])
            return places_of(evaluated, measured, embedded, corpus.searched, corpus.labels)

    def _doubts(self) -> bool:
        """Whether suspects can be told: by labels, a report and the features, which no pack brings."""
        if self.report is None or not self.searcher.labelled:
            return False
        with Home(self.build.home).reading(days=None) as store:
            return FEATURES in store.open("embed", **self.build.measured["embed"]).manifest["files"]

    def _search_once(self) -> None:
        rows = self.searcher.corpus.searched
        if not len(rows):
            raise ArtifactError(f"build {self.name} has no image to find", hint="simsearch sync brings it in step")
        try:
            answer = self.searcher.ask_row(int(rows[0]))
        except SimsearchError as error:
            if self.searcher.stores_vectors:
                raise
            raise ArtifactError(f"build {self.name} cannot be searched: {error.message}", hint=error.hint) from None
        if self.searcher.stores_vectors and (not answer.hits or answer.hits[0].score < _SURE):
            raise ArtifactError(f"build {self.name} does not find its own row {rows[0]}", hint="simsearch index verify")

    def use(self) -> bool:
        """Count one more user; False once it was let go of."""
        with self._counting:
            if self._let_go:
                return False
            self.users += 1
            return True

    def done(self) -> None:
        """Count one user less; the last of one that was let go of closes it."""
        with self._counting:
            self.users -= 1
            last = self._let_go and not self.users
        if last:
            self._close()

    def let_go(self) -> None:
        """Let nobody use it any more; it is closed when its last user has ended."""
        with self._counting:
            last = not self._let_go and not self.users
            self._let_go = True
        if last:
            self._close()

    def _close(self) -> None:
        self.searcher.close()
        if self.detector is not None:
            self.detector.close()

    @property
    def embeds(self) -> bool:
        """Whether it takes pictures."""
        return not self.build.of_vectors

    def address(self, row: int | None, what: str) -> str:
        """Return an address of this state: that of a row's `what`, or of the state's `what`."""
        middle = "" if row is None else f"/images/{row}"
        return f"/v1/builds/{self.name}/{self.digest}{middle}/{what}"

    @cached_property
    def figures(self) -> dict[str, Any] | None:
        """What its report says of the first hit; None where it was not measured."""
        system = ((self.report or {}).get("systems") or {}).get(SYSTEM) or {}
        value = (system.get("recall") or {}).get("1")
        if value is None:
            return None
        interval = ((system.get("intervals") or {}).get("recall") or {}).get("1")
        return {"recall_at_1": {"value": value, "interval": interval, "queries": (self.report or {}).get("queries")}}

    def summary(self) -> dict[str, Any]:
        """Return what `GET /v1/builds` tells of it."""
        searcher, record = self.searcher, self.build.record
        return {
            "name": self.name,
            "digest": self.digest,
            "images": searcher.images,
            "labels": len(self.labels),
            "labelled": searcher.labelled,
            "figures": self.figures,
            "provisional": self.build.provisional,
            "fingerprint": record.stages.get("train", record.stages["embed"])["content"],
            "dim": searcher.dim,
            "built": self.build.when,
            "synced": (record.synced or {}).get("when"),
            "columns": list(searcher.corpus.columns),
            "false_alarms": [{"rate": rate, "score": score} for rate, score in searcher.rates.least_scores().items()],
            "can": {
                "search": self.embeds,
                "vectors": True,
                "same": self.embeds and searcher.rates.least is not None,
                "defects": self.detector is not None,
                "heatmap": self.detector is not None and self.detector.draws,
                "verdict": searcher.labelled and searcher.verdicts.reason is None,
                "map": self.places is not None,
                "max_far": searcher.rates.least is not None,
                "originals": record.root is not None,
                "suspects": self.doubts,
                "duplicates": self.report is not None,
                "report": self.build.page_path.is_file(),
            },
        }

    @cached_property
    def labels(self) -> dict[str, int]:
        """How many images that are searched each label has."""
        return self.searcher.corpus.counts()

    @cached_property
    def labels_body(self) -> bytes:
        """The labels as JSON."""
        found = [{"label": label, "images": count} for label, count in self.labels.items()]
        return json.dumps({"labels": found}).encode()

    @cached_property
    def map_body(self) -> bytes | None:
        """The map as JSON; None without one."""
        if self.places is None:
            return None
        names = list(self.labels)
        numbers = {label: number for number, label in enumerate(names)}
        rows, labels = self.places.drawn.tolist(), self.searcher.corpus.labels
        points = self.places.of(rows).astype(np.float64).round(2).tolist()
        shown = [[row, x, y, numbers.get(labels[row], -1)] for row, (x, y) in zip(rows, points, strict=True)]
        return json.dumps({"labels": names, "points": shown}, allow_nan=False).encode()

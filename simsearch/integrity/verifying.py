"""Is a build what it says it is? Digests, row counts, unit norms, answers compared with exact search, pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from simsearch.artifacts import Artifact, Store
from simsearch.changes.loading import verified
from simsearch.changes.state import MASKED, rows_of
from simsearch.checked import Checked
from simsearch.console import Progress
from simsearch.embedder.bundle.canaries import check_canaries
from simsearch.embedder.bundle.fingerprint import check_embedder
from simsearch.engines.milvus.agreement import K
from simsearch.engines.milvus.place import Place
from simsearch.errors import EngineError, LockedError, MissingError, SimsearchError, SourceError, VectorsError
from simsearch.home import Build
from simsearch.images.records import RecordTable
from simsearch.integrity.answering import BLOCK, compared_answers, open_index
from simsearch.integrity.pictures import pictures
from simsearch.packs import check_pack
from simsearch.report.published import page_fault, report_fault
from simsearch.report.reading import report_of
from simsearch.vectors.agreement import verify
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.normalize import normalize

SEARCHED = ("dataset", "embed", "index")  # what an answer comes from
BACKBONE = "backbone"
MADE_FROM = (
    ("train", BACKBONE),
    ("embed", "train"),
    ("index", "embed"),
    ("evaluate", "index"),
    ("evaluate", "dataset"),
)
SEALED = "its file is sealed and as it was written"
UNSEALED = "its file is unsealed: an older simsearch wrote it; the next command that writes it seals it"
PICTURES, CANARIES, MILVUS = "pictures", "canaries", "milvus"


@dataclass(frozen=True)
class Check:
    """One check: `ok` is None where it could not be made: another said no, or no picture is on this machine.

    `hint` says what to do where features cannot mend it.
    """

    name: str
    ok: bool | None
    words: str
    hint: str | None = None

    def to_json(self, build: str) -> dict[str, Any]:
        """The line of `index verify --json`."""
        return {"build": build, "check": self.name, "ok": self.ok, "detail": self.words}


@dataclass(frozen=True)
class Verified:
    """Every check of a build, and the artifacts that are sound, by the names that the build has for them."""

    checks: list[Check]
    artifacts: dict[str, Artifact]

    @property
    def sound(self) -> bool:
        """Whether no check said no."""
        return all(check.ok is not False for check in self.checks)

    def said_no(self) -> set[str]:
        """Names of the checks that said no."""
        return {check.name for check in self.checks if check.ok is False}


def verify_build(build: Build, progress: Progress | None = None, *, answers_only: bool = False) -> Verified:
    """Check a build from its files to its answers; every file is read, nothing is remembered from before.

    With `answers_only` neither the copies of its report for people nor the pictures, which no answer comes from.

    Raises LockedError while another process writes to the features: what is wrong then cannot be told.
    """
    progress = progress or Progress()
    store = Store(build.home / "artifacts", Checked(None))
    checks: list[Check] = []
    artifacts: dict[str, Artifact] = {}

    def check(name: str, look: Callable[[], str]) -> None:
        try:
            with progress.stage(name, line=False):
                checks.append(Check(name, True, look()))
        except LockedError:
            raise  # nothing is known to be wrong, and nothing to be mended
        except SimsearchError as error:
            checks.append(Check(name, False, error.message))

    def files(name: str, reference: dict[str, str]) -> str:
        artifacts[name] = store.open(name.rpartition("/")[2], **reference)
        sizes = [file["size"] for file in artifacts[name].manifest["files"].values()]
        return f"{len(sizes)} files, {sum(sizes):,} bytes, sha256 as recorded"

    if (pack := build.pack) is not None:
        check("pack", lambda: _pack(pack))
    check("build", lambda: SEALED if build.sealed else UNSEALED)
    for name, reference in _named(build).items():
        check(name, partial(files, name, reference))
    vectors = {name: artifacts[name] for name in SEARCHED if name in artifacts}
    check("inputs", lambda: _inputs(build, artifacts))
    missing = ", ".join(stage for stage in SEARCHED if stage not in vectors)
    if missing or build.pack is not None:
        why = f"{missing} is damaged" if missing else "a pack leaves the features out, which tell"
        checks += [Check(name, None, f"not checked: {why}") for name in ("rows", "norms", "answers")]
    else:
        check("rows", lambda: _rows(build, **vectors))
        check("norms", lambda: _norms(build, **vectors))
        check("answers", lambda: compared_answers(build, artifacts.get("evaluate"), **vectors))
    if build.milvus is not None:
        checks += _milvus(build, build.milvus, artifacts)
    if answers_only:
        pass
    elif build.provisional:
        checks.append(Check("report", None, f"none yet: {'; '.join(build.standing())}"))
    else:
        check("report", lambda: _report(build))
    if not build.of_vectors and {"train", BACKBONE, "embed"} & build.record.stages.keys() <= artifacts.keys():
        checks += _canaries(build, artifacts["train"], artifacts["embed"], progress)
    if build.record.root is not None and not answers_only:
        checks.append(_pictures(build, artifacts.get("dataset"), progress))
    return Verified(checks, artifacts)


def _pack(path: Path) -> str:
    contents = check_pack(path, lambda done, size: None)
    return f"{len(contents.members)} files, {contents.size:,} bytes, each as its list has it"


def _canaries(build: Build, trained: Artifact, embedded: Artifact, progress: Progress) -> list[Check]:
    """No check where the features were made before there were canaries."""
    try:
        with progress.stage(CANARIES, line=False):
            least = check_canaries(embedded, trained, build.name)
    except SimsearchError as error:
        build.named_in(error)
        return [Check(CANARIES, False, error.message, error.hint)]
    told = "pictures kept as they were prepared have the same features here"
    return [] if least is None else [Check(CANARIES, True, f"{told}: least cosine {least:.7f}")]


def _milvus(build: Build, place: Place, artifacts: dict[str, Artifact]) -> list[Check]:
    """Nothing is asked of a server that does not answer for the build."""
    if not place.answers or not {"embed", "index"} <= artifacts.keys():
        why = "embed or index is damaged" if place.answers else f"searches are answered here, not by {place}"
        return [Check(MILVUS, None, f"not checked: {why}")]
    try:
        recall = verified(build, place, artifacts["index"], artifacts["embed"])
    except (EngineError, LockedError, MissingError) as error:
        return [Check(MILVUS, False, error.message, error.hint)]
    return [Check(MILVUS, True, f"{place}: {recall:.4f} of the exact first {K} for a sample of rows")]


def _pictures(build: Build, dataset: Artifact | None, progress: Progress) -> Check:
    if dataset is None:
        return Check(PICTURES, None, "not checked: dataset is damaged")
    try:
        seen = pictures(build, dataset, progress)
    except SourceError as error:
        return Check(PICTURES, False, error.message, error.hint)
    if seen is None:
        return Check(PICTURES, None, f"not checked: none of them is below {build.record.root} on this machine")
    return Check(PICTURES, True, seen)


def _named(build: Build) -> dict[str, dict[str, str]]:
    """What a build names: its stages, and those that its report is about, where a sync made others."""
    stages = build.record.stages
    before = {stage: which for stage, which in (build.record.built or {}).items() if which != stages[stage]}
    return {**stages, **{f"built/{stage}": which for stage, which in before.items()}}


def _inputs(build: Build, artifacts: dict[str, Artifact]) -> str:
    """Index and report were made from the very features and index that the build names."""
    stages, count = build.measured, 0
    for name, source in MADE_FROM:
        found = artifacts.get(name)
        if found is None or source not in stages or found.reference != stages[name]:
            continue  # what a sync made goes on from another state
        if source == BACKBONE and source not in found.manifest["inputs"]:
            continue  # a whole network that began with a trained head
        if found.manifest["inputs"].get(source) != stages[source]:
            raise VectorsError(f"{found.path} was made from another {source} than the build's")
        count += 1
    if "train" in artifacts:
        for name, what in (("embed", "the features"), ("index", "the index")):
            if name in artifacts:
                check_embedder(artifacts[name], what, artifacts["train"], build.name)
    return f"{count} artifacts were made from the ones that the build names"


def _rows(build: Build, dataset: Artifact, embed: Artifact, index: Artifact) -> str:
    images, told = len(RecordTable(dataset.path)), int(dataset.facts["images"])
    with FeatureFile(embed.file("features.h5")) as features:
        rows = features.shape[0]
    ntotal, corpus = open_index(index).ntotal, int(build.record.images)
    masked = len(rows_of(index, MASKED))
    if not images == told == rows or ntotal > rows or ntotal != int(index.facts["ntotal"]) or ntotal - masked != corpus:
        raise VectorsError(
            f"{images:,} images (recorded {told:,}), {rows:,} features, {ntotal:,} rows in the index, "
            f"{corpus:,} in the corpus as the build says"
        )
    return f"{images:,} images, {rows:,} features, {ntotal:,} in the index"


def _norms(build: Build, dataset: Artifact, embed: Artifact, index: Artifact) -> str:
    opened = open_index(index)
    with FeatureFile(embed.file("features.h5")) as features:
        rows = features.shape[0]
        for start, block in zip(range(0, rows, BLOCK), features.blocks(0, rows, BLOCK), strict=True):
            normalize(block, name=lambda row, start=start: f"of row {start + row}")  # type: ignore[misc]
            verify(opened, opened.ntotal, block[: max(0, opened.ntotal - start)], start)
    if not opened.stores_vectors:
        return f"every feature has a direction; {opened.factory} stores codes, whose length means nothing"
    return "every feature has a direction, every row of the index is that of its feature and of length 1"


def _report(build: Build) -> str:
    report = report_of(build)
    if fault := report_fault(build, report) or (page_fault(build, report) if build.listed else None):
        raise VectorsError(fault)
    return f"report.json {'and report.html are those' if build.listed else 'is that'} of the build"

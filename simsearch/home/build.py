"""A named build: `builds/<name>.json` names a set of artifacts; a query reads it and nothing of the recipe."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from simsearch.artifacts import LOCKS, digest_of
from simsearch.checked import DAYS
from simsearch.console import typable
from simsearch.engines.milvus.place import Place
from simsearch.errors import ArtifactError, SimsearchError
from simsearch.home.again import RETRAIN, home_words, retrain_by, word
from simsearch.locks import Lock
from simsearch.vectors.search import Search

BUILD_SCHEMA = 2
UNSEALED = 1  # the schema of files that have no seal: an older simsearch wrote them
FROZEN = "frozen features; the head is still training"  # what is said of a provisional build
STOPPED = "frozen features; the training of its head was stopped"  # and of one that nobody makes whole just now
REPAIR = "index verify"  # how the note in the lock of a build begins which is mended, and not made
VECTORS = "vectors:"  # how the source of a build begins that was imported: it has no embedder and no pictures
SYNCED = ("dataset", "embed", "index")  # the stages that a sync makes

MEDDLED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)  # raised by a file that is none of ours

References = dict[str, dict[str, str]]  # (digest, content) of an artifact, by the name that a build has for it
TYPES = {
    **dict.fromkeys(("source", "when"), str),
    **dict.fromkeys(("root", "command"), str | None),
    **dict.fromkeys(("recipe", "stages"), dict),
    **dict.fromkeys(("built", "synced", "former", "milvus"), dict | None),
    **dict.fromkeys(("labelled", "listed", "provisional"), bool),
    "images": int,
    "pins": list,
}
SYNC_KEYS = {"built", "synced"}  # only a sync leaves them
FIRST_KEYS = {"provisional", "command"}  # only of a build that answers before it is whole
SOME_KEYS = SYNC_KEYS | FIRST_KEYS | {"former", "milvus"}  # only of a build that was switched, or loaded there
KEYS = {"schema", "seal", "search", *TYPES}  # a closed list: a damaged name is none of it
UNSEALED_KEYS = {
    "schema",
    "search",
    "source",
    "root",
    "recipe",
    "labelled",
    "images",
    "stages",
    "when",
    "listed",
    "pins",
}
UNSEALED_KEYS |= SYNC_KEYS


@dataclass(frozen=True)
class Record:
    """What builds/<name>.json holds.

    `listed`: it is shown and may be the newest. `built`: after a sync, the stages that it began with, which the report
    is about; `synced`: when that was, and counts of images by kind. `provisional`: it answers by frozen features, and
    has no figures; `command` goes on with it. `former`: what the build's file held before another build was put in the
    place of this one, whole and sealed, so that it can be put back. `milvus`: its `Place` there.
    """

    recipe: dict[str, Any]
    source: str
    root: str | None
    labelled: bool
    images: int
    search: Search
    stages: References
    listed: bool = True
    when: str = ""
    pins: list[str] = field(default_factory=list)
    built: References | None = None
    synced: dict[str, Any] | None = None
    provisional: bool = False
    command: str | None = None
    former: dict[str, Any] | None = None
    milvus: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Record:
        """Return the record of a build file; an error of MEDDLED for one that is none of ours.

        So is one that was changed after it was written, as its seal tells: sha256 of the canonical JSON of the rest.
        """
        whole = _has_seal(found) if found["schema"] != UNSEALED else found.keys() <= UNSEALED_KEYS
        values = {key: found[key] for key in TYPES if key in found}
        record = cls(search=Search.from_json(found["search"]), **values)
        trained = () if record.source.startswith(VECTORS) else ("train",)
        needed = {"dataset", *trained, "embed", "index", *(() if record.provisional else ("evaluate",))}
        sound = whole and type(found["schema"]) is int and record.search.to_json() == found["search"]
        sound = sound and all(isinstance(value, TYPES[key]) for key, value in values.items())
        sound = sound and dt.datetime.fromisoformat(record.when).tzinfo is not None and needed <= record.stages.keys()
        if record.synced:
            counts = (record.synced[kind] for kind in ("added", "changed", "moved", "deleted"))
            sound = sound and all(isinstance(count, int) for count in counts) and isinstance(record.synced["when"], str)
            sound = sound and record.built is not None and set(SYNCED) <= record.built.keys()
        if record.former is not None:
            sound = sound and "former" not in record.former and cls.from_json(record.former) is not None
        sound = sound and (record.milvus is None or Place.from_json(record.milvus) is not None)
        for reference in [*record.stages.values(), *(record.built or {}).values()]:
            sound = sound and reference.keys() == {"digest", "content"}
            sound = sound and all(isinstance(text, str) and "/" not in text for text in reference.values())
        if not sound:
            raise ValueError("not a build")
        return record

    def to_json(self) -> dict[str, Any]:
        """Return the sealed document; what only some builds have is left out of others."""
        whole = {"schema": BUILD_SCHEMA, **asdict(self), "search": self.search.to_json()}
        whole = {key: value for key, value in whole.items() if value not in (None, False) or key not in SOME_KEYS}
        return {**whole, "seal": digest_of(whole)}


def _has_seal(found: dict[str, Any]) -> bool:
    rest = {key: value for key, value in found.items() if key != "seal"}
    known = found["schema"] == BUILD_SCHEMA and found.keys() | SOME_KEYS == KEYS
    return bool(known and found["seal"] == digest_of(rest))


@dataclass(frozen=True)
class Build:
    """A finished build: its name and what builds/<name>.json holds; `sealed`: whether that file tells damage.

    `pack`: the file that it came in, from which it was unpacked into `home`; it is only read.
    """

    name: str
    home: Path
    record: Record = field(repr=False)
    sealed: bool = True
    pack: Path | None = None

    @property
    def pictures_here(self) -> bool:
        """Whether the folder below which its images are files is on this machine."""
        return self.record.root is not None and Path(self.record.root).is_dir()

    @property
    def place(self) -> str:
        """Where it is, in words: its home or its pack."""
        return f"home {self.home}" if self.pack is None else f"pack {self.pack}"

    @property
    def at(self) -> str:
        """` --home DIR` for commands that make it anew, where they need it; nothing of a pack, made elsewhere."""
        return home_words(self.home) if self.pack is None else ""

    @property
    def path(self) -> Path:
        """The file that names its artifacts."""
        return self.home / "builds" / f"{self.name}.json"

    @property
    def when(self) -> str:
        """When it was built, ISO 8601 with offset."""
        return self.record.when

    @property
    def listed(self) -> bool:
        """Whether it is shown and may be the newest; builds that only serve another one are not."""
        return self.record.listed

    @property
    def provisional(self) -> bool:
        """Whether it answers by frozen features until its head is trained."""
        return self.record.provisional

    def whole(self) -> Build:
        """Return it; ArtifactError where it is provisional, which names the command that goes on."""
        if self.provisional:
            state, then = self.standing()
            raise ArtifactError(
                f"build {self.name} is provisional: {state}", hint=f"{then}; simsearch query answers meanwhile"
            )
        return self

    def standing(self) -> tuple[str, str]:
        """Return what a provisional build answers by, and what makes it whole, in words."""
        if self.at_work:
            return FROZEN, f"wait for simsearch build {self.name}"
        return STOPPED, f"{self.goes_on} goes on"

    @property
    def at_work(self) -> bool:
        """Whether another process writes it just now, as far as that can be told."""
        with suppress(OSError), Lock(self.home / LOCKS / self.name, may_write=False) as lock:
            return lock.busy and not lock.holder.who.startswith(REPAIR)
        return False

    @property
    def goes_on(self) -> str:
        """The command that makes a provisional build whole."""
        return f"{self.record.command or 'the same simsearch build'}{self.at}"

    @property
    def rehash_days(self) -> float:
        """For how many days a query believes a large file after it was hashed whole."""
        days = (self.record.recipe.get("run") or {}).get("rehash_days", DAYS)
        return float(days) if isinstance(days, int | float) else DAYS

    @property
    def of_files(self) -> bool:
        """Whether it was made from a folder or a list, whose files may change."""
        return self.record.source.startswith(("folder:", "table:"))

    @property
    def of_vectors(self) -> bool:
        """Whether it was made from vectors, without images and embedder."""
        return self.record.source.startswith(VECTORS)

    @property
    def report_path(self) -> Path:
        """The report under the build's own name."""
        return self.home / "builds" / self.name / "report.json"

    @property
    def former(self) -> Build | None:
        """What the name stood for before another build was put in its place, where that is kept."""
        if self.record.former is None:
            return None
        return Build(self.name, self.home, Record.from_json(self.record.former))

    @property
    def milvus(self) -> Place | None:
        """Where in Milvus its searched rows are, if anywhere."""
        return None if self.record.milvus is None else Place.from_json(self.record.milvus)

    @property
    def named(self) -> list[tuple[str, str]]:
        """Stage and digest of every artifact that it needs: to answer, to be reported, synced, and switched back."""
        former = self.former
        needed = (*self.record.stages.items(), *self.measured.items())
        own = [(name.rpartition("/")[2], which["digest"]) for name, which in needed]
        return own if former is None else [*own, *former.named]

    @property
    def measured(self) -> References:
        """The stages as they were built, which the report is about; `sync` goes on from them."""
        return {**self.record.stages, **(self.record.built or {})}

    def stands_for(self, record: Record) -> bool:
        """Whether it is what `record` says, be it of another time, or once switched."""
        own = self.record
        since = {key: getattr(own, key) for key in ("when", "pins", "built", "synced", "former", "milvus")}
        return replace(record, **since) == own

    @property
    def page_path(self) -> Path:
        """The report as a page for people, beside it."""
        return self.report_path.with_name("report.html")

    def damaged(self, error: ArtifactError) -> ArtifactError:
        """`error` about an artifact, its hint such that it helps: what a sync made, no build makes anew."""
        hint = error.hint or ""
        if self.pack is not None:
            return error
        if "--repair" in hint:
            return ArtifactError(error.message, hint=hint.replace(" BUILD ", f" {self.name} "))
        if self.of_vectors:
            return ArtifactError(error.message, hint=hint.replace("simsearch build", "simsearch index import"))
        if not self.record.synced:
            return error
        made = ArtifactError(error.message, hint=f"{RETRAIN} makes it anew")
        retrain_by(made, self.retrain())
        return made

    def named_in(self, error: SimsearchError) -> None:
        """Let the hint of an error that says to train any build again say how this one is, where that is known."""
        if self.of_files:
            retrain_by(error, self.retrain())

    def retrain(self, place: str | None = None) -> str:
        """The command that trains it again, by the same settings, on what its folder or list (or `place`) holds."""
        source, rest = place or self.record.source.partition(":")[2], f"--name {self.name} --retrain"
        given: dict[str, Any] = {"dataset": {"source": self.record.source}}
        table = self.record.recipe.get("defects")
        if not table or "defects" not in self.record.stages:
            return f"simsearch build {word(source)} {self._settings(given)}{rest}{self.at}"
        given["defects"] = {key: table[key] for key in ("normal", "method", "false_alarms") if table[key] is not None}
        normal = f"--normal {typable(table['normal'], 'LABEL')} " if table["normal"] is not None else ""
        how = f"{normal}--method {table['method']} --false-alarms {table['false_alarms']:g}"
        return f"simsearch defects fit {word(source)} {how} {self._settings(given)}{rest}{self.at}"

    def _settings(self, given: dict[str, Any]) -> str:
        from simsearch.recipe.again import settings_again  # pydantic, which no query waits for

        asked = settings_again(self.record.recipe, given)
        return "".join(f"--set {typable(one, one.partition('=')[0] + '=VALUE')} " for one in asked)

"""What a digest or a seal is over: changed bytes of a home and of packs are refused, before anything parses them."""

from __future__ import annotations

import hashlib
import json
import zlib
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from campaign.fuzz.files import Files
from campaign.fuzz.mutating import changed, value
from campaign.fuzz.parser import Input, Parser, Wrong
from campaign.fuzz.vectors import ROWS

FACTORIES = ("Flat", "HNSW8", "IVF4,Flat", "SQ8")
DIGEST = "ab" * 32
MEMBERS = {
    f"artifacts/index/{DIGEST}/index.faiss": bytes(range(256)) * 4,
    f"artifacts/index/{DIGEST}/manifest.json": b"{}",
    f"artifacts/train/{DIGEST}/empty": b"",
    "artifacts/left-out.json": b"{}",
    "builds/shelf.json": b'{"a": 1}',
}


def make_home(folder: Path) -> None:
    """Import vectors under several kinds of index."""
    from simsearch.exchange.vectors_in import run_import
    from simsearch.home import Home

    np.save(folder / "x.npy", np.concatenate([ROWS, -ROWS[::-1]] * 2) + np.arange(160, dtype=np.float32)[:, None] / 99)
    for number, factory in enumerate(FACTORIES):
        run_import(str(folder / "x.npy"), Home(folder / "home"), f"b{number}", {"factory": factory})


def make_packs(folder: Path) -> None:
    """Write a pack."""
    from simsearch.packs import write_pack

    sources: dict[str, Any] = {name: (data, None) for name, data in MEMBERS.items()}
    write_pack(folder / "shelf.pack", "shelf", sources, _silent)


class Homes(Files):
    """Answers from every build of a home, or from those whose index or features were changed: as before, or none."""

    def __init__(self, folder: Path, wanted: tuple[str, ...]) -> None:
        super().__init__(folder, lambda path: path.name in wanted or f"{path.parent.name}/" in wanted)
        self._home = self.folder / "home"

    def answer(self, path: Path) -> Any:
        from simsearch.home import Home
        from simsearch.search.searcher import Searcher
        from simsearch.vectors.features import FeatureFile

        home, found = Home(self._home), []
        for build in map(home.build, self._builds(path)):
            with (
                home.reading() as store,
                FeatureFile(store.open("embed", **build.record.stages["embed"]).file("features.h5")) as features,
            ):
                found.append(features.read(0, features.shape[0]).tobytes())
            with Searcher(build) as searcher:
                for answer in searcher.ask_vectors(ROWS[:2]):
                    found.append(repr([(hit.row, hit.score) for hit in answer.hits]).encode())
        return found

    def _builds(self, path: Path) -> list[str]:
        """Return the builds that use a file."""
        names = [one.stem for one in sorted((self._home / "builds").glob("*.json"))]
        if path.parent.name == "builds":
            return [path.stem]
        mine = path.parent.name
        using = [name for name in names if mine in (self._home / "builds" / f"{name}.json").read_text()]
        return using[:1] or names[:1]

    def read(self, given: Input) -> bool:
        path = self.folder / given.kind
        before = self._answers[given.kind]
        path.parent.chmod(0o755)
        path.chmod(0o644)
        path.write_bytes(given.data)
        try:
            if self.answer(path) != before:
                raise Wrong("another answer")
        finally:
            path.write_bytes(self.files[given.kind])
        return True

    def changed(self, chosen: Random) -> Input:
        name = chosen.choice(list(self.files))
        if name.endswith(".json") and chosen.random() < 0.6:
            given = json.loads(self.files[name])
            return Input(name, json.dumps(value(chosen, given), indent=1, sort_keys=True).encode())
        data = self.files[name]
        return Input(name, changed(chosen, data, [data]))


class Strict(Homes):
    """Homes whose numbers are changed, not words that tell nothing: any answer at all is wrong."""

    def read(self, given: Input) -> bool:
        super().read(given)
        raise Wrong("an answer from changed bytes")


class Packs(Files):
    """Checks and unpacks a pack: only with the very bytes that were written, or a list that fits what it lists."""

    def answer(self, path: Path) -> Any:
        import shutil

        from simsearch.packs import check_pack, unpack

        place = self.folder.parent / "unpacked"
        shutil.rmtree(place, ignore_errors=True)
        try:
            contents = check_pack(path, _silent)
            if unpack(path, place / "home", _silent) != contents:
                raise Wrong("two lists of one pack")
        finally:
            outside = [one.name for one in self.folder.parent.iterdir() if one not in (self.folder, place)]
        if outside or sorted(one.name for one in place.iterdir()) != ["home"]:
            raise Wrong(f"something was written outside: {outside}")
        for member in contents.members:
            if hashlib.sha256((place / "home" / member.path).read_bytes()).hexdigest() != member.sha256:
                raise Wrong(f"{member.path} is not what is listed")
        return contents

    def changed(self, chosen: Random) -> Input:
        name = next(iter(self.files))
        if chosen.random() < 0.5:
            return Input(name, changed(chosen, self.files[name]))
        return Input(name, _listed(chosen))

    def read(self, given: Input) -> bool:
        from simsearch.packs import contents_of

        same = super().read(given)
        if not same and given.data[: len(self.files[given.kind])] == self.files[given.kind]:
            raise Wrong("bytes behind the end")
        contents_of(self.folder / given.kind)
        return same


def _listed(chosen: Random) -> bytes:
    """Return a pack whose list says other things, sealed and placed as if its writer had said them."""
    from simsearch.artifacts import canonical_json, digest_of
    from simsearch.packs import Contents, Member, layout

    data = list(MEMBERS.items())
    listed: Any = [[name, len(one), hashlib.sha256(one).hexdigest(), zlib.crc32(one)] for name, one in sorted(data)]
    whole = value(chosen, {"format": 1, "build": "shelf", "members": listed})
    try:
        text = canonical_json({**whole, "seal": digest_of(whole)})
    except (TypeError, ValueError):
        text = json.dumps(whole).encode()
    parts = []
    for name, content in [("pack.json", text), *sorted(data)]:
        parts.append(layout._local(Member(name, len(content), "", zlib.crc32(content))) + content)
    try:
        parts.append(layout.tail_of(Contents("shelf", tuple(Member(*one) for one in whole["members"]))))
    except Exception:  # a list of which there is no tail
        parts.append(layout.tail_of(Contents("shelf", tuple(Member(*one) for one in listed))))
    return b"".join(parts)


def _silent(done: int, whole: int) -> None:
    """Progress that nobody sees."""


PARSERS = (
    Parser("FAISS", make_home, partial(Strict, wanted=("index.faiss",))),
    Parser("features", make_home, partial(Strict, wanted=("features.h5",))),
    Parser("home-JSON", make_home, partial(Homes, wanted=("manifest.json", "builds/"))),
    Parser("packs", make_packs, Packs),
)

"""Another build put in the place of the one that answers, and back again, in one rename each.

What a name stood for is kept in the build's own file, so that no moment has a state without it; the artifacts that it
names stay until another build is made, or switched, under the name. Both are verified first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from simsearch.changes.corpora import check_same_corpus, what_differs
from simsearch.console import Progress
from simsearch.errors import ArtifactError
from simsearch.exchange.vectors_in import import_command
from simsearch.home import Build, Home
from simsearch.home.again import home_words
from simsearch.integrity.verifying import Check, verify_build
from simsearch.pipeline.plan import now
from simsearch.report.publish import publish_again
from simsearch.report.published import page_fault, publish_report, report_fault
from simsearch.report.reading import name_build, report_of

DEFECTS = "defects"


@dataclass(frozen=True)
class Switched:
    """What a switch did: the build as it is now, and whether that is other than before.

    `refused`: the checks that said no, by the name of the build; then nothing was changed. `notes` are sentences.
    """

    build: Build
    changed: bool
    refused: Mapping[str, Sequence[Check]] = field(default_factory=dict)
    notes: Sequence[str] = ()


def switch(home: Home, name: str, other: str, progress: Progress | None = None) -> Switched:
    """Let the build `name` answer by what the build `other` is, once both are verified; `other` stays as it is.

    What was switched already is done, which the same command after a kill relies on. Raises ArtifactError, nothing
    changed, for a build that is missing, damaged or provisional, for two of different corpora (which tells what
    differs), and for one that is the same.
    """
    # Said before the lock is ours: what trains a provisional build is told by who holds it.
    name, other = (home.build(one).whole().name for one in (name, other))
    progress = progress or Progress()
    with home.writing(f"switch {name}", progress):
        before, after = home.build(name).whole(), home.build(other).whole()
        if before.stands_for(replace(after.record, listed=before.listed)):
            if name == other or before.former is None:
                raise ArtifactError(
                    f"{name} and {other} are the same build: there is nothing to switch",
                    hint="simsearch show lists the builds; simsearch build RECIPE --name next makes another",
                )
            _follow(before, home)
            return Switched(before, changed=False)
        check_same_corpus(before, after, home)
        if refused := _refused((before, after), progress):
            return Switched(before, changed=False, refused=refused)
        former = replace(before.record, former=None).to_json()
        record = replace(after.record, listed=before.listed, when=now(), former=former, milvus=None)
        build = name_build(home, name, record)
        _follow(build, home)
        return Switched(build, changed=True, notes=tuple(_lost(before, after)))


def switch_back(home: Home, name: str, progress: Progress | None = None) -> Switched:
    """Let the build `name` answer by what it was before it was switched, once that is verified.

    Raises ArtifactError, nothing changed, for a build that is missing or damaged, or has no former state.
    """
    name, progress = home.build(name).name, progress or Progress()
    with home.writing(f"switch {name}", progress):
        build = home.build(name)
        if (former := build.former) is None:
            if not build.provisional and _follow(build, home):  # killed on the way back, after the rename
                return Switched(build, changed=False)
            raise ArtifactError(
                f"build {name} has no former state: no other build was put in its place, or it is back",
                hint=f"simsearch switch {name} OTHER{home_words(home.path)} puts one there",
            )
        if refused := _refused((former,), progress):
            return Switched(build, changed=False, refused=refused)
        notes = tuple(_out_of_step(build, former, home))
        back = name_build(home, name, former.record)
        _follow(back, home)
        return Switched(back, changed=True, notes=notes)


def _refused(builds: Sequence[Build], progress: Progress) -> dict[str, list[Check]]:
    """Return the checks that say no, by build; its canaries are embedded again among them."""
    found = {build.name: verify_build(build, progress, answers_only=True).checks for build in builds}
    said_no = {name: [check for check in checks if check.ok is False] for name, checks in found.items()}
    return {name: checks for name, checks in said_no.items() if checks}


def _follow(build: Build, home: Home) -> bool:
    """Make what people read under the build's name follow it; return whether something of it did not."""
    report = report_of(build)
    behind = bool(report_fault(build, report))
    publish_report(build, report)
    if build.listed and page_fault(build, report):
        publish_again(build, home.store, import_command(build) or "")
        return True
    return behind


def _lost(before: Build, after: Build) -> Iterator[str]:
    if DEFECTS in before.record.stages and DEFECTS not in after.record.stages:
        yield f"{after.name} has no defect scores, which {before.name} had"

    if any(one.milvus is not None and one.milvus.answers for one in (before, after)):
        yield f"{before.name} is searched here: a collection in Milvus stays with the build that it was loaded for"


def _out_of_step(build: Build, former: Build, home: Home) -> Iterator[str]:
    differs = False
    with suppress(ArtifactError):  # what is left may be damaged: all the more reason to go back
        differs = what_differs(build, former, home) is not None
    if differs:
        way = f"simsearch sync --build {build.name}{home_words(home.path)} brings it in step"
        yield (
            f"Other images were searched meanwhile: {way}"
            if former.of_files
            else "Other images were searched meanwhile"
        )

"""The first answer: a build that does not stand yet is searched by its frozen features while its head is trained.

Its file is an ordinary one that says so, and gives way to the whole build in the usual way. What it names beyond the
artifacts of that build is an index of the frozen features, which belongs to no build from then on.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from simsearch.errors import ArtifactError, VectorsError
from simsearch.home import Home, Record
from simsearch.home.again import home_words
from simsearch.pipeline.plan import Plan, now
from simsearch.recipe import tables
from simsearch.stages.common import Data, Frozen
from simsearch.stages.index import index

MOST_BYTES = 1 << 30  # of an index that serves for the time of a training


def first_stages(plan: Plan, name: str, data: Data, frozen: Frozen, table: tables.Index) -> Plan | None:
    """Return a plan that holds the stages of a provisional build, exact search over the frozen features.

    None where a whole build of that name stands, where the index would be large, and where there can be none: features
    that have no direction may be trained on, and an index that is damaged is none that the build needs.
    """
    if not _lacks(plan.home, name) or 4 * int(data.facts["images"]) * int(frozen.embedded.facts["dim"]) > MOST_BYTES:
        return None
    stages = {"dataset": data.artifact, "train": frozen.trained, "embed": frozen.embedded}
    stages |= {"backbone": frozen.backbone} if frozen.backbone else {}
    made = replace(plan, heading=[], ran=[], stages=stages)
    with suppress(VectorsError, ArtifactError):
        made.make(replace(index(data, frozen.embedded, table_of(table)), quick=True))
        return made
    return None


def table_of(table: tables.Index) -> tables.Index:
    """Return [index] of a provisional build: nothing is chosen or trained for the time of a training."""
    return tables.Index(factory="Flat", corpus=table.corpus)


def name_first(plan: Plan, name: str, record: Record) -> None:
    """Let the name stand for a provisional build, and say how it is asked."""
    home = plan.home
    if not (home.has_build(name) and home.build(name).stands_for(record)):
        home.write_build(name, replace(record, when=now()))
    command = f"simsearch query IMAGE --build {name}{home_words(home.path)}"
    plan.progress.say(f"Searchable now, by frozen features: {command}")


def _lacks(home: Home, name: str) -> bool:
    return not home.has_build(name) or home.build(name).provisional

"""What a sync does to defect scores: they are fitted again, on the normal images that are there now."""

from __future__ import annotations

from simsearch.artifacts import Artifact
from simsearch.home import SYNCED, Build, Record
from simsearch.home.build import References
from simsearch.images.sources.source import FileSource
from simsearch.pipeline.plan import Plan

DEFECTS = "defects"


def refitted(plan: Plan, build: Build, stages: dict[str, Artifact], source: FileSource) -> dict[str, Artifact]:
    """Return the defects artifact of the next state, where the build has one; its embedder stays.

    Raises VectorsError, as a fit does, where too few normal images are left.
    """
    if DEFECTS not in build.record.stages:
        return {}
    from simsearch.recipe.defects import Defects
    from simsearch.stages.common import Data
    from simsearch.stages.defects import defects

    recipe = build.record.recipe
    table, learned = Defects(**recipe[DEFECTS]), bool(recipe["training"]["epochs"])
    data = Data(stages["dataset"], source.reader())
    return {DEFECTS: plan.make(defects(data, stages["train"], stages["embed"], table, learned=learned))}


def as_built(record: Record) -> References:
    """Return the stages that a sync makes anew, as they were built: the report is about them."""
    return {stage: record.stages[stage] for stage in (*SYNCED, DEFECTS) if stage in record.stages}

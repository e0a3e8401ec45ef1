"""The index and evaluate stages in a plan: which settings enter their addresses, what they are made from."""

from __future__ import annotations

from typing import Any

from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress, safe, say
from simsearch.pipeline.plan import Plan, References
from simsearch.stages.common import Data
from simsearch.vectors.search import Search

TARGET = ("target_recall", "max_bytes", "max_build_seconds")


def index_settings(table: dict[str, Any]) -> dict[str, Any]:
    """What of [index] enters the address of an index: a factory, or a target with its limits, and the corpus."""
    keys = ("factory",) if table.get("target_recall") is None else TARGET
    return {key: table[key] for key in (*keys, "corpus")}


def search_settings(table: dict[str, Any], index: Artifact) -> dict[str, Any]:
    """What an index is searched with: as chosen by measuring, or as [index] says; None is FAISS's default."""
    return Search.from_json({**table, **index.facts.get("search", {})}).to_json()


def index_inputs(data: Data, embedded: Artifact) -> References:
    """What an index is made from: the rows of the data, and their features."""
    return {"dataset": data.view("rows"), "embed": embedded.reference}


def refuse_factory(factory: str | None, dim: int, rows: int) -> None:
    """Raise VectorsError for a factory that no index of `rows` x `dim` can be built by: before anything is trained."""
    if factory not in (None, "Flat"):
        from simsearch.vectors.index import check_factory

        check_factory(str(factory), dim, rows)


def ensure_index(plan: Plan, data: Data, embedded: Artifact, table: dict[str, Any]) -> Artifact:
    """The index artifact over `embedded`, made now if it is missing or stale; `table` is [index]."""
    settings = index_settings(table)

    def work(space: Workspace, progress: Progress) -> tuple[dict[str, Any], str]:
        from simsearch.stages.index import make_index

        facts = make_index(space, data, embedded, settings, progress)
        facts["embedder"] = embedded.facts.get("embedder")
        size, chosen = facts["bytes"] / 1024, facts.get("choice")
        if chosen is None:
            return facts, f"{facts['factory']}, inner product on unit vectors, {size:,.0f} KB"
        say(safe(chosen["why"]))
        return facts, f"{facts['factory']}, ann_recall@10 {chosen['ann_recall']:.4f}, {size:,.0f} KB"

    return plan.ensure("index", "Indexed", settings, index_inputs(data, embedded), work)


def ensure_evaluate(
    plan: Plan, name: str, data: Data, features: dict[str, Artifact], index: Artifact, tables: dict[str, Any]
) -> Artifact:
    """The evaluate artifact; `features` by system, `tables` a recipe's [index], [evaluation] and [dataset]."""
    settings = {
        **tables["evaluation"],
        **search_settings(tables["index"], index),
        "few_shot": tables["dataset"]["split"] == "disjoint",
    }
    inputs = {"dataset": data.artifact.reference, "index": index.reference}
    inputs |= {system: artifact.reference for system, artifact in features.items()}

    def work(space: Workspace, progress: Progress) -> tuple[dict[str, Any], str]:
        from simsearch.stages.evaluate import evaluate

        return evaluate(space, name, data, features, index, settings, progress)

    return plan.ensure("evaluate", "Evaluated", settings, inputs, work)

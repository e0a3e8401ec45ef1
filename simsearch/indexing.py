"""The index and evaluate stages in a plan: which settings enter their addresses, what they are made from."""

from __future__ import annotations

from typing import Any

from .artifacts import Artifact, Workspace
from .console import Stage
from .plan import Plan, References
from .stages.common import Data

BUILT_WITH = ("factory", "corpus")
SEARCHED_WITH = ("nprobe", "efSearch")


def index_settings(table: dict[str, Any]) -> dict[str, Any]:
    """What of [index] enters the address of an index; how it is searched does not."""
    return {key: table[key] for key in BUILT_WITH}


def index_inputs(data: Data, embedded: Artifact) -> References:
    """What an index is made from: the rows of the data, and their features."""
    return {"dataset": data.view("rows"), "embed": embedded.reference}


def ensure_index(plan: Plan, data: Data, embedded: Artifact, table: dict[str, Any]) -> Artifact:
    """The index artifact over `embedded`, made now if it is missing or stale; `table` is [index]."""
    settings = index_settings(table)

    def work(space: Workspace, progress: Stage) -> tuple[dict[str, Any], str]:
        from .stages.index import make_index

        facts = make_index(space, data, embedded, settings, progress)
        size = facts["bytes"] / 1024
        return facts, f"{facts['factory']}, inner product on unit vectors, {size:,.0f} KB"

    return plan.ensure("index", "Indexed", settings, index_inputs(data, embedded), work)


def ensure_evaluate(
    plan: Plan, name: str, data: Data, features: dict[str, Artifact], index: Artifact, tables: dict[str, Any]
) -> Artifact:
    """The evaluate artifact; `features` by system, `tables` a recipe's [index], [evaluation] and [dataset]."""
    settings = {
        **tables["evaluation"],
        **{key: tables["index"][key] for key in SEARCHED_WITH},
        "few_shot": tables["dataset"]["split"] == "disjoint",
    }
    inputs = {"dataset": data.artifact.reference, "index": index.reference}
    inputs |= {system: artifact.reference for system, artifact in features.items()}

    def work(space: Workspace, progress: Stage) -> tuple[dict[str, Any], str]:
        from .stages.evaluate import evaluate

        return evaluate(space, name, data, features, index, settings, progress)

    return plan.ensure("evaluate", "Evaluated", settings, inputs, work)

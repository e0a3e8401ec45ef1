"""The builds that stand in a home: does their embedder give the same features by tonight's versions?"""

from __future__ import annotations

from simsearch.console import Progress
from simsearch.embedder.bundle.canaries import check_canaries
from simsearch.errors import SimsearchError
from simsearch.home import Home


def changed_embedders(home: Home, progress: Progress) -> tuple[list[str], list[str]]:
    """Return (what is wrong with builds of a home, what could not be looked at), in a sentence each.

    Their canaries are embedded again: what a query or a sync embeds here must be of one kind with the corpus.
    """
    wrong: list[str] = []
    notes: list[str] = []
    for name in home.build_names():
        progress.tell(f"embedding the canaries of build {name}")
        try:
            with home.reading(days=None) as store:
                build = home.build(name)
                stages = build.record.stages
                if build.of_vectors or not {"train", "embed"} <= stages.keys():
                    continue
                trained, embedded = (store.open(stage, **stages[stage]) for stage in ("train", "embed"))
                try:
                    check_canaries(embedded, trained, name)
                except SimsearchError as error:
                    build.named_in(error)
                    wrong.append(f"{error.message}; {error.hint}")
        except SimsearchError as error:
            notes.append(f"build {name} could not be looked at: {error.message}")
    return wrong, notes

"""Which images got another label by the changes of a source, and where that looks like a slip: then nothing is done."""

from __future__ import annotations

from collections import Counter, defaultdict

from simsearch.changes.compare import Changes
from simsearch.changes.state import State
from simsearch.console import safe, some
from simsearch.errors import SourceError
from simsearch.home import Build
from simsearch.images.sources.source import FileSource

ANEW = "simsearch build --retrain makes it anew by what is there now"


def relabelled(changes: Changes) -> Counter[tuple[str, str]]:
    """Return how many images got another label, by (label of before, label of now)."""
    return Counter((m.old_label, m.now.label) for m in changes.moved if m.old_label != m.now.label)


def labels_in_words(found: Counter[tuple[str, str]], of: str) -> str:
    """Return "16 of them with another label now: c0 -> photos 8, c1 -> photos 8" (`of`: "them"), "" for none."""
    if not found:
        return ""
    kinds = [f"{safe(old)} -> {safe(new)} {count:,}" for (old, new), count in sorted(found.items(), key=_most_first)]
    return f"{found.total():,} of {of} with another label now: {some(kinds)}"


def _most_first(item: tuple[tuple[str, str], int]) -> tuple[int, tuple[str, str]]:
    return -item[1], item[0]


def check_labels(changes: Changes, state: State, source: FileSource, build: Build) -> None:
    """Raise SourceError when the folders mean something else now: that is no correction of single images.

    Either images got another label where they lie (one folder added beside train and test is enough), or several
    labels are gone and became one, as when all folders are moved into another. One that has a new name may be renamed.
    What a file of labels says, or said when the state was made, is a correction.
    """
    mended = state.mended | source.mended.keys()
    others = [
        move
        for move in changes.moved
        if move.old == move.now.image and move.old_label != move.now.label and move.old not in mended
    ]
    if others:
        first = others[0]
        images = "1 image" if len(others) == 1 else f"{len(others):,} images"
        raise SourceError(
            f"{images} of build {build.name} would have another label, as {safe(first.old)} ({safe(first.now.label)}, "
            f"not {safe(first.old_label)}): folders were added or removed beside theirs, and give them another meaning"
            + "".join(f"; {safe(note)}" for note in source.notes[:1]),
            hint=f"put the folders back as they were; {ANEW}",
        )
    for label, old in sorted(_merged(changes, state, source).items()):
        count = sum(move.now.label == label and move.old_label in old for move in changes.moved)
        raise SourceError(
            f"{len(old):,} labels of build {build.name} would become one, {safe(label)}: {some(list(map(safe, old)))} "
            f"({count:,} images moved, and nothing has these labels now); nothing was changed",
            hint=f"put the folders back as they were; where they shall be one label, {ANEW}",
        )


def _merged(changes: Changes, state: State, source: FileSource) -> dict[str, list[str]]:
    """The labels of now that several labels became which nothing has any more, and these, sorted."""
    gone = {state.labels[row] for row in state.rows.values()} - {image.label for image in source.images}
    became: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for move in changes.moved:
        if move.old_label in gone and move.now.image not in source.mended:
            became[move.old_label][move.now.label] += 1
    into: defaultdict[str, list[str]] = defaultdict(list)
    for old, labels in sorted(became.items()):
        (label, count), *_ = labels.most_common(1)
        if 2 * count > labels.total():  # else its images were sorted into others, one by one
            into[label].append(old)
    return {label: old for label, old in into.items() if len(old) > 1}

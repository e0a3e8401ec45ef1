"""Do two builds answer with the same pictures? What their searches may find, compared by name, content and label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simsearch.artifacts import Artifact
from simsearch.changes.state import MASKED, rows_of
from simsearch.console import safe, some
from simsearch.errors import ArtifactError
from simsearch.home import Build, Home
from simsearch.home.again import home_words, word
from simsearch.images.records import read_names
from simsearch.images.sources.urls import is_url

SHOWN = 3  # images that are named of each kind
STAGES = ("dataset", "index")

Corpus = dict[str, tuple[str, str]]  # content and label of each image that can be found


def check_same_corpus(one: Build, other: Build, home: Home) -> None:
    """Raise ArtifactError, which tells what differs, unless both builds search the same images under the same labels.

    Also for a damaged data set or index.
    """
    if differs := what_differs(one, other, home):
        raise ArtifactError(
            f"{one.name} and {other.name} are of different corpora: {differs}", hint=_in_step(one, other)
        )


def what_differs(one: Build, other: Build, home: Home) -> str | None:
    """Return what differs between the corpora of two builds, in words; None where nothing does.

    The names in the words are those of the builds. Raises ArtifactError for a damaged data set or index.
    """
    with home.reading() as store:
        opened = [[store.open(stage, **build.record.stages[stage]) for stage in STAGES] for build in (one, other)]
    first, second = (corpus_of(*artifacts) for artifacts in opened)
    if first == second:
        return None
    both = first.keys() & second.keys()
    kinds = {
        f"only in {one.name}": first.keys() - both,
        f"only in {other.name}": second.keys() - both,
        "with other content": {image for image in both if first[image][0] != second[image][0]},
        "with another label": {image for image in both if first[image][1] != second[image][1]},
    }
    return "; ".join(f"{len(images):,} {kind} ({_named(images)})" for kind, images in kinds.items() if images)


def corpus_of(dataset: Artifact, index: Artifact) -> Corpus:
    """Return the images that a search of an index over a data set can find."""
    images, labels, contents, _ = read_names(dataset.path)
    found = np.setdiff1d(np.arange(int(index.facts["ntotal"])), rows_of(index, MASKED))
    return {images[row]: (contents[row], labels[row]) for row in found.tolist()}


def _named(images: set[str]) -> str:
    return some([safe(image) for image in sorted(images)], SHOWN)


def _in_step(one: Build, other: Build) -> str:
    sources: Sequence[str] = [build.record.source for build in (one, other)]
    if one.of_files and sources[0] == sources[1] and not is_url(sources[0].partition(":")[2]):
        folder = word(sources[0].partition(":")[2])
        return f"simsearch sync {folder} --all{home_words(one.home)} brings both in step with it"
    return f"they were made from {safe(sources[0])} and {safe(sources[1])}: build both from the same images"

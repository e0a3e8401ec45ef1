"""The new and changed images of a source looked at, by a sync and by a look before it: which are set aside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from simsearch.changes.compare import Changes, Found
from simsearch.console import Progress
from simsearch.images.loading import Surveyed, survey
from simsearch.images.quarantine import SetAside
from simsearch.images.sources.source import FileSource, changed


def look_at(source: FileSource, changes: Changes, *, threads: int) -> Iterator[tuple[Found, Surveyed | SetAside]]:
    """Yield each image to be looked at in the order of the source, decoded, or why it is set aside.

    Raises SourceError for one that changed since the changes were looked for.
    """
    fresh = {found.image: found for found in changes.fresh}
    listed = [image for image in source.images if image.image in fresh]
    for seen in survey(replace(source, images=listed), source.reader(), threads=threads):
        found = fresh[seen.image]
        if seen.sha256 and seen.sha256 != found.sha256:
            raise changed(seen.image)
        if seen.thumbnail is None:
            yield found, SetAside(seen.image, seen.reason or "unreadable", seen.sha256)
        else:
            yield found, seen


def unreadable(source: FileSource, changes: Changes, progress: Progress, *, threads: int) -> list[SetAside]:
    """Return all that a sync by these changes will set aside; what is new is looked at as it will."""
    aside = list(changes.set_aside)
    for number, (_, seen) in enumerate(look_at(source, changes, threads=threads), 1):
        if isinstance(seen, SetAside):
            aside.append(seen)
        progress(number, len(changes.fresh))
    return aside

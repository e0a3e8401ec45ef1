"""The dataset stage: every image decoded once, the table with its four flags, what was set aside, thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from simsearch.artifacts import Workspace, digest_of, escaped
from simsearch.console import Progress, safe
from simsearch.errors import SourceError
from simsearch.images.formats.decoding import FIRST
from simsearch.images.formats.formats import EXTRA, missing
from simsearch.images.limits import why_unmeasured, why_untrained
from simsearch.images.loading import survey
from simsearch.images.quarantine import SetAside, write_quarantine
from simsearch.images.records import ImageRecord, write_records
from simsearch.images.sources.source import FileSource, Fingerprint, Source, changed
from simsearch.images.splits import assign
from simsearch.images.tally import Tally, in_words
from simsearch.images.thumbnails import ThumbnailReader, write_thumbnails
from simsearch.recipe.tables import Dataset
from simsearch.stages.common import THREADS
from simsearch.stages.step import Result, Step

VERSION = 1
# Keys that came later: left out where they are not set, so that builds without them keep their addresses.
LATER = {"group", "columns", "follow_links", "machine_folders"}
OF_RULES = {1: 1, 2: 2}  # the version for files, by the rules that pick and decode them


def dataset(
    source: Source, listing: Fingerprint, table: Dataset, *, unseen: Sequence[str] = (), whole: bool = False
) -> Step:
    """Return the step that reads every image of `source`, whose files are those of `listing`.

    `unseen`: labels that are only searched with. `whole`: as if everything were installed that reads pictures.
    """
    digest = digest_of([[escaped(name), *rest] for name, *rest in listing])
    settings = {
        "kind": table.kind if table.kind != "torchvision" else table.source,
        **table.model_dump(include={"options", "split", "test_classes", "exclude", "seed"}),
    }
    if changes := source.decoding.changes():
        settings["decoding"] = changes
    if lacking := [] if whole else missing(image.image for image in source.images):
        settings["without"] = lacking  # once they are installed, it is another data set
    settings |= table.model_dump(include=LATER, exclude_defaults=True)
    if not table.labels:
        settings["labels"] = False
    elif mended := mended_of(source):  # by what it changes, wherever the file lies
        settings["labels"] = digest_of([[escaped(image), escaped(label)] for image, label in sorted(mended.items())])
    if unseen:
        settings["unseen"] = sorted(unseen)
    inputs = {"source": {"digest": digest, "content": digest}}
    version = OF_RULES[source.decoding.rules] if table.of_files else VERSION
    return Step("dataset", "Read", version, settings, inputs, partial(make_dataset, source, listing, table, unseen))


def make_dataset(
    source: Source,
    listing: Fingerprint,
    table: Dataset,
    unseen: Sequence[str],
    space: Workspace,
    progress: Progress,
) -> Result:
    """Write images.csv, quarantine.csv and the thumbnails; returns counts, notes and views.

    Raises SourceError when too many images cannot be used, when they cannot be split, or when a file is not what it
    was when the fingerprint was taken: the artifact's address would promise other bits than it holds.
    """
    expected = source.promised(listing)
    kept, digests, bad = [], [], [SetAside(image, reason) for image, reason in source.rejected]
    listed = {image.image: image for image in source.images}
    tally = Tally()
    with write_thumbnails(space.scratch) as thumbnails:
        for done, found in enumerate(survey(source, source.reader(), threads=THREADS), 1):
            if expected.get(found.image, found.sha256) != found.sha256:
                raise changed(found.image)
            if found.thumbnail is None:
                bad.append(SetAside(found.image, found.reason or "unreadable", found.sha256))
            else:
                kept.append(listed[found.image])
                tally.add(found)
                digests.append(found.sha256)
                thumbnails(found.thumbnail)
            progress(done, len(listed))
    source.check(listing)
    damaged, mend = damaged_of(bad), mending(table.kind)
    if any(one.reason.startswith("no label") for one in damaged):
        mend = f"--set dataset.labels=false builds without labels, or {mend}"
    check_bad(len(damaged), len(kept) + len(damaged), table.max_bad_fraction, damaged, mend)
    if not kept and bad:
        raise SourceError(f"nothing here reads the {len(bad):,} images of {source.title!r}", hint=EXTRA)
    asked = table.model_dump(include={"split", "test_classes", "seed"})
    records, notes = assign(kept, digests, **asked, labelled=source.labelled, unseen=unseen)
    columns = source.columns if isinstance(source, FileSource) else ()
    write_records(space.out, records, groups=table.group is not None, columns=columns)
    # Thumbnails were made in the source's order; the split decides the rows.
    position = {image.image: i for i, image in enumerate(kept)}
    with ThumbnailReader(space.scratch) as unordered, write_thumbnails(space.out) as thumbnails:
        for record in records:
            thumbnails(unordered[position[record.image]])
    write_quarantine(space.out, bad)
    unmeasured, untrained = (why_unmeasured(records), why_untrained(records)) if source.labelled else (None, None)
    no_figures = [] if unmeasured is None else [f"warning: no figures: {unmeasured[0]}; searchable; {unmeasured[1]}"]
    flags, decoded, how = count_flags(records), tally.counts(), source.decoding
    facts = {
        "images": len(records),
        "bad": len(bad),
        **unread_of(bad, damaged),
        "labelled": source.labelled,
        "labels": len({r.label for r in records}) if source.labelled else 0,
        **flags,
        "notes": [*notes, *no_figures, *in_words(decoded)],
        **({} if unmeasured is None else {"unmeasured": unmeasured[0]}),
        **({} if untrained is None else {"untrained": untrained}),
        **({"decoded": decoded} if decoded else {}),
        **({"left_out": source.left_out.to_json()} if table.of_files else {}),
        # How files were decoded, which those of digits and torchvision's sets cannot be otherwise; FIRST had no word.
        **({"decoding": how.to_json()} if how != FIRST and (table.of_files or how.changes()) else {}),
        **mended_fact(source),
        # What training and embedding look at: a renamed image changes the table, but neither of these.
        "views": {
            "train": digest_of([(r.sha256, escaped(r.label), r.fit) for r in records if r.fit or r.val]),
            "measured": digest_of([r.sha256 for r in records if r.fit or not flags["fit"]]),
            "rows": digest_of([flags["gallery"], [r.sha256 for r in records]]),
        },
    }
    return facts, f"{len(records):,} images" + (f", {len(bad):,} set aside (quarantine.csv)" if bad else "")


def mended_of(source: Source) -> dict[str, str]:
    """Return the labels, by image, that a file of labels gives in place of others; none where there is no such file."""
    return source.mended if isinstance(source, FileSource) else {}


def mended_fact(source: Source) -> dict[str, list[str]]:
    """Return the fact of which images have their label of a file of labels, where any has."""
    mended = sorted(map(escaped, mended_of(source)))
    return {"mended": mended} if mended else {}


def count_flags(records: list[ImageRecord]) -> dict[str, int]:
    """Return how many images have each flag, as the facts of a dataset artifact count them."""
    counted = {flag: sum(getattr(record, flag) for record in records) for flag in ("fit", "val", "gallery")}
    return {**counted, "queries": sum(record.query for record in records)}


def mending(kind: str) -> str:
    """Return what to do about images of a kind of source that cannot be used."""
    if kind == "table":
        return "mend or remove these rows (paths start at dataset.root), or raise dataset.max_bad_fraction"
    return "mend or remove them, exclude them with dataset.exclude, or raise dataset.max_bad_fraction"


def damaged_of(bad: list[SetAside]) -> list[SetAside]:
    """Return those that no extra would make readable: what nobody installed is no sign of a damaged disk."""
    return [one for one in bad if EXTRA not in one.reason]


def unread_of(bad: list[SetAside], damaged: list[SetAside]) -> dict[str, int]:
    """Return the fact of how many images only want an extra, where there are any."""
    return {"unread": len(bad) - len(damaged)} if len(bad) > len(damaged) else {}


def check_synced(bad: list[SetAside], live: int, limit: float, *, listed: bool) -> None:
    """Raise SourceError when more than the share `limit` of what a sync finds cannot be used, besides `live` images.

    A sync keeps the recipe that the build was made with, so what it offers is to mend, or to build anew.
    """
    damaged = damaged_of(bad)
    what, exclude = ("these rows", "") if listed else ("them", " or dataset.exclude")
    unlabelled = any(one.reason.startswith("no label") for one in damaged)
    hint = (
        f"mend or remove {what} and sync again (until then the build stays as it is), or simsearch build --retrain "
        f"with another --set dataset.max_bad_fraction{exclude}"
        + ("; simsearch build --retrain --set dataset.labels=false builds without labels" if unlabelled else "")
    )
    check_bad(len(damaged), len(damaged) + live, limit, damaged, hint)


def check_bad(bad: int, total: int, limit: float, examples: list[SetAside], hint: str) -> None:
    """Raise SourceError when more than the share `limit` of the images cannot be used."""
    if total and bad / total > limit:
        first = "; ".join(f"{safe(one.image)}: {safe(one.reason)}" for one in sorted(examples)[:3])
        raise SourceError(
            f"{bad:,} of {total:,} images cannot be used, more than max_bad_fraction = {limit:g} allows"
            + (f" ({first})" if first else ""),
            hint=hint,
        )


def check_usable(facts: dict[str, Any], title: str, *, trains: bool) -> None:
    """Raise SourceError when there is nothing to search with, or nothing to train on though that is asked for."""
    if not facts["queries"]:
        raise SourceError(
            f"{title}: nothing to search with: all {facts['images']:,} images belong to the gallery",
            hint="give at least two images, and a class with two of them where there are labels",
        )
    if facts["labelled"] and trains and not facts["fit"]:
        raise SourceError(
            f"{title}: no image is left to train on",
            hint="--set training.epochs=0 searches by the backbone's own features",
        )

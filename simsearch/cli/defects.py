"""The commands about defects: defects fit, defects score."""

from __future__ import annotations

import sys
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import (
    BAD_INPUT,
    HOME_OPTION,
    JSON_OPTION,
    OK,
    SAID_NO,
    SET_OPTION,
    Commands,
    Number,
    find_home,
    home_words,
)
from simsearch.cli.printing import emit, emit_json, emit_path
from simsearch.console import Shown, safe, say
from simsearch.durable import write_durably

if TYPE_CHECKING:
    from simsearch.arrays import Pixels
    from simsearch.home import Build
    from simsearch.report.defects import Told
    from simsearch.search.detector import Detector, Scored

METHODS = ("auto", "mean", "neighbours", "mahalanobis", "means", "patch")


@click.group(cls=Commands, epilog="Example:  simsearch defects fit good/  &&  simsearch defects score x.jpg")
def defects() -> None:
    """Find defects of kinds that were never seen, from normal images alone."""


@defects.command(epilog="Example:  simsearch defects fit --build tiles --normal Free --false-alarms 0.05")
@click.argument("normal_folder", required=False, metavar="[NORMAL_FOLDER]")
@click.option("--build", "of", metavar="NAME", help="Use recipe and artifacts of the build NAME, and no folder.")
@click.option("--normal", metavar="LABEL", help="The label of the normal images [every image is normal].")
@click.option("--method", type=click.Choice(METHODS), help="How far from normal images is told [auto].")
@click.option(
    "--false-alarms",
    type=Number(0, 1, min_open=True),
    metavar="RATE",
    help="The share of normal images that may be called defective [0.01].",
)
@click.option("--name", metavar="NAME", help="Name of the build that is made [the folder's or build's, -defects].")
@click.option("--retrain", is_flag=True, help="Train on everything that is there, where a build was synced.")
@SET_OPTION
@HOME_OPTION
@JSON_OPTION
def fit(
    normal_folder: str | None,
    of: str | None,
    normal: str | None,
    method: str | None,
    false_alarms: float | None,
    name: str | None,
    retrain: bool,
    settings: tuple[str, ...],
    home: str | None,
    as_json: bool,
) -> None:
    """Learn what normal images look like, and set the threshold of a rate of false alarms by them alone.

    NORMAL_FOLDER holds normal images, or train/good and test/KIND as MVTec has them. What is made is a build, which
    show, evaluate and clean know. Prints the path of its report.
    """
    if (normal_folder is None) == (of is None):
        raise click.UsageError("give NORMAL_FOLDER or --build NAME" + (", not both" if of else ""))
    progress = Shown()
    with progress.stage("Build", line=False) as start:
        start.tell("starting")
        from simsearch.pipeline.defects import fit_defects

        wanted = {"normal": normal, "method": method, "false_alarms": false_alarms}
        place = find_home(home)
        outcome = fit_defects(
            place, normal_folder, of, wanted=wanted, name=name, settings=settings, retrain=retrain, progress=progress
        )
    name, images = outcome.build.name, f"{outcome.build.record.images:,} images"
    if outcome.standing:
        say(outcome.standing)
    elif outcome.ran or outcome.changed:
        say(f"Built {name}: {images}, in {outcome.seconds:.1f} s")
    else:
        say(f"{name} is up to date ({images} checked in {outcome.seconds:.1f} s)")
    for note in outcome.notes:
        say(safe(note))
    told = say_told(outcome.build)
    if as_json:
        emit_json(told.document)
    else:
        emit_path(outcome.build.page_path)
    say(f"Next: simsearch defects score IMAGE --name {name}" + home_words(home))


@defects.command(epilog="Example:  simsearch defects score line/ --json")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER|-")
@click.option(
    "--name", metavar="NAME|PACK", help="The build or pack whose scores are taken [the newest that has some]."
)
@click.option("--heatmap", metavar="DIR", help="Also draw where each picture is unlike normal ones (method patch).")
@click.option("--fail-on-defect", is_flag=True, help="Exit with 1 when a picture is defective.")
@HOME_OPTION
@JSON_OPTION
def score(
    images: tuple[str, ...],
    name: str | None,
    heatmap: str | None,
    fail_on_defect: bool,
    home: str | None,
    as_json: bool,
) -> int:
    """Print how far each picture is from normal ones, and whether that is a defect: one line a picture.

    The p-value says which share of normal pictures scores as much, at most. - takes paths from stdin.
    """
    from simsearch.images.sources.folders import query_files
    from simsearch.search.detector import Detector, with_defects

    with Detector(with_defects(find_home(home), name)) as detector:
        build = detector.build
        say(f"{build.name}: {detector.method}, threshold {detector.threshold:.4g}, {safe(build.place)}")
        lines = (line.removesuffix("\n").removesuffix("\r") for line in sys.stdin or ()) if "-" in images else iter(())
        scored: list[Scored] = []
        failed = 0
        drawn = None if heatmap is None else Drawn(Path(heatmap))
        at_once = 1 if "-" in images else None  # who writes paths one by one wants each answered
        for path, found in detector.each(query_files(images, lines), drawn.draw if drawn else None, threads=at_once):
            if isinstance(found, Exception):
                failed += 1
                if as_json:
                    emit_json({"image": path, "error": found.message})
                say(f"error: {safe(found.message)}")
                say(f"hint: {safe(found.hint)}")
                continue
            scored.append(found)
            if as_json:
                emit_json(found.to_json(path))
            else:
                emit(_line(path, found))
        _say_whole(detector, scored)
        if drawn is not None and scored:
            say(f"Heat maps: {safe(str(drawn.folder))}")
    if failed or not scored:
        return BAD_INPUT
    return SAID_NO if fail_on_defect and any(one.defective for one in scored) else OK


def say_told(build: Build) -> Told:
    """Say what the defect scores of a build mean and how they did; returns it."""
    from simsearch.report.defects import told_of

    told = told_of(build)
    for line in told.words():
        say(safe(line))
    return told


class Drawn:
    """Heat maps, each under the name of its picture, in a folder that is made when the first is drawn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: set[str] = set()

    def draw(self, path: str, picture: Pixels) -> None:
        """Write the picture of one path; of several that have one name, later ones get a number."""
        from simsearch.images.encoding import png_of

        stem = Path(path).stem
        names = (f"{stem}{end}.png" for end in chain([""], (f"-{number}" for number in count(2))))
        name = next(name for name in names if name not in self._names)
        self._names.add(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_durably(self.folder / name, png_of(picture))


def _line(path: str, found: Scored) -> str:
    word = "defective" if found.defective else "normal"
    return f"{word:<9}  score {found.score:.4f}  p {found.p_value:.4f}  {safe(path)}"


def _say_whole(detector: Detector, scored: list[Scored]) -> None:
    """Say how many were defective, and where all of them score otherwise than normal pictures did."""
    from simsearch.defects.conformal import DRIFT

    if len(scored) > 1:
        say(f"{sum(one.defective for one in scored):,} of {len(scored):,} pictures are defective")
    drift = detector.drift(scored)
    if drift is not None and drift < DRIFT:
        say(
            f"warning: these {len(scored):,} pictures score otherwise than the normal ones that set the threshold "
            f"(p {drift:.1g}): many defects, or another light, camera or product"
        )

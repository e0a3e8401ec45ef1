"""A model that somebody brings as an ONNX file, as onnx:FILE."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from simsearch.arrays import Floats
from simsearch.embedder.networks.families.hf import MORE
from simsearch.embedder.networks.family import Brought, Feature, Spec, Theirs
from simsearch.embedder.networks.meant import nearest_to
from simsearch.errors import EmbedderError, near_words
from simsearch.versions import usable_cores

PREFIX = "onnx:"
CHECK = "check the path: --set embedder.backbone=onnx:FILE.onnx"
SECONDS = 10e-3  # of a small vision transformer


def names() -> Collection[str]:
    return ()


def spec(name: str, feature: Feature) -> Spec | None:
    path = Path(name.removeprefix(PREFIX))
    if not path.is_file():
        meant = nearest_to(str(path))
        said, near = near_words(name, meant)
        raise EmbedderError(
            f"{path} is a folder, and no ONNX file{said}" if path.is_dir() else f"no model {path}{said}",
            hint=f"--set embedder.backbone={meant}" if meant else CHECK,
            near=near,
        )
    from simsearch.embedder.networks.published import FILES

    return _spec(name, feature, tuple(map(_stamp, (path, *(path.parent / file for file in FILES)))))


def _stamp(path: Path) -> tuple[int, int] | None:
    status = path.stat() if path.is_file() else None
    return None if status is None else (status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _spec(name: str, feature: Feature, stamps: tuple[tuple[int, int] | None, ...]) -> Spec:
    """Return the backbone; it is read once as long as its file, and those of settings beside it, stay as they are."""
    from simsearch.embedder.networks.onnx_files import describe, files_of, strict
    from simsearch.embedder.networks.published import Unread, read_beside

    path = Path(name.removeprefix(PREFIX))
    model = describe(path)
    own: Mapping[str, Any] = {}
    beside, side = None, None
    try:
        own, beside = read_beside(path)
        side = own.get("size")
    except EmbedderError as error:
        own = Unread(error)  # a recipe that says it all does without
    size = model.side or side or 0  # 0: of any side, which a recipe has to name

    def checked(side: int) -> int:
        if model.side not in (None, side):
            raise EmbedderError(
                f"{path} takes images of {model.side} px alone, seen images.size = {side}",
                hint=f"--set images.size={model.side}, or leave it out",
            )
        return side

    @lru_cache(maxsize=2)
    def width(side: int) -> int:
        try:
            graph = strict(path, checked(side), feature.output, feature.pooling).graph
        except EmbedderError:  # which the bundle for one image at a time may not meet
            graph = strict(path, checked(side), feature.output, feature.pooling, alone=True).graph
        return int(graph.output[0].type.tensor_type.shape.dim[1].dim_value)

    def write(side: int, out: Path, alone: bool) -> None:
        model = strict(path, checked(side), feature.output, feature.pooling, alone=alone)
        out.write_bytes(model.SerializeToString())

    @lru_cache(maxsize=1)
    def as_it_is() -> Callable[[Floats], Floats]:
        from simsearch.embedder.networks.onnx_original import original

        return original(path, feature, usable_cores())

    def features(batch: Floats) -> Floats:
        return as_it_is()(batch)

    def theirs() -> Theirs | None:
        if beside is None or model.channels != 3:
            return None
        from simsearch.embedder.networks.published_transforms import transform_of

        library, prepare = transform_of(beside)
        return Theirs(library, own, prepare, features)

    def files() -> list[Path]:
        # What the settings say is proved where the backbone is made: others are another backbone, even where a recipe
        # says all of their keys itself. Of transformers' own, it may read more files than this one.
        said = [] if beside is None else [beside, *(path.parent / file for file in MORE)]
        return [*files_of(path), *(file for file in said if file.is_file())]

    brought = Brought(PREFIX, files, write, features)
    return Spec(
        name, size, model.channels, width, None, SECONDS, own=own, brought=brought, theirs=theirs, takes_feature=True
    )

"""Masks beside the pictures of a data set: which defective ones have one, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field

from simsearch.arrays import Flags
from simsearch.artifacts import digest_of, escaped
from simsearch.errors import ImageError
from simsearch.images.formats.decoding import PRESENT
from simsearch.images.sources.masks import masks_of
from simsearch.recipe.defects import AUTO, PATCH, Defects
from simsearch.stages.common import Data


@dataclass(frozen=True)
class Masks:
    """The image, its mask and that one's SHA-256 of each row that has one.

    `unlike` says which masks could not be used, and why.
    """

    data: Data
    files: dict[int, tuple[str, str, str]]
    unlike: list[str] = field(default_factory=list)

    @classmethod
    def beside(cls, data: Data, table: Defects) -> Masks:
        """Return the masks of defective images, where `table` may look at places; images are never masks."""
        root = data.reader.root
        if root is None or table.normal is None or table.method not in (AUTO, PATCH):
            return cls(data, {})
        known = {record.image: record for record in data.records()}
        found = masks_of(root, (image for image, record in known.items() if record.label != table.normal))
        files = {}
        for image, mask in found.items():
            if mask not in known:
                try:
                    sha256 = data.reader.sha256(mask)
                except ImageError:
                    sha256 = ""  # it is said when it is to be looked at
                files[known[image].row] = image, mask, sha256
        return cls(data, files)

    def inputs(self) -> dict[str, dict[str, str]]:
        """Return the reference of an input that these are; none where there is no mask."""
        if not self.files:
            return {}
        digest = digest_of(sorted([escaped(image), sha256] for image, _, sha256 in self.files.values()))
        return {"masks": {"digest": digest, "content": digest}}

    def of(self, row: int, height: int, width: int) -> Flags | None:
        """Return where the defects of a picture (height, width) are: what is not black in its mask.

        None where it has no mask, and where that cannot be read or is of another size, which is kept in `unlike`.
        """
        if row not in self.files:
            return None
        _, name, sha256 = self.files[row]
        try:
            pixels = self.data.reader.under(PRESENT).array(name, None, sha256 or None)
        except ImageError as error:
            self.unlike.append(f"{name}: {error.message}")
            return None
        mask: Flags = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0
        if mask.shape != (height, width):
            down, across = mask.shape
            self.unlike.append(f"{name} is {across} x {down} px, its picture {width} x {height} px")
            return None
        return mask

    def warnings(self) -> list[str]:
        """Return what is to be said of masks that could not be used."""
        said = list(dict.fromkeys(self.unlike))
        if not said:
            return []
        masks = "1 mask cannot be compared, nor its picture"
        if len(said) > 1:
            masks = f"{len(said):,} masks cannot be compared, nor their pictures (the first)"
        return [f"warning: {masks}: {said[0]}"]

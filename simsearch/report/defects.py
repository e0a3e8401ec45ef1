"""What a build's defect scores are, in words and as a document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from simsearch.home import Build, Home


@dataclass(frozen=True)
class Told:
    """defects.json of a build."""

    document: dict[str, Any]

    def words(self) -> list[str]:
        """Return lines on the threshold, on how it did, and on what flatters it."""
        one = self.document
        counted, rate = one["calibration"], one["false_alarms"]
        what = "groups" if one["grouped"] else "images"
        how = f"{counted['groups']:,} normal {what}"
        if counted["how"] != "split":
            how += ", each left out in turn (approximate)"
        low, high = one["false_alarms_spread"]
        lines = [
            f"Threshold {one['threshold']:.4g} for a false alarm rate of {_share(rate)}, by {how}; it may come to "
            f"{_share(low)} to {_share(high)} (95 %)"
        ]
        tried = one["test"]
        if tried["normal"]:
            others = f"{_share(tried['false_alarms']['share'])} of {tried['normal']:,} other normal images"
            found = tried["found"]
            more = f", {_share(found['share'])} of {found['images']:,} defective ones" if found else ""
            lines.append(f"Called defective: {others}{more}")
        if "auroc" in tried:
            low, high = tried["interval"]
            kinds = ", ".join(f"{kind} {area['auroc']:.3f}" for kind, area in tried["kinds"].items())
            by_kind = f"; {kinds}" if len(tried["kinds"]) > 1 else ""
            lines.append(f"Image AUROC {tried['auroc']:.3f} [{low:.3f}, {high:.3f}]{by_kind}")
        for key, what in (("seen", "Kinds of which some were seen"), ("unseen", "Kinds never seen")):
            if key in tried:
                low, high = tried[key]["interval"]
                kinds = ", ".join(tried[key]["kinds"])
                lines.append(f"{what} ({kinds}) {tried[key]['auroc']:.3f} [{low:.3f}, {high:.3f}]")
        if pixels := one.get("pixels"):  # a document of an older version does not know
            lines.append(
                f"Pixel AUROC {pixels['auroc']:.3f}, PRO {pixels['pro']:.3f}, by the masks of {pixels['regions']:,} "
                f"defective places in {pixels['pictures']:,} pictures"
            )
        return [*lines, *one["warnings"]]


def told_of(build: Build) -> Told:
    """Return what a build that has defect scores says of them; ArtifactError for a damaged one."""
    found = Home(build.home).store.open("defects", **build.record.stages["defects"])
    return Told(json.loads(found.file("defects.json").read_bytes()))


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"

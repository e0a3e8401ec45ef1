"""Folders that NAS, desktop and cloud systems make among photos: previews, bins, snapshots and databases of their own.

What lies in them is made of the photos beside them, or was thrown away. Those whose names begin with a dot are hidden,
and left out as all that is.
"""

from __future__ import annotations

import re

_NAMES = (
    # NAS: Synology, QNAP, Asustor, TerraMaster, NetApp, Samba, netatalk
    "@eadir|#recycle|#snapshot|@tmp|@database|@sharebin|@sharesnap|@synoresource|@synologydrive|@__thumb|@recycle"
    "|@recently-snapshot|@transcode|@qrecycle|network recycle bin|~snapshot|network trash folder|temporary items"
    "|thevolumesettingsfolder|thefindbycontentfolder"
    # file systems, Windows, macOS, Android
    "|lost+found|lost.dir|$recycle.bin|recycler|recycled|system volume information|msdownld.tmp|__macosx"
    # Nextcloud, ACDSee, FrontPage
    "|files_trashbin|files_versions|[originals]|_vti_cnf"
)
FOLDERS = frozenset(_NAMES.split("|"))
PATTERNS = {
    "*.lrdata": re.compile(r".+\.lrdata"),  # previews of Lightroom
    "*.lrcat-data": re.compile(r".+\.lrcat-data"),
    "found.*": re.compile(r"found\.\d{3}"),  # of chkdsk
    "appdata_*": re.compile(r"appdata_oc\w+"),  # previews of Nextcloud
    "network recycle bin": re.compile(r"network recycle bin \d+"),
}
LIBRARY = re.compile(r".+\.(photoslibrary|photolibrary|migratedphotolibrary|aplibrary)")
PHOTOS = ("originals", "masters")  # what a library of Apple's Photos, iPhoto or Aperture holds that a person put there
# Loose previews, which copies of @eaDir and Windows Media Player leave.
FILES = {
    "SYNOPHOTO_*": re.compile(r"syno(photo|file)_(thumb|film)_\w+\.\w+"),
    "AlbumArt*": re.compile(r"albumart(small|_\{[0-9a-f-]+\}_(large|small))\.jpg"),
    "~$*": re.compile(r"~\$.+"),
}
BEGINNINGS = ("syno", "albu", "~$")


def machine_folder(name: str, parent: str) -> str | None:
    """Return the name by which a folder below one called `parent` is counted, None when no machine made it."""
    lower = name.lower()
    if lower in FOLDERS:
        return name
    if LIBRARY.fullmatch(parent.lower()) and lower not in PHOTOS:
        return "inside of a photo library"
    return next((shown for shown, pattern in PATTERNS.items() if pattern.fullmatch(lower)), None)


def machine_file(name: str) -> str | None:
    """Return the name by which a file is counted, None when no machine made it."""
    lower = name.lower()
    if not lower.startswith(BEGINNINGS):
        return None
    return next((shown for shown, pattern in FILES.items() if pattern.fullmatch(lower)), None)

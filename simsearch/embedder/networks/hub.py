"""Files of models from the Hugging Face hub, into a folder of ours. The only file that knows its client."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simsearch.embedder.networks.kept import offline
from simsearch.errors import EmbedderError, disk_error, first_line

SITE = "https://huggingface.co"
MB = 1e6


@dataclass(frozen=True)
class Offered:
    """A file of the hub: bytes and sha256 where the hub tells them, and the licence of its model."""

    name: str
    size: int | None
    sha256: str | None
    licence: str | None


def address(repo: str, revision: str | None = None) -> str:
    """Return the page of a model."""
    return f"{os.environ.get('HF_ENDPOINT') or SITE}/{repo}" + (f"/tree/{revision}" if revision else "")


def described(name: str, where: str, size: int | None, licence: str | None) -> str:
    """Return a file in words, as they are said before it is downloaded."""
    facts = ([f"{size / MB:.0f} MB"] if size else []) + [f"licence {licence or 'not told'}"]
    return f"{name} ({', '.join(facts)}) from {where}"


def offers(repo: str, revision: str | None, extra: str) -> dict[str, Offered]:
    """Return the files of a model on the hub, by their names; EmbedderError where it cannot be asked."""
    _refuse_offline(repo, revision)
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise missing(repo, "huggingface_hub", extra) from error
    try:
        found = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=30)
    except Exception as error:
        raise _told(error, repo, revision) from error
    card = found.card_data
    licence = None if card is None else card.get("license_name") or card.get("license")
    return {
        file.rfilename: Offered(
            file.rfilename, file.size, file.lfs.sha256 if file.lfs else None, None if licence is None else str(licence)
        )
        for file in found.siblings or ()
    }


def fetch(repo: str, revision: str | None, names: Sequence[str | Offered], folder: Path, extra: str) -> None:
    """Download files of a model into a folder of its own, and hold them to the hashes that the hub told."""
    _refuse_offline(repo, revision)
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise missing(repo, "huggingface_hub", extra) from error
    disable_progress_bars()
    for one in names:
        name, wanted = (one.name, one.sha256) if isinstance(one, Offered) else (one, None)
        try:
            path = Path(hf_hub_download(repo, name, revision=revision, local_dir=folder))
            seen = wanted and _sha256(path)
        except Exception as error:
            raise _told(error, repo, revision) from error
        if seen != wanted:
            path.unlink()
            raise EmbedderError(
                f"{name} of {address(repo, revision)} came with other bytes than the hub names (sha256 {seen})",
                hint="run the same command again",
            )


def missing(model: str, library: str, extra: str) -> EmbedderError:
    """Return the refusal of a model whose library is not installed."""
    return EmbedderError(f"{model} needs {library}, which is not installed", hint=f"pip install 'simsearch[{extra}]'")


def _refuse_offline(repo: str, revision: str | None) -> None:
    if offline():
        raise EmbedderError(
            f"{address(repo, revision)} is not here, and nothing may be downloaded (--offline, HF_HUB_OFFLINE)",
            hint="run the same command once without --offline",
        )


def _told(error: Exception, repo: str, revision: str | None) -> Exception:
    """Return what an error of the hub's client, or of the disk, means to people."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    where = address(repo, revision)
    if full := disk_error(error):
        return full
    if "GatedRepoError" in kinds:
        return EmbedderError(
            f"{where} is gated: its owner wants to know who downloads it",
            hint="accept its terms on that page, and set HF_TOKEN to a token of your account",
        )
    if "RevisionNotFoundError" in kinds:
        return EmbedderError(f"{where}: no such revision", hint="give a branch, a tag or a commit after the @")
    if "RepositoryNotFoundError" in kinds:
        return EmbedderError(
            f"no model {where}, or a private one", hint="check the name, or set HF_TOKEN to a token that may read it"
        )
    if "EntryNotFoundError" in kinds and "LocalEntryNotFoundError" not in kinds:  # the latter: not here, no network
        return EmbedderError(f"{where} lacks a file that is needed: {first_line(error)}", hint="name another model")
    return EmbedderError(
        f"cannot download from {where}: {first_line(error)}",
        hint="check the network and run the same command again; what was finished is kept",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Files of models from the Hugging Face hub, into a folder of ours. The only file that knows its client."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from simsearch.embedder.networks.kept import offline, recalled, remember
from simsearch.errors import EmbedderError, MissingError, disk_error, first_line

SITE = "https://huggingface.co"
CLIENT = "huggingface_hub"
MB = 1e6


@dataclass(frozen=True)
class Offered:
    """A file of the hub: bytes and sha256 where the hub tells them, and the licence of its model."""

    name: str
    size: int | None
    sha256: str | None
    licence: str | None


@dataclass(frozen=True)
class OnTheHub:
    """A model of the hub: its `name` as a user says it, its repository, and the `folder` that its files are put into.

    `revision`: a branch, a tag or a commit; None: the newest. `files`: all that are needed of it. `extra`: what is
    installed for it.
    """

    name: str
    repo: str
    revision: str | None
    folder: Path
    files: tuple[str, ...]
    extra: str

    @property
    def page(self) -> str:
        """Where people read about it."""
        return address(self.repo, self.revision)

    @property
    def by_hand(self) -> str:
        """What is done where it cannot be downloaded."""
        *some, last = self.files
        where = f"at {self.folder / last}" if not some else f"in {self.folder}"
        return f"put {' and '.join([', '.join(some), last] if some else [last])} of that page {where}"


def address(repo: str, revision: str | None = None) -> str:
    """Return the page of a model."""
    return f"{os.environ.get('HF_ENDPOINT') or SITE}/{repo}" + (f"/tree/{revision}" if revision else "")


def described(name: str, where: str, size: int | None, licence: str | None) -> str:
    """Return a file in words, as they are said before it is downloaded."""
    facts = ([f"{size / MB:.0f} MB"] if size else []) + [f"licence {licence or 'not told'}"]
    return f"{name} ({', '.join(facts)}) from {where}"


def offers(model: OnTheHub) -> dict[str, Offered]:
    """Return the files of a model on the hub, by their names; EmbedderError where it cannot be asked."""
    _refuse_offline(model)
    try:
        found = _client(model).HfApi().model_info(model.repo, revision=model.revision, files_metadata=True, timeout=30)
    except Exception as error:
        raise _told(error, model) from error
    card = found.card_data
    licence = None if card is None else card.get("license_name") or card.get("license")
    return {
        file.rfilename: Offered(
            file.rfilename, file.size, file.lfs.sha256 if file.lfs else None, None if licence is None else str(licence)
        )
        for file in found.siblings or ()
    }


def fetch(model: OnTheHub, names: Sequence[str | Offered]) -> None:
    """Download files of a model into a folder of its own, and hold them to the hashes that the hub told."""
    _refuse_offline(model)
    client = _client(model)
    try:
        client.HfApi().model_info(model.repo, revision=model.revision, timeout=30)
    except Exception as error:
        # Downloads are tried again for half a minute, which helps no one whom no server has answered.
        if getattr(error, "response", None) is None:
            raise _told(error, model) from error
    for one in names:
        name, wanted = (one.name, one.sha256) if isinstance(one, Offered) else (one, None)
        try:
            with needing(model.name, CLIENT, model.extra):
                path = Path(client.hf_hub_download(model.repo, name, revision=model.revision, local_dir=model.folder))
            seen = wanted and _sha256(path)
        except Exception as error:
            raise _told(error, model) from error
        if seen != wanted:
            path.unlink()
            raise EmbedderError(
                f"{name} of {model.page} came with other bytes than the hub names (sha256 {seen})",
                hint="run the same command again",
            )


@contextmanager
def needing(model: str, library: str, extra: str) -> Iterator[None]:
    """Let what is within import a library of an extra; MissingError where that, or what it needs itself, fails.

    It decorates functions too. All that a family of models does with its library is within one of these.
    """
    try:
        yield
    except ImportError as error:
        gone = isinstance(error, ModuleNotFoundError) and error.name == library
        why = "which is not installed" if gone else f"which cannot be imported: {first_line(error)}"
        raise missing(model, library, extra, why) from error


def told_by(
    library: str, model: str, extra: str, key: str, sides: Sequence[int], look: Callable[[dict[str, Any] | None], Any]
) -> dict[str, Any]:
    """Return what a library says of a model, remembered under `key`: it takes seconds to load, so it is asked once.

    It is asked again, by `look(what was known)`, for another version of it, and for a side that is not among `widths`.
    Raises EmbedderError where it is needed and not installed.
    """
    try:
        installed = f"{library} {version(library)}"
    except PackageNotFoundError:
        installed = None
    facts = recalled(key, installed)
    if facts is None or any(str(side) not in facts["widths"] for side in sides):
        if installed is None:
            raise missing(model, library, extra)
        with needing(model, library, extra):
            facts = dict(look(facts))
        remember(key, facts)
    return facts


def missing(model: str, library: str, extra: str, why: str = "which is not installed") -> MissingError:
    """Return the refusal of a model whose library cannot be had."""
    return MissingError(f"{model} needs {library}, {why}", hint=f"pip install 'simsearch[{extra}]'")


def _client(model: OnTheHub) -> Any:
    """Return the client of the hub, which is told to write nothing: what matters of it we say ourselves."""
    with needing(model.name, CLIENT, model.extra):
        import huggingface_hub
        from huggingface_hub.utils import disable_progress_bars, logging

        huggingface_hub.HfApi, huggingface_hub.hf_hub_download  # noqa: B018 - which it imports when they are asked for
    disable_progress_bars()
    logging.set_verbosity_error()
    return huggingface_hub


def _refuse_offline(model: OnTheHub) -> None:
    if offline():
        raise EmbedderError(
            f"{model.page} is not here, and nothing may be downloaded (--offline, HF_HUB_OFFLINE)",
            hint="run the same command once without --offline",
        )


def _told(error: Exception, model: OnTheHub) -> Exception:
    """Return what an error of the hub's client, or of the disk, means to people."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    where = model.page
    if isinstance(error, MissingError):
        return error
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
        hint=f"check the network and run the same command again, which keeps what was finished, or {model.by_hand}",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""The hub of models without its client, which a small one stands for: no network, and what is said of it."""

from __future__ import annotations

import sys

import pytest
from test_hf_names import models  # noqa: F401

from simsearch.embedder.networks import hub, kept
from simsearch.embedder.networks.families import download_described
from simsearch.embedder.networks.family import Pretrained, Spec, Weights
from simsearch.embedder.networks.loading import load_weights
from simsearch.errors import EmbedderError

CLIENT = """
import logging, os
from pathlib import Path

log = logging.getLogger("huggingface_hub")


class Answered(Exception):
    response = 503


class HfApi:
    def model_info(self, repo, **options):
        log.warning("Retrying in 1s [Retry 1/5].")
        if os.environ["FAKE_HUB"] == "busy":
            raise Answered("503 Server Error")
        raise ConnectionError("Connection refused")


def hf_hub_download(repo, name, revision, local_dir):
    Path(local_dir, name).write_bytes(b"weights")
    return str(Path(local_dir, name))
"""
UTILS = """
def disable_progress_bars():
    pass


class logging:
    @staticmethod
    def set_verbosity_error():
        import logging

        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
"""


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A client that nobody answers."""
    folder = tmp_path / "site" / "huggingface_hub"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(CLIENT)
    (folder / "utils.py").write_text(UTILS)
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        monkeypatch.delitem(sys.modules, name)
    for name in kept.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("FAKE_HUB", "away")
    monkeypatch.syspath_prepend(folder.parent)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        del sys.modules[name]


def model(folder):
    return hub.OnTheHub("timm:x", "timm/x", None, folder, ("model.safetensors",), "timm")


def test_without_a_network_the_place_is_named_at_once(client, tmp_path, caplog):
    with pytest.raises(EmbedderError) as seen:
        hub.fetch(model(tmp_path), ["model.safetensors"])
    assert seen.value.message == "cannot download from https://huggingface.co/timm/x: Connection refused"
    assert seen.value.hint.endswith(f"or put model.safetensors of that page at {tmp_path / 'model.safetensors'}")
    assert not list(tmp_path.glob("*.safetensors")), "a download would have been tried again and again"
    assert not caplog.records, "what the client has to say is said by us"


def test_a_model_of_which_nothing_is_here(client, models):  # noqa: F811
    with pytest.raises(EmbedderError) as seen:
        download_described("hf:owner/name@v1")
    assert seen.value.message.startswith("cannot download from https://huggingface.co/owner/name/tree/v1: ")
    files = "config.json, preprocessor_config.json and model.safetensors"
    assert seen.value.hint.endswith(f"or put {files} of that page in {models / 'owner' / 'name@v1'}")


def test_a_hub_that_is_busy_is_asked_for_the_file_all_the_same(client, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_HUB", "busy")
    hub.fetch(model(tmp_path), ["model.safetensors"])
    assert (tmp_path / "model.safetensors").read_bytes() == b"weights"


def test_weights_that_their_library_cannot_download(tmp_path):
    def fails():
        raise OSError("urlopen error: no network")

    weights = Weights("x.pth (8 MB) from there", False, fails, tmp_path / "x.pth")
    spec = Spec(
        "toy:x", 8, 3, lambda size: 4, None, 1.0, pretrained=Pretrained((0.5,) * 3, (0.5,) * 3, lambda: weights)
    )
    with pytest.raises(EmbedderError, match="cannot have the default weights") as seen:
        load_weights(None, spec, "default")
    assert seen.value.hint.startswith(f"put that file at {tmp_path / 'x.pth'}, or ")

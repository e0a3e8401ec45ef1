"""The closed list of image processors that are read, held against transformers itself, whole and without a key."""

from __future__ import annotations

import json

import numpy as np
import pytest

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from test_proof import gap_on_card  # noqa: E402

from simsearch.embedder.networks import published_transforms  # noqa: E402
from simsearch.embedder.networks.families.hf_models import prepared_by  # noqa: E402
from simsearch.embedder.networks.family import Theirs  # noqa: E402
from simsearch.embedder.networks.published import of_transformers  # noqa: E402
from simsearch.embedder.networks.published_processors import USUAL  # noqa: E402
from simsearch.errors import EmbedderError  # noqa: E402

pytestmark = pytest.mark.slow
CUT = {"height": 32, "width": 32}
NEEDED = {"size", "crop_size", "image_mean", "image_std", "image_processor_type"}


def own_settings(kind):
    """The file that the processor itself writes, of a small side."""
    config = json.loads(getattr(transformers, f"{kind}ImageProcessor")().to_json_string())
    cut = {"crop_size": CUT} if config.get("crop_size") else {}
    return {**config, **cut, "size": {"shortest_edge": 40} if "shortest_edge" in config["size"] else CUT}


def compared(config, folder, monkeypatch):
    """None where we refuse the file; else whether ours and the fallback are as the library prepares pictures."""
    try:
        own = of_transformers(config, "it")
    except EmbedderError:
        return None
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(config))
    ours = gap_on_card(Theirs("", own, prepared_by(folder)[1])).small

    def missing(*given):
        raise ImportError

    monkeypatch.setattr(published_transforms, "_of_its_library", missing)
    return ours and gap_on_card(Theirs("", own, published_transforms.transform_of(path)[1])).small


@pytest.mark.parametrize("kind", USUAL)
def test_a_processor_is_read_as_it_is(kind, tmp_path, monkeypatch):
    whole = own_settings(kind)
    assert compared(whole, tmp_path, monkeypatch)
    for key in whole.keys() - {"image_processor_type"}:
        left = {name: value for name, value in whole.items() if name != key}
        assert compared(left, tmp_path, monkeypatch) is not False, f"without {key}"
        assert key in NEEDED or compared(left, tmp_path, monkeypatch), f"refused without {key}"
        if key.startswith("do_"):
            for value in (True, False, None):
                assert compared({**whole, key: value}, tmp_path, monkeypatch) is not False, (key, value)
    for size in (32, {"shortest_edge": 40}, CUT):
        for cut in (32, CUT):
            assert compared({**whole, "size": size, "crop_size": cut}, tmp_path, monkeypatch) is not False, (size, cut)
    older = {**whole, "feature_extractor_type": f"{kind}FeatureExtractor"}
    del older["image_processor_type"]
    assert compared(older, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "change",
    [
        {"image_processor_type": "Nope"},
        {"image_processor_type": ["x"]},
        {"image_processor_type": "Evil", "auto_map": {"AutoImageProcessor": "evil.P"}},
        {"resample": "3"},
        {"device": "nosuch"},
        {"image_mean": "555"},
        {"size": {"height": 32, "width": 32, "shortest_edge": 40}},
        {"size": {"height": 32.7, "width": 32.7}},
    ],
)
def test_whatever_the_library_raises_is_one_line(change, tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**own_settings("ViT"), **change}))
    with pytest.raises(EmbedderError, match="cannot prepare pictures so") as seen:
        prepared_by(tmp_path)[1](np.zeros((40, 50, 3), np.uint8))
    assert "\n" not in seen.value.message
    assert not (tmp_path / "ran").exists()

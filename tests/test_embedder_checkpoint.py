"""A checkpoint is whole or is none, also after kill -9 at any moment."""

import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from simsearch.embedder.training import checkpoint


def test_round_trip_and_replacing(tmp_path):
    assert checkpoint.load(tmp_path) is None
    for step in (1, 2, 2, 10):
        tensors = {"a": torch.full((3,), float(step)), "b": torch.arange(4).reshape(2, 2).T}
        checkpoint.save(tmp_path, tensors=tensors, state={"step": step, "rows": [{"x": None}]})
        found, state = checkpoint.load(tmp_path)
        assert state == {"step": step, "rows": [{"x": None}]}
        assert torch.equal(found["a"], tensors["a"])
        assert torch.equal(found["b"], tensors["b"])
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("pattern", ["*.json", "*.safetensors"])
def test_damage_anywhere_is_no_checkpoint(tmp_path, pattern):
    checkpoint.save(tmp_path, tensors={"a": torch.arange(4.0)}, state={"step": 3, "loss": 0.5})
    (path,) = tmp_path.glob(pattern)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        # JSON may carry a flip in its white space or in a key's escape and still say the same.
        found = checkpoint.load(tmp_path)
        assert found is None or found[1] == {"step": 3, "loss": 0.5}
    for kept in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert checkpoint.load(tmp_path) is None
    path.unlink()
    assert checkpoint.load(tmp_path) is None


WRITER = """
import sys, torch
from pathlib import Path
from simsearch.embedder.training import checkpoint
print("ready", flush=True)
step = 0
while True:
    step += 1
    checkpoint.save(Path(sys.argv[1]), tensors={"a": torch.full((20000,), float(step))}, state={"step": step})
    if step == 1:
        print("first", flush=True)
"""


@pytest.mark.slow
def test_kill_leaves_a_whole_checkpoint(tmp_path):
    wait = random.Random(0)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert [child.stdout.readline().strip() for _ in range(2)] == ["ready", "first"]
            time.sleep(wait.uniform(0, 0.1))
            child.send_signal(signal.SIGKILL)
        tensors, state = checkpoint.load(tmp_path)
        assert torch.equal(tensors["a"], torch.full((20000,), float(state["step"])))

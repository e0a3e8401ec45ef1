"""Write golden/*.json from the code at hand: only for a change that was made on purpose, never to make tests pass.

    python tests/old_home/regenerate.py [NAME...]

NAMEs are those of golden files (default: all). Read the diff: each line of it is something that people, scripts or old
homes will see differently. The home itself is not made anew: it is what commit 9ad3b34 wrote (make.py).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from old_home.asking import ASKED, CHANGING, GOLDEN, publish, unpack


def main(names: list[str]) -> None:
    """Ask everything, or `names`, and write it."""
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = unpack(Path(folder))
        publish(place)
        for name, asked in {**ASKED, **CHANGING}.items():
            if not names or name in names:
                text = written(asked(place)) + "\n"
                (GOLDEN / f"{name}.json").write_text(text)
                print(f"{name}: {len(text):,} bytes")


def written(value: Any, indent: str = "") -> str:
    """JSON with a line an entry, short lists in one line, floats of eight digits."""
    if isinstance(value, float):
        return repr(float(f"{value:.8g}"))
    inner = indent + " "
    if isinstance(value, dict) and value:
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {written(value[key], inner)}" for key in sorted(value)]
        return "{\n" + ",\n".join(inner + part for part in parts) + "\n" + indent + "}"
    if isinstance(value, list) and value:
        parts = [written(one, inner) for one in value]
        if all(not isinstance(one, dict | str) for one in value):
            return "[" + ", ".join(parts) + "]"
        return "[\n" + ",\n".join(inner + part for part in parts) + "\n" + indent + "]"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    main(sys.argv[1:])

"""All defect scores on magnetic tiles in one table: image AUROC over seeds, on new views and on the random split.

Fit on 80 % of the good tiles, tested on the others and on all defective ones; no defect is seen, nothing is chosen on
the test part. "New views" splits by view: a view was shot six times, and a random split has twins of nearly every good
test tile among those that were fitted, so that it leaks and is for comparison with papers only. Views are found by
matching (sides/tiles.py). The given MobileNetV2 as it comes; pooled scores on its 1,280 features; patches at
stride 16 (block 13). A figure is the mean over the seeds with their standard deviation; by kind on new views.

"Bank of 10,000" keeps more of more patches, as --set defects.patch.bank=10000 --set defects.patch.per_image=60 does:
the more is remembered, the better for twins. Which of the two it is to be, a rule that sees no defect and no test tile
says (rows "told by pasted"): each is fitted on 70 % of the fit tiles, and tells the other 30 % from the
same with pieces cut and pasted.

The last rows are the text's own method: 64 dimensions trained by semi-hard triplets on the kinds at hand, a kind held
out in turn, views respected; the score is the distance from the mean of the normal tiles. Kinds that were trained on,
and the one that was not, apart.

Command: python benchmarks/defects_tiles.py [--json] [--rounds SEEDS] [--sides 104,144,192,288] [--heat FOLDER]
(40 minutes for 10 seeds on 2 cores; each AUROC goes to stderr as it comes)
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
from common import DATA, HERE, WEIGHTS, machine, require, say
from safetensors import safe_open

sys.path.insert(0, str(HERE / "sides"))
import tiles

from simsearch.defects.bank import Choice, Fusion, PatchBank
from simsearch.defects.heatmap import overlay
from simsearch.defects.maps import SIDES, Mapper
from simsearch.defects.pooled import POOLED
from simsearch.defects.splitting import holding_out, split_by_group
from simsearch.defects.synthetic import cut_and_paste
from simsearch.embedder.bundle.inner_network import InnerNetwork
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.images.encoding import png_of
from simsearch.images.formats.decode import read_image
from simsearch.images.loading import in_order
from simsearch.images.preprocess import Preprocess
from simsearch.statistics.ranks import auroc

TEST = 0.2
DIM, PER_CLASS, EPOCHS = 64, 16, 40
THREADS = 2
LARGE = {"bank": 10_000, "per_image": 60}
FIELDS = ("all", *tiles.KINDS)


def main() -> None:
    """Print a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=10, metavar="SEEDS")
    parser.add_argument("--sides", type=lambda text: tuple(map(int, text.split(","))), default=SIDES)
    parser.add_argument("--heat", type=Path, help="where to write heat maps of 12 tiles of the first seed")
    asked = parser.parse_args()
    root = DATA / "magnetic-tile"
    require(root, WEIGHTS)
    good, bad = tiles.paths(root)
    views = tiles.views(good)
    kinds = np.array([-1] * len(good) + [tiles.KINDS.index(path.parent.name) for path in bad])
    every = np.concatenate((views, tiles.views(bad) + views.max() + 1))
    say(f"{len(good)} good tiles of {views.max() + 1} views, {len(bad)} defective")
    features, maps = looked_at([*good, *bad], asked.sides)
    pasted = looked_at(good, asked.sides, pasted=True)[1]
    rows: dict[tuple[str, str], list[list[float]]] = {}
    for split, groups in (("new views", views), ("random, leaks", np.arange(len(good)))):
        for seed in range(asked.rounds):
            test, fit = (np.flatnonzero(part) for part in tiles.parted(groups, seed, (TEST,)))
            tried = np.concatenate((test, np.flatnonzero(kinds >= 0)))
            for name, kind in POOLED.items():
                _keep(rows, split, name, kind.fit(features[fit]).scores(features[tried]), kinds[tried])
            bank = PatchBank.fit((maps[row] for row in fit), groups[fit], Choice(seed=seed))
            parts = bank.parts(maps[row] for row in tried)
            for fusion in get_args(Fusion):
                fused = replace(bank, choice=replace(bank.choice, fusion=fusion)).fused(parts)
                _keep(rows, split, f"patch, {fusion} of sides", fused, kinds[tried])
            for number, side in enumerate(asked.sides):
                _keep(rows, split, f"patch, side {side}", parts[:, number], kinds[tried])
            large = PatchBank.fit((maps[row] for row in fit), groups[fit], Choice(seed=seed, **LARGE))
            _keep(rows, split, "patch, bank of 10,000", large.scores(maps[row] for row in tried), kinds[tried])
            _told(rows, split, groups[fit], [maps[row] for row in fit], [pasted[row] for row in fit], seed)
            if asked.heat and split == "new views" and seed == 0:
                _draw(asked.heat, bank, [*good, *bad], maps, tried, kinds)
    for seed in range(asked.rounds):
        _by_the_text(rows, features, kinds, every, seed)
    print(machine() if not asked.json else "", end="" if asked.json else "\n")
    for (split, name), values in rows.items():
        mean, deviation = np.mean(values, axis=0), np.std(values, axis=0, ddof=1 if len(values) > 1 else 0)
        if asked.json:
            figures = dict(zip(FIELDS, mean.round(4).tolist(), strict=True))
            print(json.dumps({"split": split, "method": name, "seeds": len(values), "sd": deviation[0], **figures}))
        else:
            print(_line(split, name, mean, f" ± {deviation[0]:.3f}"), flush=True)


def _line(split: str, name: str, areas: list[float] | np.ndarray, spread: str = "") -> str:
    by_kind = "  ".join(f"{kind} {value:.3f}" for kind, value in zip(FIELDS[1:], areas[1:], strict=True))
    return f"{split:<14} {name:<22} {areas[0]:.3f}{spread}   {by_kind}"


def looked_at(paths: list[Path], sides: tuple[int, ...], *, pasted: bool = False) -> tuple[np.ndarray, list]:
    """Features (n, 1280) of tiles, and their maps at each side; `pasted`: with a piece of each cut and pasted."""
    from simsearch.embedder.bundle.export import export_onnx
    from simsearch.embedder.bundle.inner import inner_maps
    from simsearch.embedder.networks.embedder import build_embedder

    with tempfile.TemporaryDirectory(prefix="simsearch-bench-") as folder:
        export_onnx(build_embedder("torchvision:mobilenet_v2", None, weights=str(WEIGHTS)), Path(folder) / "model.onnx")
        model = (Path(folder) / "model.onnx").read_bytes()

    network, whole = InnerNetwork(inner_maps(model, [16]), threads=1), Runtime(model, threads=1)
    with safe_open(WEIGHTS, "np") as file:
        mean, std = (tuple(json.loads(file.metadata()[key])) for key in ("mean", "std"))
    preprocess = Preprocess(whole.input_shape[1], 3, "squash", mean, std)
    mapper = Mapper(network, preprocess, sides)

    def look(numbered):
        number, path = numbered
        picture = cut_and_paste(read_image(path), number)[0] if pasted else read_image(path)
        return whole.features(preprocess.normalize(preprocess.fit(picture)[None]))[0], mapper.maps(picture)

    found = list(in_order(look, enumerate(paths), THREADS))
    return np.stack([one[0] for one in found]), [one[1] for one in found]


def _by_the_text(rows: dict, features: np.ndarray, kinds: np.ndarray, groups: np.ndarray, seed: int) -> None:
    """Train on the normal tiles and all kinds but one, in turn; keep the AUROC of each kind, unseen and seen."""
    from torch import manual_seed, nn

    from simsearch.embedder.losses.losses import make_loss
    from simsearch.embedder.training.extract import extract
    from simsearch.embedder.training.loop import train
    from simsearch.embedder.training.sampling import BalancedSampler
    from simsearch.embedder.training.schedule import Rates

    test = np.isin(groups, groups[tiles.parted(groups, seed, (TEST,))[0]])
    unseen, seen = {}, {}
    for held in holding_out(kinds, test, groups):
        fit = np.flatnonzero(held.trained)
        labels = np.unique(kinds[fit], return_inverse=True)[1]
        sampler = BalancedSampler(labels, int(labels.max()) + 1, PER_CLASS, seed)
        with tempfile.TemporaryDirectory(prefix="simsearch-bench-") as folder:
            manual_seed(seed)
            head = nn.Linear(features.shape[1], DIM)
            loss = make_loss(
                {"name": "triplet", "margin": 0.2, "mining": "semi_hard"}, DIM, int(labels.max()) + 1, seed
            )
            train(
                head,
                loss,
                fetch=lambda rows, fit=fit: features[fit[rows]],
                labels=labels,
                batches=sampler.batches,
                epochs=EPOCHS,
                partial=Path(folder),
                rates=Rates(2e-3),
                seed=seed,
                threads=THREADS,
            )
        embedded = extract(head, features.__getitem__, np.arange(len(features)), None)
        score = POOLED["mean"].fit(embedded[fit[kinds[fit] < 0]]).scores(embedded)
        normal = score[held.normal]
        unseen[held.kind] = auroc(score[held.unseen], normal)
        for kind in np.unique(kinds[held.seen]).tolist():
            seen.setdefault(kind, []).append(auroc(score[held.seen & (kinds == kind)], normal))
    for name, found in (("unseen kinds", unseen), ("seen kinds", {kind: np.mean(one) for kind, one in seen.items()})):
        each = [float(found.get(kind, np.nan)) for kind in range(len(tiles.KINDS))]
        _add(rows, "new views", f"triplets, {name}", [float(np.nanmean(each)), *each])


def _told(rows: dict, split: str, groups: np.ndarray, good: list, pasted: list, seed: int) -> None:
    """Keep how well the two banks tell pasted defects on fit tiles that they were not made of."""
    drawn = split_by_group(groups, len(good), seed=seed)
    for name, more in (("3,000", {}), ("10,000", LARGE)):
        bank = PatchBank.fit((good[row] for row in drawn.fit), groups[drawn.fit], Choice(seed=seed, **more))
        scores = [bank.scores(maps[row] for row in drawn.calibration) for maps in (pasted, good)]
        area = auroc(*scores)
        say(f"  {split}, bank of {name}, told by pasted defects: {area:.4f}")
        rows.setdefault((split, f"{name}, told by pasted"), []).append([area] * len(FIELDS))


def _keep(rows: dict, split: str, name: str, scores: np.ndarray, kinds: np.ndarray) -> None:
    normal = scores[kinds < 0]
    areas = [auroc(scores[kinds == kind], normal) for kind in range(len(tiles.KINDS))]
    _add(rows, split, name, [auroc(scores[kinds >= 0], normal), *areas])


def _add(rows: dict, split: str, name: str, areas: list[float]) -> None:
    """Keep what one more seed gave, and say it."""
    seeds = rows.setdefault((split, name), [])
    say(f"  seed {len(seeds)}: {_line(split, name, areas)}")
    seeds.append(areas)


def _draw(folder: Path, bank: PatchBank, paths: list[Path], maps: list, tried: np.ndarray, kinds: np.ndarray) -> None:
    """Write heat maps of two good tiles and two of each kind, by a threshold that one in ten good ones reaches."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = bank.scores(maps[row] for row in tried)
    threshold = float(np.quantile(scores[kinds[tried] < 0], 0.9))
    for kind in range(-1, len(tiles.KINDS)):
        of = np.flatnonzero(kinds[tried] == kind)
        for place in of[np.argsort(scores[of])[[len(of) // 4, 3 * len(of) // 4]]]:
            row = tried[place]
            shown = overlay(
                read_image(paths[row]), bank.heat(maps[row]), threshold, defective=bool(scores[place] >= threshold)
            )
            name = f"{tiles.KINDS[kind] if kind >= 0 else 'Free'}-{paths[row].stem}-{scores[place]:.2f}.png"
            (folder / name).write_bytes(png_of(shown))


if __name__ == "__main__":
    main()

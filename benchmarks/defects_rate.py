"""Is the stated rate of false alarms kept on new things? Magnetic tiles, 200 splits by view, every method.

A view was shot six times: groups are views, found by matching (sides/tiles.py). In each split a fifth of the views is
tried; the others are fitted on and set the threshold, as `simsearch defects fit` does it: at 5 % by 30 % of the views,
which are not fitted on, at 1 % (which needs 99 views) with each view left out in turn. The rate of a split is
the mean over the tried views of the share of its tiles that are called defective; the figure is the mean over the
splits, which on average is to be at most what was asked. Its standard error is a bootstrap over views of what each view
came to: splits share their views, and 200 of them are no 200 observations. Nothing here looks at a defective tile.

Patches at one side (192 px) and a bank of 500 out of 12 a picture, so that 200 banks take minutes; mahalanobis is not
left out in turn, which would take hours.

Command: python benchmarks/defects_rate.py [--json] [--rounds SPLITS]      (20 minutes for 200 on 2 cores)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

import numpy as np
from common import DATA, HERE, WEIGHTS, machine, require, say
from defects_tiles import looked_at

sys.path.insert(0, str(HERE / "sides"))
import tiles

from simsearch.defects.bank import Choice, PatchBank
from simsearch.defects.conformal import Calibration, leave_one_group_out, numbered
from simsearch.defects.pooled import POOLED
from simsearch.defects.splitting import split_by_group

SPLITS, TEST, BY_SPLIT, LEFT_OUT = 200, 0.2, 0.05, 0.01
SIDE, CHOICE = 192, Choice(bank=500, per_image=12)
DRAWN = 2000
ERRORS = 2  # standard errors that the mean may be above the rate
Flagged = tuple[np.ndarray, np.ndarray]  # at either rate, of the tiles that are tried


def main() -> None:
    """Print a row for each method and rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=SPLITS, metavar="SPLITS")
    asked = parser.parse_args()
    root = DATA / "magnetic-tile"
    require(root, WEIGHTS)
    good = tiles.paths(root)[0]
    views = tiles.views(good)
    count = int(views.max()) + 1
    say(f"{len(good)} good tiles of {count} views")
    features, maps = looked_at(good, (SIDE,))
    sums: dict[tuple[str, float], np.ndarray] = {}
    for seed in range(asked.rounds):
        tried, rest = (np.flatnonzero(part) for part in tiles.parted(views, seed, (TEST,)))
        drawn = split_by_group(views[rest], len(rest), seed=seed)
        fit, set_by = rest[drawn.fit], rest[drawn.calibration]
        for method in (*POOLED, "patch"):
            how = _patches(maps, views, seed) if method == "patch" else _pooled(method, features, views)
            for rate, defective in how(fit, set_by, rest, tried):
                kept = sums.setdefault((method, rate), np.zeros((2, count)))
                tiles_of = np.bincount(views[tried], minlength=count)
                shares = np.bincount(views[tried], weights=defective, minlength=count) / np.maximum(tiles_of, 1)
                kept += np.stack((shares, tiles_of > 0))
        say(f"  split {seed + 1} of {asked.rounds}")
    print(machine() if not asked.json else "", end="" if asked.json else "\n")
    for (method, rate), (flagged, times) in sums.items():
        mean, error = _mean(flagged, times)
        met = "met" if mean <= rate + ERRORS * error else "MISSED"
        if asked.json:
            row = {"method": method, "rate": rate, "mean": mean, "se": error, "splits": asked.rounds, "views": count}
            print(json.dumps({**row, "met": met == "met"}))
        else:
            how = "views left out in turn" if rate == LEFT_OUT else "30 % of the views"
            print(f"{method:<12} asked {rate:.0%}, by {how:<23} {mean:.4f} ± {error:.4f}   {met}")


def _pooled(method: str, features: np.ndarray, views: np.ndarray) -> Callable:
    def flags(fit, set_by, rest, tried):
        kind = POOLED[method]
        detector = kind.fit(features[fit])
        threshold = Calibration(detector.scores(features[set_by]), views[set_by]).threshold(BY_SPLIT)
        yield BY_SPLIT, detector.scores(features[tried]) >= threshold
        if method != "mahalanobis":
            counted = leave_one_group_out(kind.fit, features[rest], views[rest])
            threshold = Calibration(counted, views[rest]).threshold(LEFT_OUT)
            yield LEFT_OUT, kind.fit(features[rest]).scores(features[tried]) >= threshold

    return flags


def _patches(maps: list, views: np.ndarray, seed: int) -> Callable:
    def bank_of(rows):
        return PatchBank.fit((maps[row] for row in rows), views[rows], Choice(CHOICE.bank, CHOICE.per_image, seed=seed))

    def flags(fit, set_by, rest, tried):
        bank = bank_of(fit)
        threshold = Calibration(bank.scores(maps[row] for row in set_by), views[set_by]).threshold(BY_SPLIT)
        yield BY_SPLIT, bank.scores(maps[row] for row in tried) >= threshold
        bank = bank_of(rest)
        counted = bank.scores((maps[row] for row in rest), numbered(views[rest], len(rest)))
        threshold = Calibration(counted, views[rest]).threshold(LEFT_OUT)
        yield LEFT_OUT, bank.scores(maps[row] for row in tried) >= threshold

    return flags


def _mean(flagged: np.ndarray, times: np.ndarray) -> tuple[float, float]:
    """The mean share over all times that a view was tried, and its standard error by a bootstrap over views."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(flagged), (DRAWN, len(flagged)))
    means = flagged[drawn].sum(axis=1) / np.maximum(times[drawn].sum(axis=1), 1)
    return float(flagged.sum() / times.sum()), float(means.std(ddof=1))


if __name__ == "__main__":
    main()

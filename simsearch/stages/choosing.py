"""Method auto: the methods tried on a part of the normal images that are fitted on, against defects at hand or made.

What sets the threshold and what is tried afterwards is not looked at; but where each group is left out in turn for the
threshold, the same images have chosen the method.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simsearch.arrays import Floats, Integers, Pixels
from simsearch.artifacts import Artifact
from simsearch.console import Progress
from simsearch.defects.choosing import Chosen, choose_method, score_pooled
from simsearch.defects.pooled import POOLED
from simsearch.defects.splitting import split_by_group
from simsearch.defects.synthetic import cut_and_paste
from simsearch.embedder.bundle.trained import open_trained, preprocess_of
from simsearch.errors import EmbedderError
from simsearch.evaluation.systems import gather
from simsearch.images.records import RecordTable
from simsearch.recipe.defects import PATCH, Defects
from simsearch.stages.common import THREADS, Data
from simsearch.stages.normals import MOST_NUMBERS, Parts
from simsearch.stages.patches import PatchMaps, bank_of, mapper_of, network_below
from simsearch.vectors.features import FeatureFile

LEAST_GROUPS = 10  # of normal images, among which there is a choice
MOST_PASTED = 100


def chosen(
    data: Data, trained: Artifact, embedded: Artifact, table: Defects, split: Parts, folder: Path, progress: Progress
) -> Chosen:
    """Return the method for the normal images of `split`; maps of pictures are kept in `folder`."""
    if split.count(split.fit) < LEAST_GROUPS:
        why = f"mean: fewer than {LEAST_GROUPS} groups of normal images to fit on are too few to choose by"
        return Chosen("mean", {}, False, why)
    progress.tell("choosing the method")
    drawn = split_by_group(split.groups_of(split.fit), len(split.fit))
    fit, validation = split.fit[drawn.fit], split.fit[drawn.calibration]
    synthetic = not len(split.at_hand)
    pasted = list(_pasted(data, validation[:MOST_PASTED])) if synthetic else []
    with FeatureFile(embedded.file("features.h5")) as file:
        known, normal, defective = (gather(file, rows) for rows in (fit, validation, split.at_hand))
    if synthetic:
        defective = _features(trained, pasted)
    methods = [name for name in POOLED if name != "mahalanobis" or known.shape[1] <= MOST_NUMBERS]
    scored = score_pooled(known, normal, defective, methods)
    try:
        model = network_below(trained, table.patch.strides)
    except EmbedderError as error:  # as of a transformer
        progress.say(f"Method patch is not tried: {error.message}")
        return choose_method(scored, synthetic=synthetic)
    maps = PatchMaps(data, mapper_of(model, trained, table.patch), folder, progress)
    bank = bank_of(maps, fit, split.groups_of(fit), table.patch)
    bad = maps.mapper.each(pasted) if synthetic else maps.of(split.at_hand, "defects at hand")
    scored[PATCH] = bank.scores(maps.of(validation, "normal images")), bank.scores(bad)
    return choose_method(scored, synthetic=synthetic)


def _pasted(data: Data, rows: Integers) -> Iterator[Pixels]:
    """Yield normal pictures with a defect cut and pasted."""
    table = RecordTable(data.artifact.path)
    for row in rows.tolist():
        record = table[row]
        yield cut_and_paste(data.reader.array(record.image, None, record.sha256), row)[0]


def _features(trained: Artifact, pictures: list[Pixels]) -> Floats:
    """Return the features (N, D) of pictures."""
    preprocess, network = preprocess_of(trained), open_trained(trained, threads=THREADS)
    return np.concatenate([network.features(preprocess.normalize(preprocess.fit(one)[None])) for one in pictures])

"""Peer of mining.py: the miner and the loss of pytorch-metric-learning. BATCH THREADS."""

import sys

import mining_clock
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner

miner = TripletMarginMiner(mining_clock.MARGIN, type_of_triplets="semihard", distance=LpDistance(power=2))
loss = TripletMarginLoss(mining_clock.MARGIN, distance=LpDistance(power=2))
mining_clock.report(lambda features, labels: loss(features, labels, miner(features, labels)), *map(int, sys.argv[1:]))

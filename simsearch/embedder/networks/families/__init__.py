"""The families of backbones (see `Family`): each a module, its heavy parts in files that it imports when asked."""

from simsearch.embedder.networks.families import small, torchvision
from simsearch.embedder.networks.family import Family

FAMILIES: tuple[Family, ...] = (small, torchvision)

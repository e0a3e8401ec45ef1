"""The networks of `small`, without their classifiers."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class MnistTrunk(nn.Module):
    """The network of PyTorch's MNIST example up to its first linear layer: (B, 1, S, S) to (B, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout = nn.Dropout(0.25)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 64 * ((S - 4) // 2) ** 2) float of (B, 1, S, S) float."""
        # ReLU and max-pooling commute; pooling first leaves ReLU a quarter of the values.
        hidden = functional.relu(self.conv1(images))
        hidden = functional.relu(functional.max_pool2d(self.conv2(hidden), 2))
        trunk: Tensor = self.dropout(hidden).flatten(1)
        return trunk


class Conv4Trunk(nn.Sequential):
    """Four blocks of convolution, batch norm, ReLU and pooling, 64 channels wide: (B, 1, S, S) to (B, width).

    The embedding network of Vinyals et al. 2016 (Matching Networks, arXiv 1606.04080, section 4.1.1), with which
    few-shot classification of Omniglot is usually compared.
    """

    def __init__(self) -> None:
        blocks = []
        for channels in (1, 64, 64, 64):
            # Pooled before ReLU, which commutes with it, and is then four times as quick.
            blocks += [
                nn.Conv2d(channels, 64, 3, padding=1, bias=False),
                nn.BatchNorm2d(64),
                nn.MaxPool2d(2),
                nn.ReLU(),
            ]
        super().__init__(*blocks, nn.Flatten())

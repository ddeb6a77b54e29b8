"""Small networks over pictures, with heads of every kind."""

import torch
from fastai.vision import all as fastai
from torch import nn
from torch.nn import functional


def body(channels: int = 3, width: int = 8) -> nn.Sequential:
    return nn.Sequential(fastai.ConvLayer(channels, width, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def network(outputs: int, channels: int = 3) -> nn.Module:
    return nn.Sequential(*body(channels), nn.Linear(8, outputs))


class Cosine(nn.Module):
    """A head that knows angles only, with weights of its own."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, width))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return 10 * functional.linear(functional.normalize(features), functional.normalize(self.weight))


class FunctionalHead(nn.Module):
    """A model whose last weights no layer of its own is run with."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = body()
        self.weight = nn.Parameter(torch.randn(outputs, 8))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return 10 * functional.linear(functional.normalize(self.body(pixels)), functional.normalize(self.weight))


class WithHead(nn.Module):
    """A model with a head of the user's own, as a module in it."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = body()
        self.head = Cosine(8, outputs)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(pixels))
        return logits


class WithClassToken(nn.Module):
    """A transformer over patches with a class token, which is repeated for as many inputs as there are."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.token = nn.Parameter(torch.zeros(1, 1, 16))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, outputs)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        sequence = torch.cat([self.token.expand(len(pixels), -1, -1), patches], 1)
        logits: torch.Tensor = self.head(self.attention(sequence, sequence, sequence)[0][:, 0])
        return logits

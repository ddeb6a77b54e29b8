"""Small networks, trained here in minutes: pictures through convolutions, tables through embeddings of categories."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.sets.base import Floats, Rows

Labels = npt.NDArray[np.int64]


def convolutions(channels: int, classes: int) -> nn.Sequential:
    """A small convolutional network; its last module is the head."""

    def block(channels_in: int, channels_out: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()]

    return nn.Sequential(
        *block(channels, 32, 1),
        *block(32, 48, 2),
        *block(48, 64, 1),
        *block(64, 96, 2),
        *block(96, 128, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, classes),
    )


def train(
    network: nn.Sequential,
    inputs: torch.Tensor,
    labels: Labels,
    epochs: int,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    learning_rate: float = 5e-3,
) -> None:
    """Train with one cycle of Adam."""
    torch.manual_seed(0)
    truth = torch.from_numpy(labels)
    steps = epochs * (len(inputs) // 128)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    network.train()
    steps_taken = 0
    while steps_taken < steps:
        for row_indices in torch.randperm(len(inputs)).split(128):
            if len(row_indices) < 128 or steps_taken == steps:
                continue
            batch = inputs[row_indices] if augment is None else augment(inputs[row_indices])
            loss = nn.functional.cross_entropy(network(batch), truth[row_indices])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            steps_taken += 1
    network.eval()


def rows(network: nn.Sequential, inputs: torch.Tensor, labels: Labels | None = None) -> Rows:
    """The inputs of the head, which are the embeddings, and its outputs, the logits."""
    batches = []
    with torch.inference_mode():
        for batch in inputs.split(512):
            embedding = network[:-1](batch)
            batches.append((embedding.numpy(), network[-1](embedding).numpy()))
    embeddings, logits = (np.concatenate(part) for part in zip(*batches, strict=True))
    return Rows(embeddings, logits, labels)


def head(network: nn.Sequential) -> tuple[Floats, Floats]:
    """Weights and bias of the last layer."""
    last = network[-1]
    assert isinstance(last, nn.Linear)
    return last.weight.detach().numpy(), last.bias.detach().numpy()

"""The interface of a backend: something that runs a model's forward pass."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Program:
    """What a backend is to run.

    `module` takes a collated batch and returns logits `(n, c)` and embeddings `(n, d)`. `examples` are collated batches
    that it accepts, the most typical first; together they show which dimensions vary. `fixed_steps` says whether it does
    the same steps whatever it is given, so that it can be traced; a recurrent model over texts does not.
    """

    module: nn.Module
    examples: list[tuple[torch.Tensor, ...]]
    fixed_steps: bool

    def varying_dimensions(self) -> list[set[int]]:
        """The dimensions of each argument that vary from batch to batch; the first, of the inputs, always does."""
        argument_shapes = [
            [example[position].shape for example in self.examples] for position in range(len(self.examples[0]))
        ]
        return [
            {0} | {axis for axis, sizes in enumerate(zip(*shapes, strict=True)) if len(set(sizes)) > 1}
            for shapes in argument_shapes
        ]

    def tracing_batch(self) -> tuple[torch.Tensor, ...]:
        """A batch to trace with: of several inputs, as a batch of one may be taken for a constant."""
        return tuple(torch.cat([argument[:1]] * 2) for argument in self.examples[0])


class NotEligible(Exception):
    """This backend can't run this model here; the message says why."""


class Backend(Protocol):
    """Runs a program.

    Raises:
        NotEligible: on construction.
    """

    name: ClassVar[str]
    # Made in seconds, so that it may be tried at every start.
    quick: ClassVar[bool]
    # Whether it is meant to give the learner's own numbers. Others are tried only where an operator asks for them.
    exact: ClassVar[bool] = True

    def __init__(self, program: Program, threads: int, device: str = "cpu") -> None: ...

    def run(self, arguments: tuple[Any, ...]) -> tuple[Floats32, Floats32]:
        """Logits `(n, c)` and embeddings `(n, d)` of a collated batch. One call at a time."""
        ...

"""`torch.compile` with its weights frozen into the code; takes a minute to make, so only `tidegate tune` tries it."""

import copy
import shutil
import warnings
from typing import Any, ClassVar

import torch

from serving.engine.backends.base import Backend, Floats32, NotEligible, Program
from serving.learner.outputs import array


class Compiled(Backend):
    """TorchInductor's C++ for this model and this machine."""

    name: ClassVar[str] = "torch.compile"
    quick: ClassVar[bool] = False

    def __init__(self, program: Program, threads: int, device: str = "cpu") -> None:
        if not any(shutil.which(compiler) for compiler in ("c++", "g++", "clang++")):
            raise NotEligible("there is no C++ compiler here")
        if not program.fixed_steps:
            raise NotEligible("the model's steps depend on its input")
        if device != "cpu":
            raise NotEligible("it is tried on the CPU only")
        from torch._inductor import config

        torch.set_num_threads(threads)
        self._threads = threads
        with warnings.catch_warnings(), config.patch(freezing=True):
            warnings.simplefilter("ignore")
            # Frozen channels-last weights trip up the fusion of ReLU into convolutions in torch 2.13.
            contiguous = copy.deepcopy(program.module)
            contiguous.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            self._module = torch.compile(contiguous, dynamic=True)
            try:
                for example in program.examples:
                    self.run(example)
            except Exception as error:
                raise NotEligible(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error

    def run(self, arguments: tuple[Any, ...]) -> tuple[Floats32, Floats32]:
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.no_grad():
            logits, embedding = self._module(*arguments)
            return array(logits), array(embedding)

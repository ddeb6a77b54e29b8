"""OpenVINO, over a trace of the model."""

import warnings
from typing import Any, ClassVar

import numpy as np
import torch

from serving.engine.backends.base import Backend, Floats32, NotEligible, Program


class OpenVino(Backend):
    """The model as compiled by OpenVINO for this processor, in full precision."""

    name: ClassVar[str] = "openvino"
    quick: ClassVar[bool] = True
    # On processors with bfloat16 units OpenVINO would use them by itself, and change numbers.
    precision: ClassVar[str] = "f32"

    def __init__(self, program: Program, threads: int, device: str = "cpu") -> None:
        if not program.fixed_steps:
            raise NotEligible("the model's steps depend on its input")
        if device != "cpu":
            raise NotEligible("it is tried on the CPU only")
        try:
            import openvino
        except ImportError as error:
            raise NotEligible("openvino is not installed: pip install 'tidegate[fast]'") from error
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                example = program.tracing_batch()
                model = openvino.convert_model(program.module, example_input=example)
                shapes = [
                    openvino.PartialShape([-1 if axis in varying else size for axis, size in enumerate(argument.shape)])
                    for argument, varying in zip(example, program.varying_dimensions(), strict=True)
                ]
                model.reshape(dict(zip(model.inputs, shapes, strict=True)))
                self._request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
        except Exception as error:
            raise NotEligible(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error

    def run(self, arguments: tuple[Any, ...]) -> tuple[Floats32, Floats32]:
        self._request.infer([np.asarray(argument) for argument in arguments], share_inputs=True)
        logits, embedding = (self._request.get_output_tensor(index).data.copy() for index in range(2))
        return logits, embedding


class OpenVinoBfloat16(OpenVino):
    """The same in bfloat16, where the processor has units for it: faster, and with other numbers."""

    name: ClassVar[str] = "openvino bf16"
    exact: ClassVar[bool] = False
    precision: ClassVar[str] = "bf16"

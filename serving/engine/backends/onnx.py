"""ONNX Runtime, over a trace of the model."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch

from serving.engine.backends.base import Backend, Floats32, NotEligible, Program


class OnnxRuntime(Backend):
    """The model as an ONNX graph."""

    name: ClassVar[str] = "onnxruntime"
    quick: ClassVar[bool] = True

    def __init__(self, program: Program, threads: int, device: str = "cpu") -> None:
        if not program.fixed_steps:
            raise NotEligible("the model's steps depend on its input")
        if device != "cpu":
            raise NotEligible("it is tried on the CPU only")
        try:
            import onnxruntime
        except ImportError as error:
            raise NotEligible("onnxruntime is not installed: pip install 'tidegate[fast]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the core that decoding needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                _export_graph(program), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise NotEligible(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
        self._names = [entry.name for entry in self._session.get_inputs()]

    def run(self, arguments: tuple[Any, ...]) -> tuple[Floats32, Floats32]:
        arguments_by_name = {name: np.asarray(argument) for name, argument in zip(self._names, arguments, strict=True)}
        logits, embedding = self._session.run(None, arguments_by_name)
        return logits, embedding


def _export_graph(program: Program) -> bytes:
    """The model as an ONNX file."""
    example = program.tracing_batch()
    inputs = [f"input{index}" for index in range(len(example))]
    axes = {
        name: {axis: f"{name}_{axis}" for axis in varying}
        for name, varying in zip(inputs, program.varying_dimensions(), strict=True)
    }
    graph = io.BytesIO()
    # The exporter warns and logs about its own deprecations, not about this model.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with _without_graph_printed(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            program.module,
            example,
            graph,  # type: ignore[arg-type]
            dynamo=False,
            input_names=inputs,
            output_names=["logits", "embedding"],
            dynamic_axes=axes | {"logits": {0: "n"}, "embedding": {0: "n"}},
        )
    return graph.getvalue()


@contextmanager
def _without_graph_printed() -> Iterator[None]:
    """Where an export fails, PyTorch prints the whole graph, and does so even where its log is off (2.13)."""
    log = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        torch._C._jit_onnx_log = log

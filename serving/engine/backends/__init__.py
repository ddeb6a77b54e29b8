"""What runs the forward pass, one per file. A new one registers itself in `BACKENDS`."""

from serving.engine.backends.base import Backend, NotEligible, Program
from serving.engine.backends.compiled import Compiled
from serving.engine.backends.eager import Eager
from serving.engine.backends.onnx import OnnxRuntime
from serving.engine.backends.openvino import OpenVino, OpenVinoBfloat16

BACKENDS: tuple[type[Backend], ...] = (Eager, OnnxRuntime, OpenVino, OpenVinoBfloat16, Compiled)

__all__ = ["BACKENDS", "Backend", "NotEligible", "Program"]

"""What runs the forward pass, one per file. A new one registers itself in `BACKENDS`."""

from serving.backends.base import Backend, NotEligible, Program
from serving.backends.compiled import Compiled
from serving.backends.eager import Eager
from serving.backends.onnx import OnnxRuntime
from serving.backends.openvino import OpenVino, OpenVinoBfloat16

BACKENDS: tuple[type[Backend], ...] = (Eager, OnnxRuntime, OpenVino, OpenVinoBfloat16, Compiled)

__all__ = ["BACKENDS", "Backend", "NotEligible", "Program"]

"""Makes `import torchvision` work beside a CPU build of torch from another index.

torchvision's binary registers its operators `nms` and `qnms` only with the torch build it was made for. With another
one, `import torchvision` fails with "operator torchvision::nms does not exist", because its Python part adds a fake
implementation to operators that were never declared. Declaring their schemas first is enough: fastai never calls them.
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

# Kept for as long as the process lives: a torch.library.Library that is garbage-collected takes its declarations back.
_library: torch.library.Library | None = None


def declare_missing_operators() -> None:
    """Declare the operators that torchvision's own binary does not bring. Call before torchvision is first imported."""
    global _library
    if _library is not None:
        return
    _load_torchvision_binary()
    missing = [schema for name, schema in _SCHEMAS.items() if not _is_declared(name)]
    if missing:
        _library = torch.library.Library("torchvision", "DEF")
        for schema in missing:
            _library.define(schema)


def _load_torchvision_binary() -> None:
    # Where the binary does fit, it must declare the operators itself: declaring them twice is an error.
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return
    for folder in spec.submodule_search_locations:
        for binary in sorted(Path(folder).glob("_C*")):
            if binary.suffix not in {".so", ".pyd", ".dylib"}:
                continue
            try:
                torch.ops.load_library(str(binary))
            except OSError:
                return


def _is_declared(name: str) -> bool:
    return bool(torch._C._jit_get_schemas_for_operator(f"torchvision::{name}"))

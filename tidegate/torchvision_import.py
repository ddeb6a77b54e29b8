"""Makes `import torchvision`, and so `from fastai.vision.all import *`, work once `import tidegate` has run.

Beside a CPU build of torch from another index torchvision fails with "operator torchvision::nms does not exist" unless its
operators are declared first. Declaring them needs torch, which `import tidegate` must not import: so the declaration
waits until somebody imports torchvision.
"""

import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_NAME = "torchvision"


class TorchvisionFinder:
    """Finds torchvision as the other finders do, and prepares its operators just before its code runs.

    Finding alone prepares nothing: programs ask `importlib.util.find_spec("torchvision")` whether it is there.
    """

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of torchvision with its operators prepared; None for every other module."""
        if name != _NAME:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self._prepare_before_execution(spec)
                return spec
        return None

    def _prepare_before_execution(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def prepare_and_execute(module: ModuleType) -> None:
            _declare_operators()
            execute(module)
            with suppress(ValueError):
                sys.meta_path.remove(self)

        # On this one loader, which stays what it is: others ask it for resources and sources.
        with suppress(AttributeError):
            loader.exec_module = prepare_and_execute  # type: ignore[union-attr, method-assign]


def prepare_torchvision_import() -> None:
    """Have torchvision's operators declared when it is imported; nothing happens where it has been."""
    if _NAME in sys.modules or any(type(finder).__name__ == TorchvisionFinder.__name__ for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, TorchvisionFinder())


def _declare_operators() -> None:
    try:
        from serving.learner.torchvision_operators import declare_missing_operators
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        # torchvision's own import says it better.
        return
    declare_missing_operators()

"""Loading a learner for a verb: the operator is told that it is code, then it is loaded and made ready."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.reference.profile import Reference
    from serving.engine.engine import Engine
    from serving.settings import ServingSettings


def load_engine(
    export: Path,
    sha256: str | None,
    imports: list[str] | None,
    settings: "ServingSettings",
    reference: "Reference | None" = None,
) -> "Engine":
    """Load an export, with the backend that suits this machine; the operator is warned first."""
    from serving.engine.engine import open_engine
    from tidegate.pickle_warning import warn_that_export_is_code

    return open_engine(
        export,
        settings,
        reference,
        sha256=sha256,
        import_modules=tuple(imports or ()),
        announce=lambda digest: warn_that_export_is_code(export, digest, pinned=sha256 is not None),
    )

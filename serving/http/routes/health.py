"""Whether the gateway lives, and whether it should be sent work."""

from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import Response

from serving.http.app_state import Shared, json_response

router = APIRouter(tags=["health"])


@router.get("/health/live")
async def live() -> Response:
    """The process answers."""
    return json_response({"status": "live"})


@router.get("/health/ready")
def ready(state: Shared) -> Response:
    """The learner is loaded, and predictions can be recorded: in the database, or in the spool while that is away."""
    reason = state.why_not_ready()
    if reason is not None:
        return json_response({"status": "not ready", "reason": reason}, 503)
    return json_response({"status": "ready"})


@router.get("/health/recording")
async def recording(state: Shared) -> Response:
    """How recording goes: what waits in the spool while the database is away, and what was answered unrecorded."""
    return json_response(asdict(status := state.store.recording.status()) | {"warning": status.warning})

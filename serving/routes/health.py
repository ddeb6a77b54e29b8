"""Whether the gateway lives, and whether it should be sent work."""

from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import Response

from serving.routes.state import Shared, json_response
from store.errors import StoreUnavailable

router = APIRouter(tags=["health"])


@router.get("/health/live")
async def live() -> Response:
    """The process answers."""
    return json_response({"status": "live"})


@router.get("/health/ready")
def ready(state: Shared) -> Response:
    """The learner is loaded, and predictions can be recorded: in the database, or in the spool while that is away."""
    if not state.deployments.ready:
        return json_response({"status": "not ready", "reason": "starting or stopping"}, 503)
    try:
        state.store.database.ping()
    except StoreUnavailable as error:
        if state.store.recording.usable:
            return json_response({"status": "ready", "recording": state.store.recording.status().warning})
        return json_response({"status": "not ready", "reason": str(error)}, 503)
    return json_response({"status": "ready"})


@router.get("/health/recording")
async def recording(state: Shared) -> Response:
    """How recording goes: what waits in the spool while the database is away, and what was answered unrecorded."""
    return json_response(asdict(status := state.store.recording.status()) | {"warning": status.warning})

"""Whether the gateway lives, and whether it should be sent work."""

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
    """The learner is loaded and the database answers: predictions can be made and recorded."""
    if not state.deployments.ready:
        return json_response({"status": "not ready", "reason": "starting or stopping"}, 503)
    try:
        state.store.database.ping()
    except StoreUnavailable as error:
        return json_response({"status": "not ready", "reason": str(error)}, 503)
    return json_response({"status": "ready"})

"""What routes share: what is served, the record, and the settings."""

from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from fastapi.responses import Response

from monitor.ingest.service import IngestService
from monitor.settings import MonitorSettings
from serving.rollout.deployment import Deployments
from serving.settings import ServingSettings
from store.errors import StoreUnavailable
from store.repositories.models import ModelRecord
from store.store import Store

NO_REFERENCE = (
    "This model has no reference, so nothing is scored. "
    "Make one with `tidegate profile export.pkl --data TRAINING_DATA`."
)


@dataclass(frozen=True)
class State:
    """Set once, when the application is made."""

    deployments: Deployments
    store: Store
    monitor: MonitorSettings
    serving: ServingSettings
    ingest: IngestService

    def elsewhere(self) -> list[ModelRecord]:
        """The models that are recorded and not served here, the latest of each name."""
        served = {deployment.name for deployment in self.deployments.all}
        latest = {model.name: model for model in reversed(self.store.models.all()) if model.name not in served}
        return list(latest.values())

    def why_not_ready(self) -> str | None:
        """Why no work should be sent here, or None. A database that is away is no reason while the spool has room."""
        if not self.deployments.ready:
            return "starting or stopping"
        try:
            self.store.database.ping()
        except StoreUnavailable as error:
            return None if self.store.recording.has_spool_room else str(error)
        return None


def _state(request: Request) -> State:
    state: State = request.app.state.tidegate
    return state


Shared = Annotated[State, Depends(_state)]


def json_response(content: Any, status: int = 200) -> Response:
    """JSON by orjson; ids and instants as text."""
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")


def origin(headers: dict[bytes, bytes], scheme: str = "http") -> str:
    """Where the caller reached this gateway, such as `http://127.0.0.1:8000`."""
    return f"{scheme}://{headers.get(b'host', b'127.0.0.1').decode('latin-1')}"


def origin_of(request: Request) -> str:
    """Where the caller of a route reached this gateway, such as `http://127.0.0.1:8000`."""
    return str(request.base_url).rstrip("/")

"""What routes share: the gateway and the settings of its pages."""

from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from fastapi.responses import Response

from monitor.settings import MonitorSettings
from serving.gateway import Gateway


@dataclass(frozen=True)
class State:
    """Set once, when the application is made."""

    gateway: Gateway
    monitor: MonitorSettings


def _state(request: Request) -> State:
    state: State = request.app.state.tidegate
    return state


Shared = Annotated[State, Depends(_state)]


def json_response(content: Any, status: int = 200) -> Response:
    """JSON by orjson; ids and instants as text."""
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")


def curl_line(gateway: Gateway, request: Request) -> str:
    """A prediction from the command line, ready to paste."""
    address = f"{str(request.base_url).rstrip('/')}/v1/predict"
    if gateway.engine.adapter.takes == "texts":
        return f"curl {address} -H 'content-type: text/plain' -d 'A short text.'"
    if gateway.engine.adapter.takes == "rows":
        row = gateway.engine.adapter.examples()[0].content.decode()
        return f"curl {address} -H 'content-type: application/json' \\\n  -d '{{\"rows\": [{row}]}}'"
    return f"curl {address} -F file=@picture.png"

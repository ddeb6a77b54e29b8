"""The application factory: routes, problems, pages, and the life of what is served."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from monitor.ingest.service import IngestService
from monitor.settings import MonitorSettings
from reports.render import STATIC
from serving.http import problem_details
from serving.http.app_state import State, origin
from serving.http.body import CallerLeft
from serving.http.prediction_handler import serve_prediction
from serving.http.prediction_protocol import PredictionRequest
from serving.http.prediction_routes import match_prediction
from serving.http.routes import ROUTERS
from serving.rollout.deployment import Deployment, Deployments
from serving.settings import ServingSettings
from store.store import Store

DESCRIPTION = """Predictions of exported fastai learners, each recorded and scored against the training data.
Errors are RFC 9457 problem details: they say what happened, what it means and what to do."""


class Application(FastAPI):
    """FastAPI, past whose middleware and routing predictions go: these cost more than most predictions do."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        match = match_prediction(scope["path"]) if is_post else None
        if match is None:
            await super().__call__(scope, receive, send)
            return
        protocol, target = match
        headers = dict(scope["headers"])
        request = PredictionRequest(headers, receive, origin(headers, scope["scheme"]), target, self.state.tidegate)
        try:
            response = await serve_prediction(request, protocol)
        except CallerLeft:
            return
        except Exception as error:  # noqa: BLE001 - answered and logged as FastAPI's routes do
            response = problem_details.unexpected_error_response(error)
        await response(scope, receive, send)


def create_application(
    deployments: Sequence[Deployment], store: Store, monitor: MonitorSettings, serving: ServingSettings
) -> FastAPI:
    """The gateway as an ASGI application.

    Args:
        deployments: what it serves, the default first; started and stopped with the application. With none it takes
            predictions that were made elsewhere.
        store: where predictions are recorded and pages are drawn from.
        monitor: how production is watched, for the pages that say so.
        serving: the limits of requests that are for no one version.
    """
    served, ingest = Deployments(deployments), IngestService(store)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        served.start()
        yield
        await served.stop()
        await asyncio.to_thread(ingest.stop)

    app = Application(
        title=f"Tidegate: {', '.join(deployment.name for deployment in deployments) or 'predictions made elsewhere'}",
        version=version("tidegate"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # FastAPI's own page of the API fetches its scripts from elsewhere; ours are served from here.
        docs_url=None,
        redoc_url=None,
    )
    app.state.tidegate = State(served, store, monitor, serving, ingest)
    problem_details.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app

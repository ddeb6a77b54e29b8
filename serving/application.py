"""The application factory: routes, problems, pages, and the life of the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from monitor.settings import MonitorSettings
from reports.render import STATIC
from serving import problems
from serving.body import CallerLeft
from serving.gateway import Gateway
from serving.routes import ROUTERS, predict
from serving.routes.state import State
from store.errors import TidegateError

PREDICT = "/v1/predict"

DESCRIPTION = """Predictions of an exported fastai learner, each recorded and scored against the training data.
Errors are RFC 9457 problem details: they say what happened, what it means and what to do."""


class Application(FastAPI):
    """FastAPI, past whose middleware and routing predictions go: these cost more than most predictions do."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PREDICT or scope["method"] != "POST":
            await super().__call__(scope, receive, send)
            return
        try:
            response = await predict.answer(dict(scope["headers"]), receive, self.state.tidegate.gateway)
        except TidegateError as error:
            response = problems.told(error)
        except CallerLeft:
            return
        except Exception as error:  # noqa: BLE001 - answered and logged as FastAPI's routes do
            response = problems.unforeseen(error)
        await response(scope, receive, send)


def create_application(gateway: Gateway, monitor: MonitorSettings) -> FastAPI:
    """The gateway as an ASGI application.

    Args:
        gateway: what it serves; started and stopped with the application.
        monitor: how production is watched, for the pages that say so.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        gateway.start()
        yield
        await gateway.stop()

    app = Application(
        title=f"Tidegate: {gateway.model.name}",
        version=version("tidegate"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # FastAPI's own page of the API fetches its scripts from elsewhere; ours are served from here.
        docs_url=None,
        redoc_url=None,
    )
    app.state.tidegate = State(gateway, monitor)
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app

"""What the gateway answers to, one file per concern."""

from fastapi import APIRouter

from serving.http.routes import (
    alerts,
    health,
    history,
    ingest,
    metrics,
    model,
    open_inference,
    pages,
    predict,
    reports,
    try_it,
)

ROUTERS: tuple[APIRouter, ...] = (
    predict.router,
    model.router,
    open_inference.router,
    ingest.router,
    health.router,
    metrics.router,
    alerts.router,
    reports.router,
    history.router,
    try_it.router,
    pages.router,
)

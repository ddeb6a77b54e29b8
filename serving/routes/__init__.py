"""What the gateway answers to, one file per concern."""

from fastapi import APIRouter

from serving.routes import alerts, health, model, pages, predict, reports, try_it

ROUTERS: tuple[APIRouter, ...] = (
    predict.router,
    model.router,
    health.router,
    alerts.router,
    reports.router,
    try_it.router,
    pages.router,
)

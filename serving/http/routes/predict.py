"""Predictions by Tidegate's own protocol."""

from fastapi import APIRouter

from serving.http.prediction_routes import add_prediction_routes
from serving.http.protocols.v1 import V1

router = APIRouter(tags=["predictions"])
add_prediction_routes(router, V1)

"""How the API's documentation describes inference by the Open Inference Protocol V2."""

from typing import Any

# What FastAPI's `add_api_route` takes.
INFER_DOCUMENTATION: dict[str, Any] = {
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object", "required": ["inputs"]},
                    "example": {
                        "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["A short text."]}]
                    },
                }
            },
        }
    }
}

"""JSON that a caller sent. Nothing here is trusted."""

from typing import Any

import orjson

from store.errors import BadInput


def parse_json(content: bytes, field: str) -> Any:
    """The value that JSON holds.

    Raises:
        BadInput: it is not JSON; the error names the field.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            f"This is not JSON: {error}. Numbers must be finite: write null, not NaN.", field=field, status=400
        ) from error

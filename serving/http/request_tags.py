"""The caller's tags: a small flat JSON object of slices, such as `{"site": "berlin"}`. Nothing here is trusted."""

from typing import Any

import orjson

from serving.http.json_parsing import parse_json
from store.errors import BadInput

_MAXIMUM_BYTES = 2_048


def parse_tags(content: bytes) -> dict[str, Any]:
    """Tags from JSON.

    Raises:
        BadInput: they are too large, or no flat object.
    """
    if len(content) > _MAXIMUM_BYTES:
        raise BadInput(f"The tags take {len(content):,} bytes; at most {_MAXIMUM_BYTES:,} are kept.", field="tags")
    return check_tags(parse_json(content, "tags"))


def check_tags(tags: Any) -> dict[str, Any]:
    """The same tags, seen to be a flat object.

    Raises:
        BadInput: they are too large, or no flat object.
    """
    if not isinstance(tags, dict) or any(isinstance(value, dict | list) for value in tags.values()):
        raise BadInput('The tags must be a flat JSON object, such as {"site": "berlin"}.', field="tags")
    if len(orjson.dumps(tags)) > _MAXIMUM_BYTES:
        raise BadInput(f"The tags take more than {_MAXIMUM_BYTES:,} bytes.", field="tags")
    return tags

"""The headers by which a caller says how it wants to be answered. Nothing here is trusted."""

from store.errors import BadInput

# By lower-case name, as ASGI gives them.
Headers = dict[bytes, bytes]

TAGS_HEADER = "tidegate-tags"
# Requests with the same key are answered by the same version while a canary is on trial.
KEY_HEADER = "tidegate-key"
TIMEOUT_HEADER = "tidegate-timeout"
# Whoever sends it is told how long each stage took, in the standard header Server-Timing.
TIMING_HEADER = "tidegate-timing"
IDEMPOTENCY_HEADER = "idempotency-key"

_LONGEST_TIMEOUT_SECONDS = 600.0
_LONGEST_IDEMPOTENCY_KEY = 255


def routing_key(headers: Headers) -> str | None:
    """The key by which a canary's share of the callers is chosen, if the caller sent one."""
    key = headers.get(KEY_HEADER.encode())
    return None if key is None else key.decode("latin-1")


def parse_timeout_seconds(headers: Headers) -> float | None:
    """How many seconds the caller waits, if it says so.

    Raises:
        BadInput: it says something else.
    """
    value = headers.get(TIMEOUT_HEADER.encode())
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_TIMEOUT_SECONDS:
        raise BadInput(
            f"The header {TIMEOUT_HEADER} takes seconds above 0 and at most {_LONGEST_TIMEOUT_SECONDS:g}.",
            field=TIMEOUT_HEADER,
        )
    return seconds


def parse_idempotency_key(headers: Headers) -> str | None:
    """The key by which the caller may send the same request again, if it sent one.

    Raises:
        BadInput: it is empty or too long.
    """
    value = headers.get(IDEMPOTENCY_HEADER.encode())
    if value is None:
        return None
    if not 1 <= len(value) <= _LONGEST_IDEMPOTENCY_KEY:
        raise BadInput(
            f"An Idempotency-Key has 1 to {_LONGEST_IDEMPOTENCY_KEY} characters, and {len(value):,} came.",
            field=IDEMPOTENCY_HEADER,
        )
    return value.decode("latin-1")

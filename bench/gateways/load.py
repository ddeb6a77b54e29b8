"""Load from another process: runs `wrk` and parses what it prints."""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("post.lua")
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Load:
    """Requests a second, latency at the median and the 99th percentile, and how many requests failed."""

    per_second: float
    p50_ms: float
    p99_ms: float
    bad: int


def load(url: str, body: bytes, content_type: str, clients: int, seconds: float) -> Load:
    """Post one body for so many seconds from so many clients at once."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        environment = os.environ | {"BENCH_BODY": file.name, "BENCH_CONTENT_TYPE": content_type}
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30s", "--latency", "-s", SCRIPT, url]
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", printed)
    return Load(
        float(re.search(r"Requests/sec:\s+([\d.]+)", printed).group(1)),  # type: ignore[union-attr]
        _milliseconds(printed, "50%"),
        _milliseconds(printed, "99%"),
        (int(bad.group(1)) if bad else 0) + (sum(map(int, errors.groups())) if errors else 0),
    )


def form(content: bytes, content_type: str) -> tuple[bytes, str]:
    """A picture as a form with the field `file`."""
    boundary = "bench5f1ab2"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="picture"\r\n'
    body = f"{head}Content-Type: {content_type}\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _milliseconds(printed: str, quantile: str) -> float:
    match = re.search(rf"\s{quantile}\s+([\d.]+)(us|ms|s|m)", printed)
    return float("nan") if match is None else float(match.group(1)) * _UNITS[match.group(2)]

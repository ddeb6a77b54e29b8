"""A real HTTP server that answers as a webhook's receiver might."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came, and what to answer: each entry of `answers` is used once, then 204."""

    address: str = ""
    answers: list[int | str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def receiving(*answers: int | str) -> Iterator[Receiver]:
    """Receive on a free port: a number is answered as status; "reset", "hang" and "redirect" do as they say."""
    receiver = Receiver(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = receiver.answers.pop(0) if receiver.answers else 204
            if answer == "reset":
                self.connection.close()
                return
            if answer == "hang":
                time.sleep(3)
                return
            self.send_response(302 if answer == "redirect" else int(answer))
            if answer == "redirect":
                self.send_header("location", receiver.address)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.address = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

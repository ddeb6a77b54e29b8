"""LitServe with batching."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import litserve
from fastapi import Request

from bench.gateways.by_hand import ByHand

export, name, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Pictures(litserve.LitAPI):
    def setup(self, _device: str) -> None:
        self.hand = ByHand(export, name)

    def decode_request(self, request: Request):
        return self.hand.decode(request["file"].file.read())

    def batch(self, inputs: list) -> list:
        return inputs

    def predict(self, items: list) -> list:
        return self.hand.run(items)

    def unbatch(self, outputs: list) -> list:
        return outputs

    def encode_response(self, output: dict) -> dict:
        return output


class Rows(Pictures):
    def decode_request(self, request: dict):
        return self.hand.row(request["rows"][0])


if __name__ == "__main__":
    kind = Rows if name == "tabular" else Pictures
    server = litserve.LitServer(kind(max_batch_size=32, batch_timeout=0.002), accelerator="cpu", track_requests=False)
    server.run(port=port, generate_client_file=False, log_level="error")

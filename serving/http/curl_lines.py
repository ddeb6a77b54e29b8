"""Requests for the command line, ready to paste."""

from serving.gateway.gateway import Gateway


def predict_path(name: str | None) -> str:
    """The path that predicts by a served name; None for the default."""
    return "/v1/predict" if name is None else f"/v1/models/{name}/predict"


def curl_line(gateway: Gateway, origin: str, name: str | None = None) -> str:
    """A prediction from the command line.

    Args:
        gateway: the version whose example is shown.
        origin: the gateway's origin.
        name: the served name; None for the default.
    """
    address = f"{origin}{predict_path(name)}"
    takes, example = gateway.engine.adapter.takes, gateway.example
    if takes == "texts":
        return f"curl {address} -H 'content-type: text/plain' -d 'A short text.'"
    if takes == "rows":
        return f"curl {address} -H 'content-type: application/json' \\\n  -d '{{\"rows\": [{example}]}}'"
    return f"curl {address} -F file=@picture.png"


def ingest_curl_line(model: str, origin: str) -> str:
    """A prediction that was made elsewhere, sent from the command line; `origin` is the gateway's origin."""
    return (
        f"curl {origin}/v1/ingest -H 'content-type: application/json' \\\n"
        f'  -d \'{{"model": "{model}", "predictions": [{{"id": "1", "embedding": [0.1, …], "logits": [2.3, …]}}]}}\''
    )

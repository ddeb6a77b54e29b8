"""What the public clients of the Open Inference Protocol get from a gateway. Runs in an environment of their own.

Arguments: the gateway's address, the model's name, a picture's file. Prints JSON: what each client was told.
"""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np


def by_triton(address: str, name: str, content: bytes) -> dict:
    import tritonclient.http as triton

    client = triton.InferenceServerClient(address.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name)
    assert not client.is_model_ready("nothing")
    told = {"metadata": client.get_model_metadata(name), "server": client.get_server_metadata()}
    for binary in (True, False):
        tensor = triton.InferInput("image", [2], "BYTES")
        if binary:
            tensor.set_data_from_numpy(np.array([content, content], object), binary_data=True)
        else:
            import base64

            text = base64.b64encode(content)
            tensor.set_data_from_numpy(np.array([text, text], object), binary_data=False)
        wanted = [
            triton.InferRequestedOutput(output, binary_data=binary)
            for output in ("prediction", "probabilities", "ood_flagged", "id")
        ]
        result = client.infer(name, [tensor], outputs=wanted, request_id="7")
        assert result.get_response()["id"] == "7"
        told["binary" if binary else "json"] = {
            "prediction": [_text(one) for one in result.as_numpy("prediction")],
            "probabilities": result.as_numpy("probabilities").tolist(),
            "ids": [_text(one) for one in result.as_numpy("id")],
        }
    try:
        bad = triton.InferInput("image", [1], "BYTES")
        bad.set_data_from_numpy(np.array([b"no picture"], object))
        client.infer(name, [bad])
    except triton.InferenceServerException as error:
        told["refused"] = str(error)
    client.close()
    return told


def by_kserve(address: str, name: str, content: bytes) -> dict:
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    async def ask() -> dict:
        client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
        assert await client.is_server_live(address)
        assert await client.is_server_ready(address)
        assert await client.is_model_ready(address, name)
        tensor = InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([content], object), binary_data=True)
        response = await client.infer(address, InferRequest(model_name=name, infer_inputs=[tensor]), model_name=name)
        found = {output.name: output for output in response.outputs}
        await client.close()
        return {
            "prediction": [_text(one) for one in found["prediction"].as_numpy().ravel()],
            "ids": [_text(one) for one in found["id"].as_numpy().ravel()],
        }

    return asyncio.run(ask())


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    where, model, picture = sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes()
    told = {"triton": by_triton(where, model, picture), "kserve": by_kserve(where, model, picture)}
    sys.stdout.write(json.dumps(told) + "\n")

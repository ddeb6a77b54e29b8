"""The Open Inference Protocol V2: the same answers in tensors, recorded and scored; what is malformed names its field."""

import base64
import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from serving.open_inference.tensors import BYTES, Tensor, encode_infer, parse_infer
from store.errors import BadInput
from store.store import Store
from tests.conftest import Trained
from tests.serving.learner.test_adapters import ROW
from tests.serving.rollout.test_rollout import pictures

INFER = "/v2/models/digits/infer"


def image_request(contents: list[bytes], **more: Any) -> dict[str, Any]:
    data = [base64.b64encode(content).decode() for content in contents]
    return {"inputs": [{"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": data}], **more}


def outputs(answer: Any) -> dict[str, list[Any]]:
    assert answer.status_code == 200, answer.text
    return {one["name"]: one["data"] for one in answer.json()["outputs"]}


def test_pictures_in_json_are_answered_recorded_and_scored_as_any_other(
    digits_client: TestClient, digits: Trained, sqlite_store: Store
) -> None:
    contents = pictures(digits, 3)
    usual = digits_client.post("/v1/predict", files=[("file", ("a.png", content)) for content in contents]).json()
    answer = digits_client.post(INFER, json=image_request(contents, id="42", parameters={"tags": '{"site": "b"}'}))
    assert answer.json()["id"] == "42"
    assert answer.json()["model_version"] == usual["model"]
    found = outputs(answer)
    assert found["prediction"] == [one["prediction"] for one in usual["predictions"]]
    expected = np.array([list(one["probabilities"].values()) for one in usual["predictions"]])
    np.testing.assert_allclose(np.reshape(found["probabilities"], (3, 10)), expected, atol=1e-4)
    np.testing.assert_allclose(found["ood_p_value"], [one["ood"]["p_value"] for one in usual["predictions"]], atol=0.01)
    from uuid import UUID

    record = sqlite_store.predictions.get(UUID(found["id"][1]))
    assert record is not None
    assert record.tags == {"site": "b"}
    assert record.raw_input is not None
    assert record.raw_input.content == contents[1]


def test_pixels_and_binary_data_give_the_same_answers(digits_client: TestClient, digits: Trained) -> None:
    import io

    from PIL import Image

    contents = pictures(digits, 2)
    expected = outputs(digits_client.post(INFER, json=image_request(contents)))
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(content)).convert("L")) for content in contents])
    head = {
        "inputs": [
            {
                "name": "image",
                "shape": [*pixels.shape, 1],
                "datatype": "UINT8",
                "parameters": {"binary_data_size": pixels.size},
            }
        ],
        "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "prediction"}],
    }
    document = orjson.dumps(head)
    answer = digits_client.post(
        INFER,
        content=document + pixels.tobytes(),
        headers={"inference-header-content-length": str(len(document))},
    )
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["inference-header-content-length"])
    told = orjson.loads(answer.content[:length])
    assert [one["name"] for one in told["outputs"]] == ["probabilities", "prediction"]
    assert told["outputs"][1]["data"] == expected["prediction"]
    got = np.frombuffer(answer.content[length:], "<f4").reshape(2, 10)
    np.testing.assert_allclose(got, np.reshape(expected["probabilities"], (2, 10)), atol=1e-4)


def test_rows_come_as_columns_or_as_json(cells_client: TestClient) -> None:
    usual = cells_client.post("/v1/predict", json={"rows": [ROW, ROW]}).json()["predictions"][0]
    columns = [
        {
            "name": name,
            "shape": [2],
            "datatype": "BYTES" if isinstance(value, str) else "FP64",
            "data": [value, value],
        }
        for name, value in ROW.items()
    ]
    rows = [{"name": "rows", "shape": [1], "datatype": "BYTES", "data": [orjson.dumps(ROW).decode()]}]
    for inputs, n in ((columns, 2), (rows, 1)):
        found = outputs(cells_client.post("/v2/models/cells/infer", json={"inputs": inputs}))
        assert found["prediction"] == [usual["prediction"]] * n
        assert found["confidence"][0] == pytest.approx(usual["confidence"], abs=1e-4)
    described = cells_client.get("/v2/models/cells").json()
    assert {one["name"] for one in described["inputs"]} == set(ROW)


def test_a_mixed_batch_answers_each_input_on_its_own(digits_client: TestClient, digits: Trained) -> None:
    one, two = pictures(digits, 2)
    request = image_request([one, b"no picture", two], outputs=[{"name": "prediction"}])
    found = outputs(digits_client.post(INFER, json=request))
    assert found["prediction"][0]
    assert found["prediction"][1] == ""
    assert found["prediction"][2]
    assert found["error"][0] == found["error"][2] == ""
    assert "not an image" in found["error"][1]


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "image", "shape": [1], "datatype": "BYTES", "data": ["aaaa"], **changes}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": [3]}, "inputs[0]"),
        ({"inputs": [tensor(name=None)]}, "inputs[0].name"),
        ({"inputs": [tensor(datatype="TEXT")]}, "inputs[0].datatype"),
        ({"inputs": [tensor(datatype="FP32", data=[1.0])]}, "inputs[0].datatype"),
        ({"inputs": [tensor(shape=[-1])]}, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[0], data=[])]}, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[10**12])]}, "inputs[0].data"),
        ({"inputs": [tensor(shape=[2])]}, "inputs[0].data"),
        ({"inputs": [tensor(data=[1])]}, "inputs[0].data[0]"),
        ({"inputs": [tensor(data=["%%%"])]}, "inputs[0].data[0]"),
        ({"inputs": [tensor(data=None)]}, "inputs[0].data"),
        ({"inputs": [tensor(parameters={"binary_data_size": 5})]}, "inputs[0].parameters.binary_data_size"),
        ({"inputs": [tensor(datatype="UINT8", data=[300])]}, "inputs[0].data"),
        ({"inputs": [tensor(datatype="UINT8", shape=[1, 1, 1, 2], data=[1, 2])]}, "inputs[0].shape"),
        ({"inputs": [tensor(), tensor()]}, "inputs[0].name"),
        ({"inputs": [tensor(), tensor(name="b")]}, "inputs"),
        ({"inputs": [tensor()], "id": 3}, "id"),
        ({"inputs": [tensor()], "outputs": [{}]}, "outputs[0].name"),
        ({"inputs": [tensor()], "parameters": 3}, "parameters"),
        ({"inputs": [tensor()], "parameters": {"tags": {"a": {}}}}, "tags"),
        ({"inputs": [tensor()]}, "inputs[0].data[0]"),
    ],
)
def test_what_is_malformed_names_its_field(digits_client: TestClient, request_: dict[str, Any], field: str) -> None:
    answer = digits_client.post(INFER, json=request_)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["field"] == field
    assert answer.json()["error"]
    assert answer.json()["curl"].startswith("curl http")


def test_binary_bodies_cut_anywhere_are_refused(digits_client: TestClient, digits: Trained) -> None:
    (content,) = pictures(digits, 1)
    element = struct.pack("<I", len(content)) + content
    head = orjson.dumps({"inputs": [tensor(data=None, parameters={"binary_data_size": len(element)})]})
    whole = head + element
    headers = {"inference-header-content-length": str(len(head))}
    assert digits_client.post(INFER, content=whole, headers=headers).status_code == 200
    for cut in (0, 5, len(head) - 1, len(head), len(head) + 3, len(whole) - 1):
        answer = digits_client.post(INFER, content=whole[:cut], headers=headers)
        assert 400 <= answer.status_code < 500, (cut, answer.text)
    for wrong in ("-1", "x", "9" * 30, str(len(whole) + 1)):
        answer = digits_client.post(INFER, content=whole, headers={"inference-header-content-length": wrong})
        assert answer.json()["field"] == "inference-header-content-length"


DATATYPES = st.sampled_from(["FP32", "FP64", "INT8", "INT64", "UINT8", "BOOL", BYTES])


@given(datatype=DATATYPES, shape=st.lists(st.integers(0, 4), min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_tensors_come_back_as_they_were_sent_in_json_and_as_binary(datatype: str, shape: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(np.prod(shape))
    if datatype == BYTES:
        values = np.empty(count, object)
        values[:] = [f"é{number}" * int(rng.integers(0, 4)) for number in rng.integers(0, 99, count)]
        values = values.reshape(shape)
    else:
        kind = {"FP32": "f4", "FP64": "f8", "INT8": "i1", "INT64": "i8", "UINT8": "u1", "BOOL": "?"}[datatype]
        values = rng.integers(0, 2, shape).astype(kind)
    for binary in (False, True):
        body, headers = encode_infer({}, [(Tensor("a", datatype, values), binary)])
        length = int(headers.get("Inference-Header-Content-Length", len(body)))
        sent = orjson.dumps({"inputs": orjson.loads(body[:length])["outputs"]}) + body[length:]
        told = str(len(sent) - len(body[length:])).encode()
        found = parse_infer({b"inference-header-content-length": told}, sent).tensors[0]
        assert found.values.shape == values.shape
        got = [one.decode() if isinstance(one, bytes) else one for one in found.values.ravel().tolist()]
        assert got == values.ravel().tolist()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), byte=st.integers(0, 255), length=st.integers(0, 400))
def test_no_bytes_break_the_parser(cut: int, byte: int, length: int) -> None:
    head = orjson.dumps(
        {"inputs": [{"name": "a", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 12}}]}
    )
    whole = bytearray(head + struct.pack("<I", 2) + b"ab" + struct.pack("<I", 2) + b"cd")
    whole[cut % len(whole)] = byte
    for told in (length, len(head)):
        refused = None
        try:
            parse_infer({b"inference-header-content-length": str(told).encode()}, bytes(whole))
        except BadInput as error:
            refused = error
        assert refused is None or refused.field


def test_health_and_readiness(digits_client: TestClient, digits: Trained) -> None:
    assert digits_client.get("/v2/health/live").json() == {"live": True}
    assert digits_client.get("/v2/health/ready").json() == {"ready": True}
    assert digits_client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert digits_client.get("/v2/models/digits/ready").json() == {"name": "digits", "ready": True}
    (version,) = digits_client.get("/v2/models/digits").json()["versions"]
    assert digits_client.get(f"/v2/models/digits/versions/{version}/ready").status_code == 200
    answer = digits_client.post(f"/v2/models/digits/versions/{version}/infer", json=image_request(pictures(digits, 1)))
    assert answer.status_code == 200
    for path in ("/v2/models/nothing", "/v2/models/nothing/ready", "/v2/models/digits/versions/000000"):
        assert digits_client.get(path).status_code == 404
        assert digits_client.get(path).json()["error"]

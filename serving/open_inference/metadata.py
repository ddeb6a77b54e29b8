"""What clients of the Open Inference Protocol V2 ask before they send: the names, datatypes and shapes of tensors."""

from collections.abc import Sequence
from typing import Any

from serving.gateway.gateway import Gateway
from serving.open_inference.tensors import BYTES


def model_metadata(gateway: Gateway, name: str, versions: Sequence[str]) -> dict[str, Any]:
    """A model's tensors; a size of −1 stands for any."""
    adapter, classes = gateway.engine.adapter, gateway.engine.task.classes
    if adapter.takes == "rows":
        example = adapter.columns(adapter.examples()[0])
        inputs = [{"name": column, "datatype": _datatype_of(value), "shape": [-1]} for column, value in example.items()]
    else:
        inputs = [{"name": "image" if adapter.takes == "pictures" else "text", "datatype": BYTES, "shape": [-1]}]
    outputs: list[dict[str, Any]] = [{"name": "id", "datatype": BYTES, "shape": [-1]}]
    shape = [] if classes else list(gateway.engine.prediction_shape)
    outputs.append({"name": "prediction", "datatype": BYTES if classes else "FP64", "shape": [-1, *shape]})
    if classes:
        outputs.append({"name": "probabilities", "datatype": "FP32", "shape": [-1, len(classes)]})
    if gateway.engine.task.name == "single_label":
        outputs.append({"name": "confidence", "datatype": "FP64", "shape": [-1]})
    if gateway.reference is not None:
        outputs += [
            {"name": "ood_score", "datatype": "FP64", "shape": [-1]},
            {"name": "ood_p_value", "datatype": "FP64", "shape": [-1]},
            {"name": "ood_flagged", "datatype": "BOOL", "shape": [-1]},
        ]
    return {
        "name": name,
        "versions": list(versions),
        "platform": f"fastai_{adapter.application}",
        "inputs": inputs,
        "outputs": outputs,
        "parameters": {"classes": classes},
    }


def _datatype_of(value: Any) -> str:
    if isinstance(value, str):
        return BYTES
    return "BOOL" if isinstance(value, bool) else "FP64"

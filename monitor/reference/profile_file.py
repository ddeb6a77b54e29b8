"""The reference's file: safetensors with JSON in its header, and a checksum over every byte. Never a pickle."""

import hashlib
import json
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from monitor.reference.fusion import TailLog
from monitor.reference.profile_content import (
    Examples,
    Origin,
    ParitySample,
    ReferenceContent,
    ThinClass,
)
from monitor.reference.rows import Rows, float16_scale
from monitor.reference.scorers import SCORERS
from store.errors import BadReference

FORMAT = 2
_NO_CHECKSUM = "0" * 64
_ADDED_LATER = frozenset({"embedding_layer", "made_with", "loaded_with"})

Arrays = dict[str, npt.NDArray[Any]]


def write(reference: ReferenceContent, path: Path) -> Path:
    """Write a reference's file in one step: a reader sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(encode(reference))
    partial.replace(path)
    return path


def read(path: Path) -> ReferenceContent:
    """Read a reference file.

    Raises:
        BadReference: it is missing, damaged, or not a reference.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadReference(
            f"The reference {path} can't be read: {error.strerror}. Make it with `tidegate profile`."
        ) from error
    return decode(content, str(path))


def encode(reference: ReferenceContent) -> bytes:
    """The content of a reference's file; the same reference gives the same bytes."""
    header = {**_header(reference), "sha256": _NO_CHECKSUM}
    # One entry only: safetensors writes several in any order, and the same reference must give the same bytes.
    content: bytes = save_tensors(_arrays(reference), {"tidegate": json.dumps(header, sort_keys=True)})
    # The checksum is of the whole file with zeros where the checksum stands.
    checksum = hashlib.sha256(content).hexdigest()
    return content.replace(_NO_CHECKSUM.encode(), checksum.encode(), 1)


def decode(content: bytes, label: str = "reference") -> ReferenceContent:
    """The reference in a file's content.

    Raises:
        BadReference: it is damaged or not a reference.
    """
    header = _checked_header(content, label)
    try:
        arrays: Arrays = load_tensors(content)
    except SafetensorError as error:
        raise BadReference(f"The reference {label} can't be read: {error}. Make it again.") from error
    methods = {method.name: method for method in SCORERS}
    unknown = [name for name in header["scorers"] if name not in methods]
    if unknown:
        raise BadReference(
            f"The reference {label} uses the scorers {', '.join(unknown)}, which this version does not know. "
            "Make it again with `tidegate profile`."
        )
    held_out = _below(arrays, "held_out/")
    return ReferenceContent(
        scorers={name: methods[name].from_arrays(_below(arrays, f"scorer/{name}/")) for name in header["scorers"]},
        tails={
            name: TailLog(arrays[f"tail/{name}"], tail["threshold"], tail["scale"])
            for name, tail in header["tails"].items()
        },
        calibration_scores=arrays["calibration_scores"],
        held_out=Rows.of(
            held_out["embeddings"].astype(np.float32) * np.float32(header["embedding_scale"]),
            held_out.get("logits"),
            held_out.get("labels"),
            {name: held_out[f"part/{name}"] for name in header["scorers"]},
            held_out.get("numbers"),
        ),
        alpha=header["alpha"],
        training_rows=header["training_rows"],
        held_out_rows=header["held_out_rows"],
        certificate=header["certificate"],
        warnings=tuple(header["warnings"]),
        origin=None if header["origin"] is None else Origin(**header["origin"]),
        examples=_examples(arrays, header),
        parity_samples=tuple(
            ParitySample(
                sample["media_type"], arrays[f"probe/{index}/content"].tobytes(), _below(arrays, f"probe/{index}/step/")
            )
            for index, sample in enumerate(header["probes"])
        ),
        columns=_unpacked(arrays["columns"]),
        categories=_unpacked(arrays["categories"]) if "categories" in arrays else {},
        number_names=tuple(header.get("number_names", ())),
        thin_classes=tuple(ThinClass(**thin) for thin in header.get("thin_classes", ())),
    )


def _checked_header(content: bytes, label: str) -> dict[str, Any]:
    damaged = BadReference(
        f"The reference {label} is damaged, cut short, or not a reference at all: its checksum does not fit. "
        "Copy it again, or make it again with `tidegate profile`."
    )
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["tidegate"])
        checksum = header["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
    unsigned = content.replace(checksum.encode(), _NO_CHECKSUM.encode(), 1)
    if len(checksum) != len(_NO_CHECKSUM) or hashlib.sha256(unsigned).hexdigest() != checksum:
        raise damaged
    if header.get("format") != FORMAT:
        raise BadReference(
            f"The reference {label} has format {header.get('format')} and this version reads {FORMAT}. "
            "Make it again with `tidegate profile`."
        )
    fields: dict[str, Any] = header
    return fields


def _header(reference: ReferenceContent) -> dict[str, Any]:
    examples = reference.examples
    # What a learner does not have is left out, so that an older reference is written again byte by byte.
    only_some: dict[str, Any] = {
        "number_names": list(reference.number_names),
        "thin_classes": [asdict(thin) for thin in reference.thin_classes],
    }
    return {
        **{name: value for name, value in only_some.items() if value},
        "format": FORMAT,
        "scorers": list(reference.scorers),
        "tails": {name: {"threshold": tail.threshold, "scale": tail.scale} for name, tail in reference.tails.items()},
        "alpha": reference.alpha,
        "embedding_scale": float16_scale(reference.held_out.embeddings),
        "training_rows": reference.training_rows,
        "held_out_rows": reference.held_out_rows,
        "certificate": reference.certificate,
        "warnings": list(reference.warnings),
        "origin": None if reference.origin is None else _origin_fields(reference.origin),
        "probes": [{"media_type": sample.media_type} for sample in reference.parity_samples],
        "examples": None
        if examples is None
        else {"captions": examples.captions, "lengths": [len(picture) for picture in examples.pictures]},
    }


def _origin_fields(origin: Origin) -> dict[str, Any]:
    """Without what was added later and is not known, so that an older reference is written again as it was."""
    fields = asdict(origin)
    return {name: value for name, value in fields.items() if value is not None or name not in _ADDED_LATER}


def _arrays(reference: ReferenceContent) -> Arrays:
    held_out = reference.held_out
    arrays: Arrays = {
        "calibration_scores": reference.calibration_scores,
        "held_out/embeddings": (held_out.embeddings / np.float32(float16_scale(held_out.embeddings))).astype(
            np.float16
        ),
        "columns": _packed(reference.columns),
    }
    if reference.categories:
        arrays["categories"] = _packed(reference.categories)
    for name in ("logits", "labels", "numbers"):
        value = getattr(held_out, name)
        if value is not None:
            arrays[f"held_out/{name}"] = value
    arrays |= {f"held_out/part/{name}": part for name, part in held_out.parts.items()}
    for name, scorer in reference.scorers.items():
        arrays |= {f"scorer/{name}/{key}": value for key, value in scorer.arrays().items()}
        arrays[f"tail/{name}"] = reference.tails[name].values
    for index, sample in enumerate(reference.parity_samples):
        arrays[f"probe/{index}/content"] = _bytes(sample.content)
        arrays |= {f"probe/{index}/step/{step}": value for step, value in sample.steps.items()}
    if reference.examples is not None:
        arrays["examples/embeddings"] = reference.examples.embeddings.astype(np.float16)
        arrays["examples/pictures"] = _bytes(b"".join(reference.examples.pictures))
        if reference.examples.contents:
            arrays["examples/contents"] = _packed(reference.examples.contents)
    return {name: np.ascontiguousarray(value) for name, value in arrays.items()}


def _examples(arrays: Arrays, header: dict[str, Any]) -> Examples | None:
    fields = header["examples"]
    if fields is None:
        return None
    joined = arrays["examples/pictures"].tobytes()
    ends = np.cumsum(fields["lengths"], dtype=np.int64)
    pictures = [joined[end - length : end] for end, length in zip(ends, fields["lengths"], strict=True)]
    contents = _unpacked(arrays["examples/contents"]) if "examples/contents" in arrays else []
    return Examples(arrays["examples/embeddings"].astype(np.float32), fields["captions"], pictures, contents)


def _packed(document: Any) -> npt.NDArray[np.uint8]:
    """Plain values as the bytes of compressed JSON."""
    return _bytes(zlib.compress(orjson.dumps(document)))


def _unpacked(array: npt.NDArray[np.uint8]) -> Any:
    return orjson.loads(zlib.decompress(array.tobytes()))


def _bytes(content: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def _below(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays whose names start with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

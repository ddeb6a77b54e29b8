"""The environments of an export are told beside it and in its reference, as far as they are known."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from monitor.reference.profile import Reference
from serving.learner.export.bytecode import HERE
from serving.learner.export.environment import (
    ExportEnvironment,
    differences,
    environment_beside,
    environment_here,
    read_environment,
    write_environment,
)
from serving.learner.loading import load, sha256_of
from serving.learner.tiny import train_tiny_learner
from serving.profiling.notebook import profile_learner
from store.errors import BadLearner


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    return train_tiny_learner(tmp_path_factory.mktemp("tiny"))


def test_a_profile_where_the_learner_was_trained_tells_what_made_the_export(tiny: tuple[Any, Path]) -> None:
    learner, export = tiny
    reference = profile_learner(learner, export)
    document = json.loads(environment_beside(export).read_text())
    assert environment_beside(export).name == "tiny.environment.json"
    assert (document["format"], document["learner_sha256"]) == (1, sha256_of(export))
    assert document["made_with"] == document["loaded_with"] == environment_here()
    assert document["made_with"]["python"].startswith(f"{HERE}.")
    assert {"implementation", "platform", "fastai", "torch"} <= set(document["made_with"])
    kept = Reference.load(reference.save(export.with_suffix(".reference"))).origin
    assert kept is not None
    assert kept.made_with == kept.loaded_with == environment_here()
    assert load(export).made_with == environment_here()


def test_an_export_of_another_python_is_told_by_its_bytecode(tmp_path: Path) -> None:
    python = "3.12" if HERE != "3.12" else "3.13"
    packed = Path(__file__).parents[3] / "compatibility" / "other_pythons" / f"made_on_{python}" / "folders.pkl.gz"
    (tmp_path / "export.pkl").write_bytes(gzip.decompress(packed.read_bytes()))
    assert load(tmp_path / "export.pkl").made_with == {"python": python}


def test_what_tells_of_another_file_is_not_believed(tiny: tuple[Any, Path], tmp_path: Path) -> None:
    _, export = tiny
    moved = tmp_path / "export.pkl"
    moved.write_bytes(export.read_bytes())
    write_environment(moved, ExportEnvironment("0" * 64, environment_here(), environment_here()))
    # What its own pickle shows is believed.
    assert load(moved).made_with in (None, {"python": HERE})
    for damaged in ("", "[]", '{"format": 1}', '{"format": 2}', '{"format": 1, "learner_sha256": "0", "made_with": 3}'):
        environment_beside(moved).write_text(damaged)
        assert read_environment(moved, sha256_of(moved)) is None


def test_a_folder_that_can_not_be_written_is_no_reason_to_stop(tmp_path: Path, caplog: Any) -> None:
    write_environment(tmp_path / "no" / "export.pkl", ExportEnvironment("0" * 64, None, environment_here()))
    assert "can't be written" in caplog.text


def test_a_learner_that_fails_to_load_is_said_to_come_from_other_versions(tmp_path: Path) -> None:
    class Broken:
        def __reduce__(self) -> Any:
            return (int, ("no number",))

    export = tmp_path / "export.pkl"
    torch.save(Broken(), export)
    made_with = {**environment_here(), "fastai": "2.7.18"}
    write_environment(export, ExportEnvironment(sha256_of(export), made_with, None))
    with pytest.raises(
        BadLearner, match=r"It was exported with fastai 2\.7\.18 \(here 2\.8\.\d+\): use the same versions"
    ):
        load(export)
    assert differences(environment_here()) == differences(None) == ""

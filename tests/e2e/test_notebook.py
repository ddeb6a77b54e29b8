"""The notebook of the README, run cell by cell in a real Jupyter kernel."""

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import environment

JUPYTER = ("nbformat", "nbclient", "ipykernel")
# Where they are required, one that is missing is a failure.
if "REQUIRE_JUPYTER" not in os.environ:
    for library in JUPYTER:
        pytest.importorskip(library)
nbformat, nbclient, _ = map(import_module, JUPYTER)

pytestmark = pytest.mark.e2e

README = Path(__file__).parents[2] / "README.md"
LARGEST_NOTEBOOK_BYTES = 1_000_000
LARGEST_TEXT_CHARACTERS = 2_000

# What the README leaves to the reader: a learner, a picture, and new pictures, darker ones among them.
TRAINING = """
import numpy as np

def write(folder, number, seed, darker=1.0):
    rng = np.random.default_rng(seed)
    for index in range(number):
        kind = ("left", "right")[index % 2]
        pixels = rng.integers(0, 90, (24, 24), dtype=np.uint8)
        half = slice(0, 12) if kind == "left" else slice(12, 24)
        pixels[:, half] += 120
        (Path(folder) / kind).mkdir(parents=True, exist_ok=True)
        PILImage.create((pixels * darker).astype(np.uint8)).save(Path(folder) / kind / f"{index}.png")

write("pictures/train", 240, 0)
write("pictures/valid", 160, 1)
write("new_pictures", 120, 2, darker=0.2)
PILImage.create(get_image_files("pictures/valid")[0]).save("picture.png")
loaders = ImageDataLoaders.from_folder("pictures", train="train", valid="valid", bs=32, num_workers=0, item_tfms=Resize(24))
model = nn.Sequential(ConvLayer(3, 8, stride=2), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, loaders.c))
learn = Learner(loaders, model, loss_func=CrossEntropyLossFlat(), metrics=accuracy, path=Path.cwd())
with learn.no_bar(), learn.no_logging():
    learn.fit(3, 1e-2)
"""


def readme_cells() -> list[str]:
    """The code blocks of the README's notebook, from the imports to the end of the service."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    first = next(index for index, block in enumerate(blocks) if block.startswith("import tidegate"))
    last = next(index for index, block in enumerate(blocks) if "service.stop()" in block)
    return [block.strip() for block in blocks[first : last + 1]]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook after every cell has been run, in a folder of its own."""
    folder = tmp_path_factory.mktemp("notebook")
    imports, *rest = readme_cells()
    cells = [nbformat.v4.new_code_cell(source) for source in (imports, TRAINING, *rest)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment() | {"IPYTHONDIR": str(folder / "ipython")})
    return notebook


def output_of(notebook: Any, call: str) -> str:
    """What the cell that makes a call shows: its last result as HTML and as text, and what it printed."""
    (cell,) = [cell for cell in notebook.cells if call in cell.source]
    shown = [output.get("text", "") for output in cell.outputs]
    shown += [text for output in cell.outputs for text in output.get("data", {}).values()]
    return "\n".join(shown)


def test_every_cell_of_the_readme_runs_and_shows_what_it_is_about(executed: Any) -> None:
    profiled = output_of(executed, "profile(learn)")
    assert "training rows: 4 of 4 batches" in profiled
    assert "ipywidgets" not in profiled
    assert "<th>held-out rows</th>" in profiled
    started = output_of(executed, "serve(learn, reference)")
    assert "Measuring the fastest way" in started
    assert "Prediction(" in started
    watched = output_of(executed, "service.watch()")
    assert "Production has shifted" in watched
    assert "/reports/" in watched


def test_the_saved_notebook_stays_small(executed: Any) -> None:
    assert len(nbformat.writes(executed)) < LARGEST_NOTEBOOK_BYTES
    texts = [output.get("data", {}).get("text/plain", "") for cell in executed.cells for output in cell.outputs]
    assert max(map(len, texts)) < LARGEST_TEXT_CHARACTERS

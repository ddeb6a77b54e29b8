"""How long each part takes to import, and the memory it then holds: `python -m bench.startup`."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.tables import publish

PARTS = {
    "import tidegate": "import tidegate",
    "the client": "from tidegate import Client",
    "the monitor": "import tidegate.cli.monitor, tidegate.monitor_jobs, tidegate.settings, monitor.scheduling.schedule",
    "the gateway": "import tidegate.server",
}
_MEASURE = """
import sys, time
began = time.perf_counter()
{code}
seconds = time.perf_counter() - began
heavy = sorted({{name.partition(".")[0] for name in sys.modules}} & {{"torch", "fastai", "numpy", "sqlalchemy", "fastapi"}})
# Of this program alone: what getrusage says is never less than what its parent held.
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(seconds, peak, " ".join(heavy))
"""


@dataclass(frozen=True)
class Startup:
    """The median seconds an import takes, the megabytes the process then holds, and which heavy libraries came with it."""

    seconds: float
    megabytes: float
    libraries: str


def startup(code: str, python: str | Path = sys.executable, folder: Path | None = None, repeats: int = 3) -> Startup:
    """Import in fresh processes of a Python, in a folder whose modules are not in the way."""
    runs = []
    for _ in range(repeats):
        command = [python, "-W", "ignore", "-c", _MEASURE.format(code=code)]
        runs.append(subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout.split())
    return Startup(
        median(float(run[0]) for run in runs),
        median(float(run[1]) for run in runs) / 1024,
        ", ".join(runs[0][2:]) or "none",
    )


def main() -> None:
    rows = []
    for part, code in PARTS.items():
        measured = startup(code)
        rows.append([part, f"{1e3 * measured.seconds:,.0f}", f"{measured.megabytes:,.0f}", measured.libraries])
    note = "Median of three fresh processes with warm files. Of the libraries only the five heaviest are looked for."
    columns = ["", "milliseconds", "memory, MB", "imports of"]
    publish("startup", "Start-up of each part", columns, rows, note, "python -m bench.startup")


if __name__ == "__main__":
    main()

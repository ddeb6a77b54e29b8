"""The command line, one file per verb. Verbs import what they need when they run, so that help comes at once."""

import sys
import traceback

import typer

from tidegate.cli import (
    alerts,
    backup,
    baseline,
    check,
    database,
    doctor,
    export,
    fsck,
    ingest,
    monitor,
    profile,
    replay,
    report,
    rollout,
    serve,
    settings,
    tune,
)
from tidegate.shadowed_packages import check_shadowed_packages

app = typer.Typer(
    name="tidegate",
    help="Serve an exported fastai learner, record every prediction, and notice when production leaves training.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
# As sysexits.h has it. Python's own 1 means "shifted" to whoever runs `tidegate check`.
INTERNAL_ERROR = 70
VERBS = (
    profile,
    tune,
    serve,
    check,
    monitor,
    report,
    alerts,
    replay,
    ingest,
    export,
    backup,
    fsck,
    doctor,
    settings,
)
for verb in VERBS:
    verb.register(app)
app.add_typer(rollout.app, name="rollout")
app.add_typer(baseline.app, name="baseline")
app.add_typer(database.app, name="db")


def main() -> None:
    """Run a verb. An error that a person has to know of is one line and exit code 2."""
    try:
        check_shadowed_packages()
    except ImportError as error:
        typer.secho(f"Tidegate can't start: {error}", err=True, fg=typer.colors.RED)
        sys.exit(2)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - what nobody foresaw is printed whole, and ends with a code of its own
        # Imported late, as everything from the rooms below is: `--help` must come at once.
        from store.errors import TidegateError

        if not isinstance(error, TidegateError):
            traceback.print_exc()
            sys.exit(INTERNAL_ERROR)
        typer.secho(f"{error.title}: {error}", err=True, fg=typer.colors.RED)
        sys.exit(2)

"""Command lines that people are told to run: they work from any folder, and show no password."""

import shlex

from store.database.engine import Database


def command_on(database: Database, *words: str) -> str:
    """A command line of Tidegate that reads this record; where its URL can't be shown, the command and a word on that."""
    command = shlex.join(["tidegate", *words])
    url = database.url_to_share
    if url is None:
        return f"{command}, with the --database that was given here"
    return f"{command} --database {shlex.quote(url)}"

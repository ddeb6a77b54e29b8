"""How log lines look: time, level, room, words; on standard error."""

import logging


def configure_logging(level: int = logging.INFO) -> None:
    """Log our rooms from a level on to standard error; other libraries only from warnings on."""
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", level=logging.WARNING)
    for room in ("tidegate", "serving", "monitor", "reports", "store"):
        logging.getLogger(room).setLevel(level)

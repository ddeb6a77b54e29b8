"""The format of log lines: time, level, logger, message; on standard error."""

import logging


def configure_logging(level: int = logging.INFO) -> None:
    """Log Tidegate's own messages of this level or above to standard error; of other libraries only warnings and errors."""
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", level=logging.WARNING)
    for room in ("tidegate", "serving", "monitor", "reports", "store"):
        logging.getLogger(room).setLevel(level)

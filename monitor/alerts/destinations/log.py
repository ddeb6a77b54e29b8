"""The log: where alerts go when nothing else is set."""

import logging

from monitor.alerts.destinations.base import Destination
from monitor.alerts.message import Message
from store.repositories.alerts import AlertState

logger = logging.getLogger("tidegate.alerts")


class Log(Destination):
    """Writes each change of state as one line: a warning when an alert fires, an info when it resolves."""

    def __init__(self, address: str) -> None:
        self.address = address

    @classmethod
    def takes(cls, address: str) -> bool:
        return address == "log"

    def send(self, message: Message) -> None:
        level = logging.WARNING if message.state is AlertState.FIRING else logging.INFO
        logger.log(level, "%s. %s %s", message.title, message.sentence, message.url)

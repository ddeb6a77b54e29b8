"""The one shape of a destination."""

from typing import Protocol

from monitor.alerts.message import Message


class DeliveryError(Exception):
    """A message was not taken.

    Args:
        permanent: trying again can't help.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class Destination(Protocol):
    """Somewhere an alert can go."""

    def __init__(self, address: str) -> None: ...

    @classmethod
    def takes(cls, address: str) -> bool:
        """Whether this kind of destination understands the address."""
        ...

    def send(self, message: Message) -> None:
        """Hand the message over.

        Raises:
            DeliveryError: it was not taken.
        """
        ...

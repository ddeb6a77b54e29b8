"""Where alerts go, one kind per file. A new kind registers itself in `DESTINATIONS`."""

from monitor.alerts.destinations.base import DeliveryError, Destination
from monitor.alerts.destinations.log import Log
from monitor.alerts.destinations.webhook import Webhook
from store.errors import BadSettings

DESTINATIONS: tuple[type[Destination], ...] = (Log, Webhook)


def destination(address: str) -> Destination:
    """The destination that an address of the settings names.

    Raises:
        BadSettings: no kind of destination takes this address.
    """
    for kind in DESTINATIONS:
        if kind.takes(address):
            return kind(address)
    raise BadSettings(f"No kind of destination takes the address {address!r}. Write log, or http(s)://… for a webhook.")


__all__ = ["DESTINATIONS", "DeliveryError", "Destination", "destination"]

"""Where people open the pages that messages link to: what the settings say, else the gateway that serves this record."""

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from monitor.settings import MonitorSettings
from store.repositories.processes import ProcessKind, ProcessRecord
from store.store import Store

# Under this name a gateway's heartbeat says where its pages are.
ADDRESS = "address"
_USUAL_ADDRESS = "http://127.0.0.1:8000"


def pages_address(store: Store, settings: MonitorSettings) -> str:
    """The address of the pages, without a slash at its end.

    Where `public_url` was not set it is that of the gateway seen last; one that answers only its own machine is taken
    only there.
    """
    address = settings.public_url
    if not address:
        addresses = (_reachable_address(process) for process in store.processes.all())
        address = next((found for found in addresses if found is not None), _USUAL_ADDRESS)
    return address.rstrip("/")


def _reachable_address(process: ProcessRecord) -> str | None:
    address: Any = process.state.get(ADDRESS)
    if process.kind is not ProcessKind.GATEWAY or not isinstance(address, str):
        return None
    return address if process.host == socket.gethostname() or not _is_of_one_machine(address) else None


def _is_of_one_machine(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

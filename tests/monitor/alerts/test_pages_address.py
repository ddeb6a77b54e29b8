"""Messages link to the gateway that serves the record, unless the settings name another address."""

import pytest
from sqlalchemy import update

from monitor.alerts.pages_address import pages_address
from monitor.settings import MonitorSettings
from store.database.tables import ProcessRow
from store.repositories.processes import ProcessKind, ProcessRepository
from store.store import Store


def beat(
    store: Store, address: str | None, *, host: str | None = None, kind: ProcessKind = ProcessKind.GATEWAY
) -> None:
    """A process of its own says where it answers, perhaps from another machine."""
    processes = ProcessRepository(store.database)
    processes.record_heartbeat(kind, {} if address is None else {"address": address})
    if host is not None:
        with store.writing() as transaction:
            transaction.execute(update(ProcessRow).where(ProcessRow.id == processes.all()[0].id).values(host=host))


def test_the_gateway_seen_last_is_linked_to(store: Store) -> None:
    beat(store, "http://127.0.0.1:8001")
    beat(store, "http://127.0.0.1:8002/")
    beat(store, None, kind=ProcessKind.MONITOR)
    assert pages_address(store, MonitorSettings()) == "http://127.0.0.1:8002"


def test_the_address_in_the_settings_goes_before_every_gateway(store: Store) -> None:
    beat(store, "http://127.0.0.1:8001")
    assert pages_address(store, MonitorSettings(public_url="https://gate.example/")) == "https://gate.example"


@pytest.mark.parametrize("address", ["http://127.0.0.1:8001", "http://localhost:8001", "http://[::1]:8001"])
def test_a_gateway_that_answers_another_machine_alone_is_not_linked_to(store: Store, address: str) -> None:
    beat(store, address, host="elsewhere")
    assert pages_address(store, MonitorSettings()) == "http://127.0.0.1:8000"


def test_a_gateway_on_another_machine_is_linked_to_where_everyone_reaches_it(store: Store) -> None:
    beat(store, "http://10.0.0.7:8001", host="elsewhere")
    assert pages_address(store, MonitorSettings()) == "http://10.0.0.7:8001"


def test_gateways_of_before_that_say_no_address_are_passed_over(store: Store) -> None:
    beat(store, "http://127.0.0.1:8001")
    beat(store, None)
    assert pages_address(store, MonitorSettings()) == "http://127.0.0.1:8001"

"""Delivery: messages that are owed are sent, those that fail are tried again later, and those that can't work given up."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from monitor.alerts.destinations import DeliveryError, destination
from monitor.alerts.message import Message
from monitor.alerts.pages_address import pages_address
from monitor.settings import MonitorSettings
from store.errors import BadSettings
from store.repositories.deliveries import Delivery
from store.store import Store

logger = logging.getLogger(__name__)

FIRST_RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(hours=1)
ATTEMPTS = 12
# Longer than any send takes, so that two monitors never send one message at the same time.
CLAIM = timedelta(minutes=2)

Clock = Callable[[], datetime]


def deliver_due(store: Store, settings: MonitorSettings, now: Clock | None = None) -> int:
    """Send every message that is due by the database's clock, and say how many their destinations took."""
    now = now or store.database.utc_now
    names = {model.sha256: model.name for model in store.models.all()}
    sent = 0
    for delivery in store.deliveries.due(now()):
        if not store.deliveries.claim(delivery, now() + CLAIM):
            continue
        message = Message.of_alert(
            delivery.event,
            names.get(delivery.event.model_sha256, delivery.event.model_sha256[:12]),
            f"{pages_address(store, settings)}/reports/{delivery.event.run_id}",
        )
        sent += _send(store, delivery, message, now)
    return sent


def deliver_system_alerts(store: Store, settings: MonitorSettings, now: Clock | None = None) -> None:
    """Send alerts about the installation itself, to each destination until it takes them."""
    now = now or store.database.utc_now
    for alert in store.system_alerts.due(now()):
        if not store.system_alerts.claim(alert, now() + CLAIM):
            continue
        message = Message.of_system_alert(alert, f"{pages_address(store, settings)}/alerts")
        still_owed = []
        for address in alert.owed:
            try:
                destination(address).send(message)
            except (DeliveryError, BadSettings) as error:
                logger.warning("notice %s to %s: %s", alert.subject, address, error)
                if isinstance(error, DeliveryError) and not error.permanent and alert.attempts + 1 < ATTEMPTS:
                    still_owed.append(address)
        store.system_alerts.record_attempt(alert, still_owed, now() + retry_after(alert.attempts + 1))


def _send(store: Store, delivery: Delivery, message: Message, now: Clock) -> bool:
    """Send one message and write down what became of it; True if its destination took it."""
    try:
        destination(delivery.destination).send(message)
    except (DeliveryError, BadSettings) as error:
        permanent = isinstance(error, BadSettings) or error.permanent
        attempts = delivery.attempts + 1
        if permanent or attempts >= ATTEMPTS:
            logger.error("alert %s to %s given up: %s", delivery.event.id, delivery.destination, error)
            store.deliveries.give_up(delivery.id, str(error))
        else:
            wait = retry_after(attempts)
            logger.warning("alert %s to %s: %s; again in %s", delivery.event.id, delivery.destination, error, wait)
            store.deliveries.retry(delivery.id, str(error), now() + wait)
        return False
    store.deliveries.mark_sent(delivery.id)
    return True


def retry_after(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts: doubling from ten seconds to an hour."""
    return min(FIRST_RETRY * int(2 ** (attempts - 1)), LONGEST_RETRY)

"""A webhook: the message as JSON, posted to an address of the operator's."""

import httpx

from monitor.alerts.destinations.base import DeliveryError, Destination
from monitor.alerts.message import Message

TIMEOUT = httpx.Timeout(10.0, connect=5.0)


class Webhook(Destination):
    """Posts JSON. Any 2xx is a yes; redirects are not followed, and what the receiver answers is not read."""

    def __init__(self, address: str) -> None:
        self.address = address

    @classmethod
    def takes(cls, address: str) -> bool:
        return address.startswith(("http://", "https://"))

    def send(self, message: Message) -> None:
        headers = {
            # The names of the Standard Webhooks convention, so that common receivers know the id as the message's.
            "webhook-id": str(message.id),
            "webhook-timestamp": str(int(message.at.timestamp())),
            "user-agent": "tidegate",
        }
        try:
            with (
                httpx.Client(timeout=TIMEOUT, follow_redirects=False) as client,
                client.stream("POST", self.address, json=message.as_json(), headers=headers) as answer,
            ):
                status = answer.status_code
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise DeliveryError(f"the address can't be used: {error}", permanent=True) from error
        except httpx.HTTPError as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error
        if status == httpx.codes.GONE:
            raise DeliveryError("the receiver answered 410: it is gone for good", permanent=True)
        if not 200 <= status < 300:
            raise DeliveryError(f"the receiver answered {status}")

"""The message that destinations get when an alert changes its state."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from monitor import checks
from store.repositories.alerts import AlertEvent, AlertState
from store.repositories.system_alerts import SystemAlert

_SYSTEM_ALERT_TITLES = {
    "monitor": "The monitor has stopped",
    "recording": "Predictions go unrecorded",
    "spool": "The spool needs attention",
}


def system_alert_title(subject: str) -> str:
    """What an alert about the installation is called for people; its subject if it is of another version."""
    return _SYSTEM_ALERT_TITLES.get(subject, subject)


@dataclass(frozen=True)
class Message:
    """One change of state, in words and as JSON. `id` is the same on every retry, so that a receiver can drop repeats."""

    id: UUID
    at: datetime
    state: AlertState
    title: str
    sentence: str
    url: str
    data: dict[str, Any]

    @classmethod
    def of_alert(cls, event: AlertEvent, model_name: str, report_url: str) -> "Message":
        """An alert of a model has fired or is resolved."""
        subject = f"{model_name}: {checks.title(event.check).lower()}"
        firing = event.state is AlertState.FIRING
        return cls(
            id=event.id,
            at=event.at,
            state=event.state,
            title=f"{subject} has shifted" if firing else f"{subject} is back to normal",
            sentence=event.sentence,
            url=report_url,
            data={
                "alert": str(event.alert_id),
                "model": event.model_sha256,
                "model_name": model_name,
                "check": event.check,
                "run": str(event.run_id),
                "report_url": report_url,
            },
        )

    @classmethod
    def of_system_alert(cls, alert: SystemAlert, url: str) -> "Message":
        """Something is wrong with the installation itself, or is right again."""
        title = system_alert_title(alert.subject)
        return cls(
            id=alert.message_id,
            at=alert.since,
            state=alert.state,
            title=title if alert.state is AlertState.FIRING else f"Over: {title[0].lower()}{title[1:]}",
            sentence=alert.sentence,
            url=url,
            data={"notice": alert.subject},
        )

    def as_json(self) -> dict[str, Any]:
        """The body of a webhook."""
        return {
            "id": str(self.id),
            "type": f"tidegate.alert.{self.state.value}",
            "timestamp": self.at.isoformat(),
            "data": {
                "state": self.state.value,
                "title": self.title,
                "sentence": self.sentence,
                **self.data,
            },
        }

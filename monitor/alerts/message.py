"""What a destination is told of a change of state."""

from dataclasses import dataclass
from typing import Any

from monitor import checks
from store.alerts import AlertEvent, AlertState


@dataclass(frozen=True)
class Message:
    """One change of state of one alert, in words and as JSON."""

    event: AlertEvent
    model_name: str
    report_url: str

    @property
    def title(self) -> str:
        """One line for a person."""
        subject = f"{self.model_name}: {checks.title(self.event.check).lower()}"
        return f"{subject} has shifted" if self.event.state is AlertState.FIRING else f"{subject} is back to normal"

    def as_json(self) -> dict[str, Any]:
        """The body of a webhook. `id` is the same on every retry, so that a receiver can drop repeats."""
        event = self.event
        return {
            "id": str(event.id),
            "type": f"tidegate.alert.{event.state.value}",
            "timestamp": event.at.isoformat(),
            "data": {
                "alert": str(event.alert_id),
                "state": event.state.value,
                "title": self.title,
                "sentence": event.sentence,
                "model": event.model_sha256,
                "model_name": self.model_name,
                "check": event.check,
                "run": str(event.run_id),
                "report_url": self.report_url,
            },
        }

"""The evidence of a run as the document that is stored, which every later version reads."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from monitor.passes.evidence import Evidence, FrozenAlarm, FrozenAlarms
from monitor.settings import MonitorSettings

INSTANT = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
IDS = tuple(UUID(int=number) for number in (1, 2))
EVIDENCE = Evidence(
    tidegate="0.1.0",
    seed="a seed",
    reference_sha256="ab" * 32,
    baseline_id=IDS[0],
    baseline_sha256="cd" * 32,
    settings=MonitorSettings(alpha=0.02),
    alert_alpha=0.001,
    since=INSTANT,
    until=INSTANT,
    total=3,
    flagged_total=1,
    scored_total=2,
    ids=IDS,
    alarms=FrozenAlarms(5_000.0, {"ood_score": FrozenAlarm("{}", "cd" * 32, INSTANT)}, "cd" * 32),
)


def test_the_document_is_the_one_that_earlier_versions_wrote() -> None:
    document = EVIDENCE.to_json()
    assert document.pop("settings") == MonitorSettings(alpha=0.02).model_dump(
        mode="json", exclude={"destinations", "public_url"}
    )
    assert list(document.items()) == [
        ("tidegate", "0.1.0"),
        ("seed", "a seed"),
        ("reference", "ab" * 32),
        ("baseline", {"id": "00000000-0000-0000-0000-000000000001", "sha256": "cd" * 32}),
        ("alert_alpha", 0.001),
        ("since", "2026-05-01T12:30:00+00:00"),
        ("until", "2026-05-01T12:30:00+00:00"),
        ("total", 3),
        ("flagged_total", 1),
        ("scored_total", 2),
        ("ids", ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"]),
        (
            "alarms",
            {
                "promise": 5_000.0,
                "before": {
                    "ood_score": {"state": "{}", "ranked_among": "cd" * 32, "until": "2026-05-01T12:30:00+00:00"}
                },
                "ranked_among": "cd" * 32,
            },
        ),
    ]


@pytest.mark.parametrize(
    "evidence", [EVIDENCE, replace(EVIDENCE, baseline_id=None, baseline_sha256=None), replace(EVIDENCE, alarms=None)]
)
def test_what_is_stored_comes_back(evidence: Evidence) -> None:
    assert Evidence.from_json(orjson.loads(orjson.dumps(evidence.to_json()))) == evidence

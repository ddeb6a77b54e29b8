"""What an operator wants served under one name: a live version, perhaps a shadow and a canary beside it.

The plan lies in a file beside the export, which `tidegate rollout` writes and running gateways follow. A version is known
by its hash: a gateway loads a file only if it is the one that the operator named.
"""

import os
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import orjson

from store.errors import BadSettings


class Role(Enum):
    """What a version is for. A shadow's answers are recorded and compared, never returned."""

    LIVE = "live"
    SHADOW = "shadow"
    CANARY = "canary"


@dataclass(frozen=True)
class Version:
    """One exported learner: its file, its hash, and its reference's file where it has one."""

    export: Path
    sha256: str | None
    reference: Path | None


@dataclass(frozen=True)
class Plan:
    """Which version has which role. `share` is the canary's part of the traffic, from 0 to 1."""

    live: Version
    shadow: Version | None = None
    canary: Version | None = None
    share: float = 0.0

    def versions(self) -> dict[Role, Version]:
        """The versions that are to be served, by their role."""
        by_role = {Role.LIVE: self.live, Role.SHADOW: self.shadow, Role.CANARY: self.canary}
        return {role: version for role, version in by_role.items() if version is not None}

    def with_shadow(self, version: Version) -> "Plan":
        """Let a version see the same traffic."""
        return replace(self, shadow=version)

    def with_canary(self, version: Version, share: float) -> "Plan":
        """Give a version a share of the traffic; if it was the shadow it no longer is.

        Raises:
            BadSettings: the share is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise BadSettings(
                f"The canary's share must lie between 0 and 1, and {share:g} came. All of it: promote it."
            )
        shadow = None if self.shadow is not None and self.shadow.sha256 == version.sha256 else self.shadow
        return replace(self, canary=version, share=share, shadow=shadow)

    def promoted(self) -> "Plan":
        """Give everyone the canary, or the shadow where there is no canary.

        Raises:
            BadSettings: there is neither.
        """
        chosen = self.canary or self.shadow
        if chosen is None:
            raise BadSettings("There is no canary and no shadow to promote. Begin with `tidegate rollout shadow`.")
        return Plan(live=chosen)

    def stopped(self) -> "Plan":
        """End the trial: the live version alone."""
        return Plan(live=self.live)

    @classmethod
    def load(cls, path: Path) -> "Plan | None":
        """The plan that was saved, or None.

        Raises:
            BadSettings: the file can't be read.
        """
        try:
            document = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as error:
            raise _damaged(path, error) from error
        try:
            versions = {role.value: _parse_version(document.get(role.value)) for role in Role}
            live = versions.pop("live")
            if live is None:
                raise TypeError("it names no live version")
            return cls(live, **versions, share=float(document.get("share", 0.0)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error

    def save(self, path: Path) -> None:
        """Write it to a file, whole or not at all."""
        content = orjson.dumps(asdict(self), default=str, option=orjson.OPT_INDENT_2)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_bytes(content + b"\n")
        temporary.replace(path)


def plan_beside(export: Path) -> Path:
    """The file that holds the plan of an export."""
    return export.with_suffix(".rollout.json")


def _parse_version(document: dict[str, Any] | None) -> Version | None:
    if document is None:
        return None
    reference = document["reference"]
    return Version(Path(document["export"]), document["sha256"], None if reference is None else Path(reference))


def _damaged(path: Path, error: Exception) -> BadSettings:
    return BadSettings(f"{path} can't be read as a rollout: {error}. Delete it, or write it with `tidegate rollout`.")

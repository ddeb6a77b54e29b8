"""One served name: its live version, and the versions that are on trial beside it."""

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from serving.gateway.gateway import CallerGone, Gateway, RecordedPrediction
from serving.rollout.plan import Plan, Role, Version
from store.errors import BadInput, NotFound, Overloaded, TidegateError, TimedOut
from store.recording.batches import RawInput

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_POLLS = 1.0

# Loads a version and makes it ready; takes seconds, so it is called in a thread.
LoadVersion = Callable[[Version], Gateway]


@dataclass(frozen=True)
class Answers:
    """What one version answered, in the order of the inputs."""

    gateway: Gateway
    answers: list[RecordedPrediction | BadInput]


class Deployment:
    """Serves one name by the versions that a plan gives it.

    A change of plan drops no request: the new version is loaded and warm before it is asked, and the old one finishes
    what it accepted before it ends.

    Args:
        name: under which it is asked.
        plan: which versions.
        load_version: loads one.
        plan_file: followed while serving; None where the plan never changes.
    """

    def __init__(self, name: str, plan: Plan, load_version: LoadVersion, plan_file: Path | None = None) -> None:
        self.name = name
        self.plan = plan
        self.plan_file = plan_file
        self._open = load_version
        self._seen = _stamp(plan_file)
        self._by_role: dict[Role, Gateway] = {}
        self._mirroring: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None
        self.not_mirrored = 0
        self.problem: str | None = None
        for role, version in plan.versions().items():
            try:
                self._by_role[role] = self._open(version)
            except TidegateError as error:
                if role is Role.LIVE:
                    raise
                self._complain(role, error)

    @classmethod
    def of(cls, gateway: Gateway) -> "Deployment":
        """A gateway that is open already, alone."""
        version = Version(Path(), gateway.model.sha256, None)
        return cls(gateway.model.name, Plan(version), lambda _version: gateway)

    @property
    def live(self) -> Gateway:
        return self._by_role[Role.LIVE]

    @property
    def by_role(self) -> dict[Role, Gateway]:
        """The versions that are served now."""
        return dict(self._by_role)

    def version(self, sha256: str) -> Gateway:
        """The version with this hash, or with one that begins so.

        Raises:
            NotFound: none is served, or it is a shadow, which is never asked.
        """
        for role, gateway in self._by_role.items():
            if role is not Role.SHADOW and len(sha256) >= 6 and gateway.model.sha256.startswith(sha256):
                return gateway
        raise NotFound(f"{self.name} is not served in version {sha256!r}. /v1/models lists what is.")

    def choose(self, key: str | None) -> Gateway:
        """The version that answers: the canary for its share of the keys, always the same for one key."""
        canary = self._by_role.get(Role.CANARY)
        if canary is None:
            return self.live
        return canary if _place(self.name, key) < self.plan.share else self.live

    async def predict(
        self,
        gateway: Gateway,
        inputs: Sequence[RawInput],
        tags: dict[str, Any] | None,
        *,
        gone: CallerGone | None = None,
        seconds: float | None = None,
        ids: Sequence[UUID] | None = None,
    ) -> list[RecordedPrediction | BadInput]:
        """Answer by a version that was chosen, and let the shadow see what was answered; see `Gateway.predict`."""
        answers = await gateway.predict(inputs, tags, gone=gone, seconds=seconds, ids=ids)
        shadow = self._by_role.get(Role.SHADOW)
        if shadow is not None:
            task = asyncio.create_task(self._mirror(shadow, inputs, tags, answers))
            # The loop itself keeps no hold of its tasks.
            self._mirroring.add(task)
            task.add_done_callback(self._mirroring.discard)
        return answers

    async def _mirror(
        self,
        shadow: Gateway,
        inputs: Sequence[RawInput],
        tags: dict[str, Any] | None,
        answers: Sequence[RecordedPrediction | BadInput],
    ) -> None:
        pairs = [(raw, one.id) for raw, one in zip(inputs, answers, strict=True) if isinstance(one, RecordedPrediction)]
        if not pairs:
            return
        try:
            await shadow.predict([raw for raw, _ in pairs], tags, mirrors=[id_ for _, id_ in pairs])
        except (Overloaded, TimedOut):
            # A shadow never slows anyone down: what it has no time for is counted, and left out.
            self.not_mirrored += len(pairs)
        except TidegateError as error:
            self.not_mirrored += len(pairs)
            logger.warning("the shadow of %s answered nothing: %s", self.name, error)

    def start(self) -> None:
        """Begin to answer; call inside the running event loop."""
        for gateway in self._by_role.values():
            gateway.start()
        if self.plan_file is not None:
            self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Finish what was accepted."""
        if self._following is not None:
            self._following.cancel()
        await asyncio.gather(*(gateway.stop() for role, gateway in self._by_role.items() if role is not Role.SHADOW))
        await asyncio.gather(*self._mirroring)
        if shadow := self._by_role.get(Role.SHADOW):
            await shadow.stop()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_POLLS)
            stamp = _stamp(self.plan_file)
            if stamp == self._seen:
                continue
            self._seen = stamp
            try:
                plan = None if self.plan_file is None else Plan.load(self.plan_file)
            except TidegateError as error:
                self._complain(None, error)
                continue
            # Where the file is gone the live version goes on alone.
            await self.change(plan or self.plan.stopped())

    async def change(self, plan: Plan) -> None:
        """Serve by another plan. A version that can't be opened leaves its role as it was, and is complained of."""
        self.problem = None
        by_sha256 = {gateway.model.sha256: gateway for gateway in self._by_role.values()}
        wanted: dict[Role, Gateway] = {}
        for role, version in plan.versions().items():
            gateway = by_sha256.get(version.sha256 or "")
            if gateway is None:
                try:
                    gateway = await asyncio.to_thread(self._open, version)
                except Exception as error:  # noqa: BLE001 - whatever it is, what was served goes on
                    self._complain(role, error)
                    if role is Role.LIVE:
                        return
                    continue
                gateway.start()
                by_sha256[gateway.model.sha256] = gateway
            wanted[role] = gateway
        before, self._by_role, self.plan = self._by_role, wanted, plan
        logger.info("%s is served by %s", self.name, ", ".join(f"{r.value} {g.label}" for r, g in wanted.items()))
        staying = set(map(id, wanted.values()))
        ended = {id(gateway): gateway for gateway in before.values() if id(gateway) not in staying}
        if self._mirroring:
            await asyncio.wait(self._mirroring)
        await asyncio.gather(*(gateway.stop() for gateway in ended.values()))

    def _complain(self, role: Role | None, error: Exception) -> None:
        what = "the rollout's file" if role is None else f"the {role.value} version"
        self.problem = f"{what} can't be served: {error}"
        known = isinstance(error, TidegateError)
        logger.error("%s: %s", self.name, self.problem, exc_info=None if known else error)


class Deployments:
    """Every served name, the first of which is the default; none where only predictions made elsewhere are taken."""

    def __init__(self, deployments: Sequence[Deployment]) -> None:
        self._by_name = {deployment.name: deployment for deployment in deployments}

    @property
    def all(self) -> list[Deployment]:
        return list(self._by_name.values())

    @property
    def default(self) -> Deployment:
        """The first.

        Raises:
            NotFound: none is served.
        """
        for deployment in self._by_name.values():
            return deployment
        raise NotFound(
            "No learner is served here: this gateway takes predictions that were made elsewhere, at /v1/ingest. "
            "Start it as `tidegate serve EXPORT` to predict."
        )

    def named(self, name: str | None) -> Deployment:
        """One of them; the default where no name is given.

        Raises:
            NotFound: no such name is served.
        """
        if name is None:
            return self.default
        if name not in self._by_name:
            served = ", ".join(self._by_name) or "none"
            raise NotFound(f"No model is served as {name!r}. Served are: {served}.")
        return self._by_name[name]

    @property
    def ready(self) -> bool:
        return all(deployment.live.ready for deployment in self._by_name.values())

    def start(self) -> None:
        """Begin to answer; call inside the running event loop."""
        for deployment in self._by_name.values():
            deployment.start()

    async def stop(self) -> None:
        """Finish what was accepted."""
        await asyncio.gather(*(deployment.stop() for deployment in self._by_name.values()))


def _place(name: str, key: str | None) -> float:
    """Where a key lies between 0 and 1; a growing share keeps those it had."""
    if key is None:
        return random.random()
    return int.from_bytes(hashlib.sha256(f"{name}\0{key}".encode()).digest()[:8]) / 2**64


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes when a file is written."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino

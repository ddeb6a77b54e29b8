"""One served name: its live version, and the versions that are on trial beside it."""

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.gateway.gateway import Gateway
from serving.gateway.recorded_prediction import GatewayRequest, Outcome, RecordedPrediction
from serving.rollout.traffic_plan import Plan, Role, Version
from store.errors import NotFound, Overloaded, TidegateError, TimedOut

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_POLLS = 1.0

# Loads a version and makes it ready; takes seconds, so it is called in a thread.
LoadVersion = Callable[[Version], Gateway]


class Deployment:
    """Serves one name by the versions that a plan gives it.

    A change of plan drops no request: the new version is loaded and warm before it gets any, and the old one finishes
    what it accepted before it ends.

    Args:
        name: under which requests ask for it.
        plan: which version has which role.
        load_version: loads one.
        plan_file: followed while serving; None where the plan never changes.
    """

    def __init__(self, name: str, plan: Plan, load_version: LoadVersion, plan_file: Path | None = None) -> None:
        self.name = name
        self.plan = plan
        self.plan_file = plan_file
        self._load_version = load_version
        self._file_stamp = _file_stamp(plan_file)
        self._by_role: dict[Role, Gateway] = {}
        self._shadow_tasks: set[asyncio.Task[None]] = set()
        self._follow_task: asyncio.Task[None] | None = None
        self.not_mirrored = 0
        self.problem: str | None = None
        for role, version in plan.versions().items():
            try:
                self._by_role[role] = self._load_version(version)
            except TidegateError as error:
                if role is Role.LIVE:
                    raise
                self._report_problem(role, error)

    @classmethod
    def of(cls, gateway: Gateway) -> "Deployment":
        """A gateway that is loaded already, alone."""
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
        return canary if _position_of_key(self.name, key) < self.plan.share else self.live

    async def predict(self, gateway: Gateway, request: GatewayRequest) -> list[Outcome]:
        """Answer by a version that was chosen, and send the shadow what was answered; see `Gateway.predict`."""
        outcomes = await gateway.predict(request)
        shadow = self._by_role.get(Role.SHADOW)
        if shadow is not None:
            task = asyncio.create_task(self._mirror(shadow, request, outcomes))
            # The loop itself keeps no hold of its tasks.
            self._shadow_tasks.add(task)
            task.add_done_callback(self._shadow_tasks.discard)
        return outcomes

    async def _mirror(self, shadow: Gateway, request: GatewayRequest, outcomes: Sequence[Outcome]) -> None:
        pairs = [
            (raw, outcome.id)
            for raw, outcome in zip(request.inputs, outcomes, strict=True)
            if isinstance(outcome, RecordedPrediction)
        ]
        if not pairs:
            return
        inputs, mirrors = zip(*pairs, strict=True)
        try:
            await shadow.predict(GatewayRequest(inputs, request.tags, mirrors=mirrors))
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
            self._follow_task = asyncio.create_task(self._follow_plan_file())

    async def stop(self) -> None:
        """Finish what was accepted."""
        if self._follow_task is not None:
            self._follow_task.cancel()
        await asyncio.gather(*(gateway.stop() for role, gateway in self._by_role.items() if role is not Role.SHADOW))
        await asyncio.gather(*self._shadow_tasks)
        if shadow := self._by_role.get(Role.SHADOW):
            await shadow.stop()

    async def _follow_plan_file(self) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_POLLS)
            stamp = _file_stamp(self.plan_file)
            if stamp == self._file_stamp:
                continue
            self._file_stamp = stamp
            try:
                plan = None if self.plan_file is None else Plan.load(self.plan_file)
            except TidegateError as error:
                self._report_problem(None, error)
                continue
            # Where the file is gone the live version goes on alone.
            await self.change(plan or self.plan.stopped())

    async def change(self, plan: Plan) -> None:
        """Serve by another plan. Where its live version can't be loaded all stays as it was; another version that can't be
        leaves its role empty. Both are reported as the deployment's problem."""
        self.problem = None
        by_sha256 = {gateway.model.sha256: gateway for gateway in self._by_role.values()}
        planned: dict[Role, Gateway] = {}
        for role, version in plan.versions().items():
            gateway = by_sha256.get(version.sha256 or "")
            if gateway is None:
                try:
                    gateway = await asyncio.to_thread(self._load_version, version)
                except Exception as error:  # noqa: BLE001 - whatever it is, what was served goes on
                    self._report_problem(role, error)
                    if role is Role.LIVE:
                        return
                    continue
                gateway.start()
                by_sha256[gateway.model.sha256] = gateway
            planned[role] = gateway
        previous, self._by_role, self.plan = self._by_role, planned, plan
        logger.info("%s is served by %s", self.name, ", ".join(f"{r.value} {g.label}" for r, g in planned.items()))
        staying = set(map(id, planned.values()))
        ended = {id(gateway): gateway for gateway in previous.values() if id(gateway) not in staying}
        if self._shadow_tasks:
            await asyncio.wait(self._shadow_tasks)
        await asyncio.gather(*(gateway.stop() for gateway in ended.values()))

    def _report_problem(self, role: Role | None, error: Exception) -> None:
        subject = "the rollout's file" if role is None else f"the {role.value} version"
        self.problem = f"{subject} can't be served: {error}"
        expected = isinstance(error, TidegateError)
        logger.error("%s: %s", self.name, self.problem, exc_info=None if expected else error)


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


def _position_of_key(name: str, key: str | None) -> float:
    """A number from 0 to 1 that is always the same for a key, so that a growing share keeps the keys it had; random for
    requests without a key."""
    if key is None:
        return random.random()
    return int.from_bytes(hashlib.sha256(f"{name}\0{key}".encode()).digest()[:8]) / 2**64


def _file_stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes when a file is written: its time and inode; None where there is no file."""
    if path is None:
        return None
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino

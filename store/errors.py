"""The one tree of errors. Each message says what happened, what it means and what to do.

The tree is in the lowest package because every other one raises its errors. It is mapped once to HTTP problems
(`serving/http/problem_details.py`) and once to exit codes (`tidegate/cli`).
"""


class TidegateError(Exception):
    """An error that a person has to know about. The message is written for that person."""

    title = "Tidegate could not do this"


class BadInput(TidegateError):
    """What was sent can't be used.

    Args:
        message: what is wrong and what to send instead.
        field: the path of the offending field, such as `rows[2].age` or `file[0]`, where there is one.
        status: the HTTP status that fits best.
    """

    title = "The input can't be used"

    def __init__(self, message: str, *, field: str | None = None, status: int = 422) -> None:
        super().__init__(message)
        self.field = field
        self.status = status
        # A request that works, as a curl command; set by the route, which knows its own address.
        self.curl: str | None = None


class AllRefused(BadInput):
    """None of several inputs can be used; `errors` holds the reason for each."""

    def __init__(self, message: str, errors: list[BadInput]) -> None:
        super().__init__(message)
        self.errors = errors


class BadSettings(TidegateError):
    """The settings contradict each other or the machine."""

    title = "The settings don't fit"


class BadLearner(TidegateError):
    """The exported learner can't be loaded or served."""

    title = "The learner can't be served"


class BadReference(TidegateError):
    """The reference file is damaged, is no reference, or is from another version."""

    title = "The reference can't be used"


class BadBaseline(TidegateError):
    """The window can't be a baseline: it is too small, changes within itself, or fails its certificate."""

    title = "The window can't be the baseline"


class ModelMismatch(TidegateError):
    """The reference, the hash or the recorded rows belong to another learner."""

    title = "The learner and its reference don't belong together"


class StoreUnavailable(TidegateError):
    """The database can't be reached, is full, or is of another version."""

    title = "The database can't be used"


class StoreAway(StoreUnavailable):
    """The database does not answer: it is stopped, unreachable, or too slow. What is written to it later is not lost."""


class StorageFull(StoreUnavailable):
    """There is no room to record anything: the disk is full, or the spool has reached its limit."""

    title = "There is no room to record"


class LeaseLost(TidegateError):
    """Another monitor has taken over what this one was doing."""

    title = "Another monitor has taken over"


class DamagedRecord(TidegateError):
    """Something that was recorded can't be read back."""

    title = "A record is damaged"


class NotFound(TidegateError):
    """No such model, run, report or prediction."""

    title = "Not found"


class GatewayUnavailable(TidegateError):
    """A gateway did not answer, though the request was repeated."""

    title = "The gateway did not answer"


class TimedOut(TidegateError):
    """The answer would come too late for its caller."""

    title = "The answer took too long"


class Overloaded(TidegateError):
    """More work is waiting than the gateway accepts.

    Args:
        retry_after_seconds: when it is worth asking again.
    """

    title = "The gateway is busy"

    def __init__(self, message: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds

"""Every error that otel_voicebot raises on purpose.

    VoicebotError                  code 70  a defect of ours, when raised as such
    ├── UsageError                 code 2   an argument, option or setting is wrong
    ├── NoDataError                code 3   nothing in the store answers the question
    ├── UnreadableDataError        code 4   a file can't be read; what can be read was used
    ├── UnreachableError           code 5   a service does not answer
    │   └── TooSlowError           code 5   an answer was given up, as it took too long
    ├── CannotStartError           code 6   a port, a disk or a permission is missing
    │   └── LeaseError             code 6   another maintainer holds the data directory
    └── MissingExtraError          code 2   an optional library is not installed

Each says in one sentence what was wrong, with the value, and what to do. ``code`` is the exit code of the command line;
``retryable`` tells a sender whether the same request may succeed later.
"""

from typing import ClassVar

__all__ = [
    "CannotStartError",
    "LeaseError",
    "MissingExtraError",
    "NoDataError",
    "TooSlowError",
    "UnreachableError",
    "UnreadableDataError",
    "UsageError",
    "VoicebotError",
]


class VoicebotError(Exception):
    """The root of the tree.

    Attributes:
        code: exit code of the command line.
        retryable: True when the same request may succeed later without a change by the sender.
    """

    code: ClassVar[int] = 70
    retryable: ClassVar[bool] = False


class UsageError(VoicebotError):
    """An argument, option, setting or file given by the user is wrong."""

    code = 2


class MissingExtraError(UsageError):
    """A feature needs an optional library that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs optional packages: pip install 'otel-voicebot[{extra}]'")


class NoDataError(VoicebotError):
    """The store holds nothing that answers the question."""

    code = 3


class UnreadableDataError(VoicebotError):
    """Some file can't be read.

    Attributes:
        paths: the files that were left out.
    """

    code = 4

    def __init__(self, message: str, paths: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.paths = paths


class UnreachableError(VoicebotError):
    """A service does not answer."""

    code = 5
    retryable = True


class TooSlowError(UnreachableError):
    """An answer was given up, as it took too long or too much memory; a narrower question may have one."""


class CannotStartError(VoicebotError):
    """A port, a disk or a permission that is needed to start or to write is missing."""

    code = 6
    retryable = True


class LeaseError(CannotStartError):
    """Another maintainer holds the lease of the data directory, or has taken it over."""

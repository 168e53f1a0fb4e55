"""The bank's systems: a core banking service (simulated: a network's waiting times) and the tools that use it."""

import random
from collections.abc import Callable
from typing import Final, TypeVar

import otel_voicebot as vb
from otel_voicebot import semconv
from otel_voicebot.demo.line import Pace

__all__ = ["CoreBanking", "Tools"]

T = TypeVar("T")
_API: Final = "core-banking"
_LIMIT: Final = 10_000
_ATTEMPTS: Final = 2


class CoreBanking:
    """The service, faked in this process: answers take 50 to 250 ms; when ``down`` it doesn't answer at all."""

    def __init__(self, pace: Pace, *, seed: str, down: bool = False) -> None:
        self._pace = pace
        self._random = random.Random(seed)  # noqa: S311 - waiting times, not secrets
        self._down = down

    def balance(self, account: str) -> str:
        """Dollars in an account. Raises TimeoutError when the service is down."""
        self._wait()
        return str(200 + int(account) * 7 % 4000)

    def credit_check(self, amount: str) -> bool:
        """Whether a loan of ``amount`` dollars is granted at once. Raises TimeoutError when the service is down."""
        self._wait()
        return int(amount) <= _LIMIT

    def split_payments(self, months: str) -> str:
        """Set up a payment plan. Raises TimeoutError when the service is down."""
        self._wait()
        return months

    def open_case(self) -> str:
        """Number of a new complaint. Raises TimeoutError when the service is down."""
        self._wait()
        return " ".join(str(self._random.randrange(10)) for _ in range(4))

    def _wait(self) -> None:
        self._pace.sleep(self._random.uniform(0.05, 0.25))
        if self._down:
            self._pace.sleep(0.5)
            raise TimeoutError("core banking does not answer")


class Tools:
    """What the dialogue can do. Every call is a tool span around the API spans of its attempts.

    Each raises TimeoutError when the service didn't answer twice.
    """

    def __init__(self, service: CoreBanking) -> None:
        self._service = service

    @vb.tool("look_up_balance")
    def balance(self, account: str) -> str:
        """Dollars in an account."""
        return self._ask(lambda: self._service.balance(account))

    @vb.tool("check_credit")
    def credit_check(self, amount: str) -> bool:
        """Whether a loan is granted at once."""
        return self._ask(lambda: self._service.credit_check(amount))

    @vb.tool("split_payments")
    def payment_plan(self, months: str) -> str:
        """Set up a payment plan over so many months."""
        return self._ask(lambda: self._service.split_payments(months))

    @vb.tool("open_case")
    def case(self) -> str:
        """Open a complaint; its number."""
        return self._ask(self._service.open_case)

    @staticmethod
    def _ask(request: Callable[[], T]) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                with vb.api(_API):
                    return request()
            except TimeoutError:
                vb.event("error", {semconv.ERROR_TYPE: "TimeoutError"})
        with vb.api(_API):
            return request()

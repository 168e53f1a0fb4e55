"""When requests that wait are read: together where that costs less, at once where waiting gains nothing."""

import pytest

from otel_voicebot.app.pace import Pace


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """It stands."""
    return Clock()


def test_after_a_quiet_while_nobody_waits(clock: Clock) -> None:
    """The first reading is due at once, the next a quarter of a second after it began, and then at once again."""
    pace = Pace(clock)
    assert pace.wait_s() == 0
    pace.began()
    assert pace.wait_s() == pytest.approx(0.25)
    clock.now += 0.2
    assert pace.wait_s() == pytest.approx(0.05)
    clock.now += 10
    assert pace.wait_s() == 0


def test_who_comes_back_at_once_is_not_kept_waiting(clock: Clock) -> None:
    """When all who were answered have sent again, nobody else is waited for; until the next reading."""
    pace = Pace(clock)
    pace.answered(2)
    clock.now += 0.01
    pace.came()
    assert not pace.enough(1, 1)
    pace.came()
    assert pace.enough(1, 1)
    pace.began()
    assert not pace.enough(1, 1)


def test_who_comes_later_is_no_sender_that_waited(clock: Clock) -> None:
    """What comes a while after an answer would have come anyway; those answered before are waited for no longer."""
    pace = Pace(clock)
    pace.answered(2)
    pace.came()
    clock.now += 0.06
    pace.came()
    assert not pace.enough(1, 1)
    pace.answered(1)
    pace.came()
    assert pace.enough(1, 1)


def test_answers_that_follow_each_other_are_waited_for_together(clock: Clock) -> None:
    """Of two commits just after one another the senders of both have to be back."""
    pace = Pace(clock)
    pace.answered(1)
    clock.now += 0.02
    pace.answered(1)
    pace.came()
    assert not pace.enough(1, 1)
    pace.came()
    assert pace.enough(1, 1)

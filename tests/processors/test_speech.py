"""Speech events of a turn become t0 and t1."""

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_voicebot.processors import normalise
from tests.processors.batches import Made, batch

USER_START, USER_END = "voicebot.user.speech.start", "voicebot.user.speech.end"
BOT_START, BOT_END = "voicebot.bot.speech.start", "voicebot.bot.speech.end"
COLUMNS = (
    "user_speech_start_unix_nano",
    "user_speech_end_unix_nano",
    "bot_speech_start_unix_nano",
    "bot_speech_end_unix_nano",
)
Events = list[tuple[str, int]]
Times = tuple[int | None, ...]


def expected(events: Events) -> Times:
    """One turn, read aloud from the docstring of ``speech_columns``; events at one time count in their order."""
    ordered = sorted((event for event in events if event[1]), key=lambda event: event[1])
    starts, ends, bot_starts, bot_ends = (
        [time for name, time in ordered if name == kind] for kind in (USER_START, USER_END, BOT_START, BOT_END)
    )
    waiting, answered = None, None
    for name, time in ordered:
        if name == USER_END:
            waiting = time
        elif name == USER_START:
            waiting = None
        elif name == BOT_START and waiting is not None and answered is None:
            answered = (waiting, time)
    t0, t1 = answered or (ends[-1] if ends else None, bot_starts[0] if bot_starts and not ends else None)
    return (starts[0] if starts else None, t0, t1, bot_ends[-1] if bot_ends else None)


def found(*turns: Events, name: str = "voicebot.turn") -> list[Times]:
    """The four columns of spans with these events."""
    spans = [Made(name, events=[(kind, time, {}) for kind, time in events]) for events in turns]
    rows = normalise(batch(*spans)).rows(0)
    return list(zip(*(rows[column].to_pylist() for column in COLUMNS), strict=True))


names = st.sampled_from([USER_START, USER_END, BOT_START, BOT_END, "voicebot.event.error", ""])
events = st.lists(st.tuples(names, st.integers(0, 8)), max_size=9)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, min_size=1, max_size=4))
def test_any_events_give_the_times_of_a_plain_walk(turns: list[Events]) -> None:
    """Whatever the order, with ties, unknown times and other events between: turns do not touch each other."""
    assert found(*turns) == [expected(turn) for turn in turns]


def test_the_answered_end_of_speech_is_t0() -> None:
    """The caller pauses, speaks again, is answered, barges in and is not answered: t0 is what the bot answered."""
    turn = [
        (USER_START, 1),
        (USER_END, 2),
        (USER_START, 3),
        (USER_END, 4),
        (BOT_START, 6),
        (USER_START, 7),
        (BOT_END, 8),
    ]
    assert found([*turn, (USER_END, 9)]) == [(1, 4, 6, 8)]


def test_without_an_answer_the_last_end_of_speech_is_t0() -> None:
    """Nobody answered: the wait counts from the last word, and there is no t1."""
    assert found([(USER_START, 1), (USER_END, 2), (USER_START, 3), (USER_END, 4)]) == [(1, 4, None, None)]


def test_a_greeting_has_t1_only() -> None:
    """The bot spoke unasked."""
    assert found([(BOT_START, 3), (BOT_END, 5), (BOT_START, 6)]) == [(None, None, 3, 5)]


def test_bot_audio_before_the_caller_stopped_is_no_answer() -> None:
    """A reply that began while the caller spoke answers nothing."""
    assert found([(USER_START, 1), (BOT_START, 2), (USER_END, 3)]) == [(1, 3, None, None)]


def test_spans_that_are_no_turns_have_no_speech_times() -> None:
    """Events of these names on another component change nothing."""
    assert found([(USER_END, 2), (BOT_START, 3)], name="voicebot.stt") == [(None, None, None, None)]

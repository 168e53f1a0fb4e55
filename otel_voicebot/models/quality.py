"""The quality rules of turns: what each means, and the condition that a row of the model ``turns`` breaks it by.

A value that breaks a rule is set aside: it is null in the row, so it is in no average. A turn breaks the rules of its
spans, too (``SPAN_RULES``, and ``X_out_of_range`` for each column with a range: a first token reported as -1 s or
75 s). A gap that a framework reports is judged here, as a derived one is: the bot was heard, whenever that was.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["LONGEST_STAGE_NS", "RULES", "SPAN_RULES", "Rule", "broken"]

LONGEST_STAGE_NS: Final = 60_000_000_000
"""What takes longer than this is no stage of a turn (recognition is none); the models have the same number."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: value in the column ``quality``, and label of the metric.
        breaks: SQL over the model ``judged``; null counts as kept.
        meaning: what is wrong, and what becomes of it.
    """

    name: str
    breaks: str
    meaning: str


RULES: Final = (
    Rule(
        "no_turn_span",
        "turn_span_id IS NULL AND NOT paired",
        "Parts of a turn were seen and the turn's own span was not: it never came, or was sampled away. The turn is "
        "what its parts say.",
    ),
    Rule(
        "no_speech_marks",
        "kind = 'exchange' AND unmarked",
        "Nothing says when the caller stopped or the bot began to speak. The response gap is unknown.",
    ),
    Rule(
        "stage_over_60_s",
        "too_long OR endpointing_delay_s > 60",
        "A stage of the turn lasts more than 60 s, or work on the reply begins so late; nobody waits that long on the "
        "phone. That duration is set aside. Recognition is no such stage: it may last as long as the caller talks.",
    ),
    Rule(
        "bot_before_caller",
        "gap_s < 0 OR own_gap_s < 0",
        "The first bot audio lies before the caller's end of speech: the bot spoke over the caller, or marks are in "
        "the wrong order. The response gap that says so, the framework's or the derived one, is set aside.",
    ),
    Rule(
        "gap_over_60_s",
        "gap_s > 60 OR own_gap_s > 60",
        "The response gap is more than 60 s, the framework's or the derived one. It is set aside.",
    ),
    Rule(
        "bot_audio_without_tts",
        "t1 IS NOT NULL AND ttss = 0",
        "The bot is heard though no synthesis was seen: recordings, a realtime model, or spans that are missing.",
    ),
    Rule(
        "no_first_token",
        "llms > llm_errors AND llm_first_token_s IS NULL",
        "Model calls answered and none says when its first token came.",
    ),
    Rule(
        "clock_skew",
        "stage_nano < start_nano - 100000000",
        "A stage of the reply begins more than 0.1 s before its turn: the services' clocks differ. Recognition may: "
        "the caller speaks before the turn is opened. Durations stay, each is of one clock.",
    ),
    Rule(
        "interrupted_at_end",
        "cut_off",
        "The end of the call cut the reply off, and the framework calls that an interruption. Nobody spoke over it: "
        "the flag is set aside, whether the reply was interrupted is unknown.",
    ),
    Rule(
        "lower_bound",
        "wait_s IS NOT NULL AND t0 IS NULL",
        "Nobody knows when the caller stopped to speak; the wait counts from the transcript, later than it began.",
    ),
    Rule(
        "upper_bound",
        "wait_s IS NOT NULL AND late_end",
        "Nobody knows when the caller spoke again; the wait counts to the end of that speech, later than it ended.",
    ),
)
"""All rules of turns, in the order in which a row names them."""


SPAN_RULES: Final = {
    "stop_before_start": "The span stops before it starts. Its duration is set aside.",
    "never_ended": "The span has no end. Its duration is set aside.",
    "invalid_parent_id": "The parent's id is no id. The span counts as one without a parent.",
    "llm_ttfb_of_error": "A failed model call carries a time to first token, which is the time until it failed. "
    "It is set aside.",
}
"""Rules of single spans, which stand in the span's ``quality``: name and meaning."""


def broken() -> str:
    """SQL: the names of the rules that a row of ``judged`` breaks."""
    names = ", ".join(f"CASE WHEN {rule.breaks} THEN '{rule.name}' END" for rule in RULES)
    any_of = " OR ".join(f"({rule.breaks})" for rule in RULES)
    of_turn = f"list_filter([{names}], lambda rule: rule IS NOT NULL)"
    of_spans = "list_sort(list_distinct(flatten(coalesce(span_rules, []))))"
    # few rows break a rule: only theirs are put together
    return f"CASE WHEN span_rules IS NOT NULL OR {any_of} THEN list_concat({of_spans}, {of_turn}) ELSE [] END"

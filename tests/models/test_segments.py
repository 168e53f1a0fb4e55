"""Segments: what each wait was spent on, by the rule of the milestones and the walk between them."""

from pathlib import Path

import pytest

from tests.models.calls import Row, rows, span
from tests.models.cutting import DECIDED, FAILED, LLM, REST, SHORT, TTS, TURN, cut


def test_stages_one_after_the_other_own_their_time(tmp_path: Path) -> None:
    """Endpointing, retrieval, model and voice follow each other: each has what it took, whoever waits for it."""
    rag = span("rag", 1.5, 2.45, 1)
    assert cut(tmp_path, TURN, DECIDED, rag, LLM, TTS) == [
        ("endpointing", "endpointing", 500),
        ("rag", "bot code", 950),
        ("orchestration", "bot code", 50),
        *REST,
    ]


def test_a_segment_says_whose_it_is_and_where_it_lies(tmp_path: Path) -> None:
    """Provider, model and span stand with a service's segment; a hole has no span but the stages around it."""
    found = cut(
        tmp_path, TURN, DECIDED, LLM, TTS, columns="segment, owner_kind, provider, model, span_id IS NULL, detail"
    )
    assert found == [
        ("endpointing", "setting", None, None, False, None),
        ("unattributed", None, None, None, True, "after endpointing, before llm"),
        ("llm_first_token", "service", "a", "m", False, None),
        ("llm_speakable", "service", "a", "m", False, None),
        ("tts_first_audio", "service", "v", "w", False, None),
        ("playout_start", "transport", None, None, True, None),
    ]


@pytest.mark.parametrize(
    ("name", "columns", "owner"),
    [
        ("provider", {"provider": "p"}, "p"),
        ("model", {"model": "q"}, "q"),
        ("neither", {}, "llm"),
    ],
)
def test_a_service_is_called_by_what_is_known_of_it(
    tmp_path: Path, name: str, columns: dict[str, str], owner: str
) -> None:
    """Provider or model, the one of the two that is known, else the component."""
    llm = span("llm", 1.5, 3.2, 1, time_to_first_chunk_s=1.7, **columns)
    assert ("llm_first_token", owner, 1700) in cut(tmp_path / name, TURN, DECIDED, llm, TTS)


# ---- the edge cases of the specification, in its order ------------------------------------------------------------


def test_of_parallel_stages_the_one_that_finished_last_owns_its_whole_time(tmp_path: Path) -> None:
    """Classification ran beside retrieval, which finished last; what only classification covers is a hole."""
    nlu, rag = span("nlu", 1.5, 2.1, 1), span("rag", 1.9, 2.5, 1)
    assert cut(tmp_path, TURN, DECIDED, nlu, rag, LLM, TTS)[:4] == [
        ("endpointing", "endpointing", 500),
        ("unattributed", None, 400),
        ("rag", "bot code", 600),
        REST[0],
    ]


def test_preemptive_generation_counts_from_the_decision(tmp_path: Path) -> None:
    """A call that began before the bot was allowed to answer costs only what it took after."""
    llm = span("llm", 1.1, 3.5, 1, time_to_first_chunk_s=1.0, provider="a", model="m")
    assert cut(tmp_path, TURN, DECIDED, llm, TTS)[:3] == [
        ("endpointing", "endpointing", 500),
        ("llm_first_token", "a/m", 600),
        ("llm_speakable", "a/m", 1100),
    ]


@pytest.mark.parametrize(
    "discarded",
    [
        span("llm", 1.2, 2.2, 1, time_to_first_chunk_s=0.2),
        span("llm", 1.6, 2.45, 1, time_to_first_chunk_s=0.2, background=True),
        span("rag", 1.6, 2.45, 1, background=True),
        span("llm", 2.6, 4, 1, time_to_first_chunk_s=0.4, background=True),
        span("tts", 2.6, 4, 1, time_to_first_chunk_s=0.4, background=True),
    ],
    ids=["begun before the decision", "marked", "background", "marked, ends last", "marked TTS"],
)
def test_work_that_nobody_waited_for_changes_nothing(tmp_path: Path, discarded: Row) -> None:
    """Speculation that came to nothing, and what is marked, leaves the segments as they are without it."""
    plain = cut(tmp_path / "plain", TURN, DECIDED, LLM, TTS)
    assert cut(tmp_path / "with", TURN, DECIDED, LLM, TTS, discarded) == plain


def test_a_retry_has_the_failed_call_and_the_pause_before_it(tmp_path: Path) -> None:
    """A failed call is owned by its own provider, a pause of any length before the retry is orchestration."""
    first = span("llm", 1.5, 1.9, 1, provider="b", model="n", **FAILED)
    assert cut(tmp_path, TURN, DECIDED, first, LLM, TTS) == [
        ("endpointing", "endpointing", 500),
        ("llm_first_token", "b/n", 400),
        ("orchestration", "bot code", 600),
        *REST,
    ]


def test_attempts_inside_one_span_are_one_stage(tmp_path: Path) -> None:
    """The outer call owns what its attempts took."""
    attempts = [span("llm", 2.5, 2.6, 1, id=11, parent=10, **FAILED), span("llm", 2.65, 3.5, 1, id=12, parent=10)]
    outer = {**LLM, "span_id": (10).to_bytes(8)}
    assert cut(tmp_path, TURN, DECIDED, outer, *attempts, TTS)[2:] == REST


def test_a_hedged_request_belongs_to_the_first_call_up_to_the_second(tmp_path: Path) -> None:
    """The first call is still open when the second is made, whose answer is spoken."""
    first = span("llm", 1.5, 3.6, 1, provider="b", model="n")
    assert cut(tmp_path, TURN, DECIDED, first, LLM, TTS) == [
        ("endpointing", "endpointing", 500),
        ("llm_first_token", "b/n", 1000),
        *REST,
    ]


def test_what_goes_on_after_the_first_audio_is_outside(tmp_path: Path) -> None:
    """Later sentences, later rounds after filler audio, a model that streams on: the wait was over."""
    later = [span("llm", 3.9, 6, 1), span("tool", 3.75, 5, 1), span("tts", 4.5, 6, 1, time_to_first_chunk_s=0.1)]
    llm = {**LLM, "end_unix_nano": LLM["end_unix_nano"] + 5_000_000_000}
    assert cut(tmp_path, TURN, DECIDED, llm, TTS, *later)[2:] == REST


def test_text_counts_as_arriving_at_the_first_token_where_tts_was_open_before(tmp_path: Path) -> None:
    """A TTS operation that is opened before there is text has the time from the first token on."""
    tts = span("tts", 1.6, 5, 1, time_to_first_chunk_s=2.1, provider="v", model="w")
    assert cut(tmp_path, TURN, DECIDED, LLM, tts)[2:] == [
        ("llm_first_token", "a/m", 400),
        ("tts_first_audio", "v/w", 800),
        ("playout_start", "transport", 300),
    ]


def test_a_call_without_a_first_token_is_all_waiting_for_it(tmp_path: Path) -> None:
    """Of a blocking call, up to the text at TTS, nothing is told apart; the turn says so."""
    llm = span("llm", 2.5, 3.1, 1, provider="a", model="m")
    found = cut(tmp_path / "segments", TURN, DECIDED, llm, TTS)
    assert found[2:4] == [("llm_first_token", "a/m", 600), ("orchestration", "bot code", 100)]
    assert rows(tmp_path / "turns", "turns", TURN, DECIDED, llm, TTS)[0]["quality"] == ["no_first_token"]


def test_a_stage_that_begins_before_the_wait_or_ends_after_it_is_cut_to_it(tmp_path: Path) -> None:
    """Recognition began while the caller spoke and ended after the decision: its tail counts."""
    stt = span("stt", 0, 2.5, 1, provider="d", model="x")
    assert cut(tmp_path, TURN, DECIDED, stt, LLM, TTS) == [
        ("endpointing", "endpointing", 500),
        ("stt_tail", "d/x", 1000),
        *REST,
    ]


@pytest.mark.parametrize(
    "broken",
    [
        span("rag", 2.4, 1.6, 1),
        span("llm", 1.6, 2, 1, time_to_first_chunk_s=70.0),
        span("nlu", 1.7, 1.7, 1),
        {**span("rag", 1.8, 2, 1), "end_unix_nano": None, "duration_ns": None},
        span("tts", 3.9, 9, 1, time_to_first_chunk_s=0.0),
    ],
    ids=["end before start", "token outside", "no length", "no end", "audio after"],
)
def test_bad_values_leave_a_partition(tmp_path: Path, broken: Row) -> None:
    """Whatever a span says, segments touch each other and add up to the wait."""
    assert sum(float(str(ms)) for _, _, ms in cut(tmp_path, TURN, DECIDED, LLM, TTS, broken)) == 3000


def test_clocks_apart_move_boundaries_and_nothing_else(tmp_path: Path) -> None:
    """A classifier's clock is 50 ms late: within the tolerance its stage still ended before the model began."""
    late = {"service_instance": "model-host", "provider": "b", "model": "n", "time_to_first_chunk_s": 0.1}
    home = [{**one, "service_instance": "bot"} for one in (TURN, DECIDED, LLM, TTS)]
    found = cut(tmp_path, *home, span("nlu", 1.55, 2.55, 1, **late))
    assert found == [("endpointing", "endpointing", 500), ("nlu", "b/n", 1000), *REST]


def test_in_one_process_a_stage_that_still_runs_was_not_waited_for(tmp_path: Path) -> None:
    """The same classification on the turn's own clock ended 50 ms after the model had begun."""
    found = cut(tmp_path, TURN, DECIDED, span("nlu", 1.55, 2.55, 1), LLM, TTS)
    assert [segment for segment, *_ in found[:3]] == ["endpointing", "unattributed", "llm_first_token"]


def test_a_bot_that_spoke_over_the_caller_has_no_segments(tmp_path: Path) -> None:
    """The first bot audio lies before the caller's end of speech: a quality rule says so, nothing is cut."""
    turn = span("turn", 0, 9, 1, id=1, user_end=4, bot_start=3)
    found = rows(tmp_path, "turns", turn, LLM, TTS)[0]
    assert (found["segments"], found["quality"]) == (None, ["bot_before_caller"])


# ---- tools, rounds and other work -----------------------------------------------------------------------------------


def test_a_tool_round_is_told_call_by_call(tmp_path: Path) -> None:
    """The first call to its token, and on to the tool that it asked for, the tool, then the call that is spoken."""
    first = span("llm", 1.5, 2.2, 1, time_to_first_chunk_s=0.3, provider="a", model="m")
    tool = span("tool", 2, 2.5, 1, operation="account_lookup")
    assert cut(tmp_path, TURN, DECIDED, first, tool, LLM, TTS) == [
        ("endpointing", "endpointing", 500),
        ("llm_first_token", "a/m", 300),
        ("llm_speakable", "a/m", 200),
        ("tool", "account_lookup", 500),
        *REST,
    ]


def test_a_speculative_call_that_led_to_a_tool_counts_from_the_decision(tmp_path: Path) -> None:
    """It began before the decision, and the reply waited for what it asked for."""
    first = span("llm", 1.2, 1.9, 1, time_to_first_chunk_s=0.5, provider="a", model="m")
    tool = span("tool", 1.9, 2.5, 1, operation="account_lookup")
    assert cut(tmp_path, TURN, DECIDED, first, tool, LLM, TTS)[:4] == [
        ("endpointing", "endpointing", 500),
        ("llm_first_token", "a/m", 200),
        ("llm_speakable", "a/m", 200),
        ("tool", "account_lookup", 600),
    ]


def test_a_model_called_inside_a_tool_is_the_tools(tmp_path: Path) -> None:
    """Stages whose parent is a stage have no part of their own."""
    tool = span("tool", 1.5, 2.5, 1, id=20, operation="search")
    inner = span("llm", 1.6, 2.4, 1, parent=20, time_to_first_chunk_s=0.1)
    assert cut(tmp_path, TURN, DECIDED, tool, inner, LLM, TTS)[1] == ("tool", "search", 1000)


def test_moderation_after_the_first_token_has_its_own_time(tmp_path: Path) -> None:
    """What began after the first token and ended last before the text went to TTS."""
    moderation = span("nlu", 3.05, 3.2, 1, provider="g", model="h")
    assert cut(tmp_path, TURN, DECIDED, LLM, moderation, TTS)[2:5] == [
        ("llm_first_token", "a/m", 400),
        ("llm_speakable", "a/m", 150),
        ("nlu", "g/h", 150),
    ]


def test_a_failed_voice_and_its_retry(tmp_path: Path) -> None:
    """The attempt that failed has its own provider; the wait ends with the audio of the second."""
    failed = span("tts", 2.9, 3, 1, provider="x", model="y", **FAILED)
    assert cut(tmp_path, TURN, DECIDED, LLM, failed, TTS)[2:] == [
        ("llm_first_token", "a/m", 400),
        ("tts_first_audio", "x/y", 100),
        ("orchestration", "bot code", 200),
        ("tts_first_audio", "v/w", 500),
        ("playout_start", "transport", 300),
    ]


def test_a_cache_hit_needs_no_model(tmp_path: Path) -> None:
    """Without a model call the text reaches TTS when the lookup is done; a lookup is orchestration."""
    cache = span("cache", 1.5, 3.2, 1, cache_hit=True)
    assert cut(tmp_path, TURN, DECIDED, cache, TTS)[:2] == [
        ("endpointing", "endpointing", 500),
        ("orchestration", "bot code", 1700),
    ]


@pytest.mark.parametrize(
    ("left_out", "hole"),
    [
        ("endpointing", (None, 1500, "before llm")),
        ("llm", (None, 1700, "after endpointing, before tts")),
        ("tts", (None, 1100, "after llm")),
    ],
)
def test_a_component_without_spans_is_unattributed(tmp_path: Path, left_out: str, hole: tuple[object, ...]) -> None:
    """Its time goes to nobody, and to no neighbour."""
    rag = span("rag", 1.5, 2.5, 1)
    spans = [one for one in (TURN, DECIDED, rag, LLM, TTS) if one["component"] != left_out]
    if left_out == "endpointing":
        spans.remove(rag)
    if left_out == "llm":
        spans.remove(rag)
    columns = f"{SHORT}, detail"
    found = [row[1:] for row in cut(tmp_path, *spans, columns=columns) if row[0] == "unattributed"]
    assert found == [hole]


def test_a_clients_playout_makes_the_rest_the_networks(tmp_path: Path) -> None:
    """Another process plays the audio from the moment on that the wait is over."""
    home = [{**one, "service_instance": "bot"} for one in (TURN, DECIDED, LLM, TTS)]
    played = span("playout", 4, 9, 1, service_instance="client")
    assert cut(tmp_path, *home, played)[-1] == ("playout_start", "network", 300)

"""Whole calls. They run faster than real time here, so no test looks at how long the bot took."""

import pytest

from otel_voicebot import errors
from otel_voicebot.demo import CallEnded, CallStarted, TurnDone, run
from otel_voicebot.demo.caller import plans
from otel_voicebot.demo.run import FAST


def times(span, event):
    """When an event happened, in unix seconds."""
    return [e.timestamp / 1e9 for e in span.events if e.name == event]


def test_calls_end_as_planned(fast_run):
    """Calls are resolved, escalated, abandoned or fail as their plan says.

    But for those that interrupt: faster than real time, what is heard of them depends on how busy the machine is.
    """
    planned = {plan.name: plan.ends for plan in plans() if not plan.interrupts}
    endings = {call.plan: call.ending for call in fast_run.result.calls if call.plan in planned}
    assert len(endings) >= 5
    assert endings == {plan: planned[plan] for plan in endings}


def test_the_default_set_has_every_ending():
    """At least twelve calls, of every ending, with a slow model, a barge-in, faults, both variants and channels."""
    known = plans()
    assert len(known) >= 12
    assert {plan.ends for plan in known} == {"resolved", "unresolved", "escalated", "abandoned", "failed"}
    assert any(plan.slow_model for plan in known)
    assert any(plan.interrupts for plan in known)
    assert any(plan.voice_fails for plan in known)
    assert any(plan.core_banking == "down" for plan in known)
    assert {(plan.variant, plan.channel) for plan in known} >= {
        ("A", "phone"),
        ("A", "web"),
        ("B", "phone"),
        ("B", "web"),
    }


def test_a_call_has_the_shape_of_the_convention(fast_run):
    """A session span holds turns; a turn holds endpointing, stt, nlu, tts and playout; a tool holds its API call."""
    spans = {span.context.span_id: span for span in fast_run.of("loan")}
    (session,) = fast_run.of("loan", "voicebot.session")
    assert session.parent is None
    turns = fast_run.of("loan", "voicebot.turn")
    assert [turn.attributes["voicebot.turn.index"] for turn in turns] == list(range(1, len(turns) + 1))
    assert {turn.parent.span_id for turn in turns} == {session.context.span_id}
    for turn in turns[1:]:
        inside = {s.name.split()[0] for s in spans.values() if s.parent and s.parent.span_id == turn.context.span_id}
        assert inside >= {"voicebot.endpointing", "voicebot.stt", "voicebot.nlu", "voicebot.tts", "voicebot.playout"}
    assert fast_run.of("loan", "chat templates-small")
    (api,) = fast_run.of("loan", "voicebot.api")
    assert spans[api.parent.span_id].name == "execute_tool check_credit"


def test_speech_events_are_the_true_times(fast_run, recordings):
    """Speech lasts as long as in the recording; endpointing begins at its true end, the bot's audio at its playout."""
    turns = fast_run.of("loan", "voicebot.turn")[1:]
    said = next(call for call in fast_run.result.calls if call.plan == "loan").utterances
    for turn, utterance in zip(turns, said, strict=True):
        (start,), (end,) = times(turn, "voicebot.user.speech.start"), times(turn, "voicebot.user.speech.end")
        speech = recordings[utterance.recording].speech
        assert (end - start) * FAST == pytest.approx(speech[-1].end - speech[0].start, abs=0.1)
        index = turn.attributes["voicebot.turn.index"]
        own = [s for s in fast_run.of("loan") if s.attributes.get("voicebot.turn.index") == index]
        decision = next(s for s in own if s.name == "voicebot.endpointing")
        assert decision.start_time / 1e9 == pytest.approx(end, abs=1e-3)
        playout = next(s for s in own if s.name == "voicebot.playout")
        (bot,) = times(turn, "voicebot.bot.speech.start")
        assert bot == pytest.approx(playout.start_time / 1e9, abs=0.02)
        assert bot > decision.end_time / 1e9 > end


def test_the_counts_on_stt_spans_are_those_of_the_result(fast_run):
    """WER on the spans and WER in the result are the same counts."""
    stt = [span for span in fast_run.spans if span.name == "voicebot.stt"]
    assert sum(span.attributes.get("voicebot.wer.errors", 0) for span in stt) == fast_run.result.wer_errors
    assert sum(span.attributes.get("voicebot.wer.words", 0) for span in stt) == fast_run.result.wer_words
    assert fast_run.result.wer_words > 0
    assert fast_run.result.wer < 0.25


def test_no_text_is_on_spans_unless_content_is_captured(fast_run):
    """No span carries what was said or answered."""
    spoken = {utterance.reference for call in fast_run.result.calls for utterance in call.utterances}
    for span in fast_run.spans:
        attributes = [dict(span.attributes), *(dict(event.attributes) for event in span.events)]
        assert not spoken & {value for one in attributes for value in one.values() if isinstance(value, str)}


def test_a_caller_who_hangs_up_leaves_an_unanswered_turn(fast_run):
    """The turn of the slow model ends with the caller hanging up and no bot audio."""
    turn = fast_run.of("slow model, hangs up", "voicebot.turn")[-1]
    assert turn.attributes["voicebot.turn.end_reason"] == "hung_up"
    assert not times(turn, "voicebot.bot.speech.start")
    (session,) = fast_run.of("slow model, hangs up", "voicebot.session")
    assert session.attributes["voicebot.session.outcome"] == "abandoned"


def test_a_service_that_is_down_fails_its_spans_and_the_call(fast_run):
    """Both attempts and the tool around them fail; the bot still says so and ends the call as failed."""
    failed = [s for s in fast_run.of("bank system down") if s.attributes.get("error.type") == "TimeoutError"]
    assert [span.name for span in failed] == ["execute_tool look_up_balance", "voicebot.api", "voicebot.api"]
    last = fast_run.of("bank system down", "voicebot.turn")[-1]
    assert times(last, "voicebot.bot.speech.start")


def test_a_caller_interrupts_and_the_bot_stops(fast_run):
    """Speaking over the disclosure stops it: the turn is interrupted and its prompt does not count as delivered."""
    turns = fast_run.of("loan, interrupts the disclosure", "voicebot.turn")
    interrupted = [turn for turn in turns if turn.attributes.get("voicebot.turn.interrupted")]
    assert len(interrupted) == 1
    after = turns[turns.index(interrupted[0]) + 1]
    assert times(after, "voicebot.user.speech.start")[0] < times(interrupted[0], "voicebot.bot.speech.end")[0]
    assert not times(interrupted[0], "voicebot.event.compliance_prompt")


def test_progress_tells_of_every_call_and_turn(fast_run):
    """Each call is started and ended once, and each exchange told once."""
    assert sorted(p.call for p in fast_run.progress if isinstance(p, CallStarted)) == list(range(1, 8))
    assert sorted(p.call for p in fast_run.progress if isinstance(p, CallEnded)) == list(range(1, 8))
    told = [p.utterance for p in fast_run.progress if isinstance(p, TurnDone)]
    assert len(told) == sum(len(call.utterances) for call in fast_run.result.calls)


def test_a_run_that_is_not_real_time_says_so(fast_run):
    """The result of a fast run names its speed."""
    assert fast_run.result.speed == FAST


@pytest.mark.parametrize(("calls", "concurrency"), [(0, 1), (1, 0)])
def test_a_number_out_of_range_is_refused(calls, concurrency):
    """Calls and concurrency are at least 1."""
    with pytest.raises(errors.UsageError, match="at least 1, not 0"):
        run(calls, concurrency)


def test_a_missing_package_is_one_clear_sentence(monkeypatch):
    """Without the extra's packages the demo says how to get them."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pocketsphinx" else object())
    with pytest.raises(errors.MissingExtraError, match=r"pip install 'otel-voicebot\[demo\]'"):
        run()


@pytest.mark.parametrize("snr", [float("nan"), float("inf"), -1000.0])
def test_a_noise_that_is_none_is_refused(snr):
    """What is no signal-to-noise ratio is named before any call."""
    with pytest.raises(errors.UsageError, match="snr must be from"):
        run(calls=1, snr=snr)


def test_calls_are_held_without_flite(monkeypatch, tmp_path):
    """With flite hidden from PATH several calls at once are held in the voice of the wheel."""
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(calls=3, concurrency=3, real_time=False)
    assert result.voice == "espeak-ng"
    assert len(result.calls) == 3
    assert result.wer is not None
    assert result.wer < 0.5

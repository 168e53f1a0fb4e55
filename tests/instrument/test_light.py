"""What the bot's side needs: little to import, and no SDK."""

import subprocess
import sys
import textwrap

import otel_voicebot
from otel_voicebot import instrument

HEAVY = ("duckdb", "pyarrow", "pandas", "numpy", "grpc", "opentelemetry.sdk", "google.protobuf", "pydantic")

WITHOUT_SDK = """
    import importlib.abc, sys

    class Block(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name == "opentelemetry.sdk" or name.startswith("opentelemetry.sdk."):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Block())
"""

BOT = """
    import asyncio
    import otel_voicebot as vb

    @vb.stt(provider="p")
    def recognise(audio): return "i want a loan"

    @vb.llm(model="m")
    async def think(text): return text.upper()

    @vb.tts()
    def speak(text):
        got = None
        for word in text.split():
            got = yield (word, got)
        return len(text)

    @vb.llm(model="m")
    async def stream(text):
        for word in text.split():
            yield word

    @vb.api("crm")
    def broken(): raise KeyError("crm")

    async def talk():
        async with vb.session(bot="bank", session_id="s", caller="+4179") as call:
            async with vb.turn() as turn:
                turn.user_speech(start=1.0, end=2.0)
                turn.user_speech_start(); turn.user_speech_end(); turn.bot_speech_start(); turn.bot_speech_end()
                turn.interrupted(); turn.end_reason("completed")
                print(recognise(b""), await think("yes"), [word async for word in stream("a b")])
                said = speak("one two")
                print(next(said), said.send("x"))
                try:
                    next(said)
                except StopIteration as done:
                    print("returned", done.value)
                print(vb.current_session() is call, vb.current_turn() is turn, turn.index)
            with call.turn() as turn, vb.endpointing() as e, vb.nlu() as n, vb.cache("c") as c, vb.rag() as r:
                e.outcome("committed"); n.intent("loan", confidence=0.5); c.hit(True); r.first_chunk()
                print(turn.index)
            with vb.tool("t") as t, vb.playout(), vb.handoff("human") as h, vb.component("mine") as mine:
                t.call(result="x"); h.blocked(); mine.set({"a": 1}); mine.event("x"); mine.failed("rate_limit")
            with vb.stt() as s, vb.llm() as l, vb.tts() as o:
                s.transcript("x"); s.wer(errors=0, words=1); l.tokens(input=1); l.messages(input="x"); l.first_chunk()
                o.text("x"); o.audio(seconds=1.0); o.mos(4.0, kind="dnsmos"); l.answered_by("m")
            try:
                broken()
            except KeyError as error:
                print("raised", error)
            vb.event("x", {"a": 1})
            call.outcome("resolved"); call.feedback(csat=5)
            print(call.session_id)
        vb.feedback("s", nps=9)

    asyncio.run(talk())
"""

WITH_SDK = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    trace.set_tracer_provider(TracerProvider())
"""


def run(*parts: str) -> str:
    """Output of a fresh interpreter; nothing may be on its stderr."""
    script = "\n".join(textwrap.dedent(part) for part in parts)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_without_an_sdk_the_same_code_gives_the_same_values() -> None:
    """With `opentelemetry.sdk` not importable a whole bot runs and returns what it returns with an SDK set up."""
    without = run(WITHOUT_SDK, BOT)
    assert without == run(WITH_SDK, BOT)
    assert without == (
        "i want a loan YES ['a', 'b']\n('one', None) ('two', 'x')\nreturned 7\nTrue True 1\n2\nraised 'crm'\ns\n"
    )


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Neither ``import otel_voicebot`` nor its whole bot's side loads an engine, a data frame, gRPC or the SDK."""
    loaded = run("import sys, otel_voicebot", f"print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded == "[]\n"
    bare = run("import sys, otel_voicebot", "print([name for name in sys.modules if 'opentelemetry' in name])")
    assert bare == "[]\n"
    used = run(BOT, "import sys", f"print([name for name in {HEAVY} if name in sys.modules])")
    assert used.endswith("[]\n")


def test_a_provider_that_is_set_up_later_is_used() -> None:
    """Calls before the SDK is set up are not recorded, calls after it are: there is no order to keep."""
    out = run(
        """
        import otel_voicebot as vb
        with vb.session(bot="early"), vb.stt(): pass
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
        with vb.session(bot="b") as call, vb.stt() as stt:
            print(stt.span.is_recording(), stt.span.instrumentation_scope.name)
        """
    )
    assert out == "True otel_voicebot\n"


def test_the_public_names_are_those_of_instrument_and_configure() -> None:
    """``otel_voicebot`` offers exactly the instrument's names and ``configure``, lists them, and refuses others."""
    assert sorted([*instrument.__all__, "configure", "frames"]) == otel_voicebot.__all__
    assert set(otel_voicebot.__all__) <= set(dir(otel_voicebot))
    for name in instrument.__all__:
        assert getattr(otel_voicebot, name) is getattr(instrument, name)
    assert not hasattr(otel_voicebot, "no_such_name")


def test_testing_says_that_it_needs_the_sdk() -> None:
    """Without an SDK ``otel_voicebot.testing`` refuses with one sentence that says what to install."""
    out = run(
        WITHOUT_SDK,
        """
        try:
            import otel_voicebot.testing
        except ImportError as error:
            print(error)
        """,
    )
    assert out == "otel_voicebot.testing needs the OpenTelemetry SDK: pip install opentelemetry-sdk\n"

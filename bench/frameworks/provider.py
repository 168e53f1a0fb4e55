"""A local server that speaks OpenAI's API: chat completions (streamed), speech, transcriptions."""

import asyncio
import json
import math
import struct
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

__all__ = ["TOKENS", "Provider"]

_RATE: Final = 24_000
_FIRST_TOKEN_S, _TOKEN_S, _FIRST_AUDIO_S, _TRANSCRIPT_S = 0.2, 0.01, 0.15, 0.1
_SPEECH_S_PER_CHARACTER: Final = 0.03
TOKENS: Final = (100, 20)
"""Prompt and answer tokens of each completion, cached prompt tokens apart."""
_STORY: Final = (
    "Once upon a time there was a very long story about a lighthouse keeper. Every evening the keeper climbed two "
    "hundred steps to light the lamp. The ships far away at sea counted on that light through every storm."
)


class Provider:
    """Serves on a thread of its own, on a free port, while the block is open.

    Args:
        transcripts: what the recogniser hears, in turn.
        slower: seconds more that `stt`, `llm` (each call's first token) and `tts` (first audio) take.

    Attributes:
        url: base URL for OPENAI_BASE_URL.
        completions: requests for a completion that got all of it.
        failures: requests that were answered with an error.
        texts: what bot and provider said to each other: prompts, messages, tools' arguments and results, answers.
    """

    def __init__(self, transcripts: Iterable[str] = (), slower: Mapping[str, float] | None = None) -> None:
        self.url = ""
        self.completions = 0
        self._asked = 0
        self.failures = 0
        self.texts: set[str] = set()
        self._transcripts = list(transcripts)
        self._slower = {"stt": 0.0, "llm": 0.0, "tts": 0.0, **(slower or {})}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/audio/speech", self._speech)
        app.router.add_post("/v1/audio/transcriptions", self._transcribe)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        answer = _answer(body["messages"][-1], {tool["function"]["name"] for tool in body.get("tools") or []})
        self.texts |= {*map(_text, body["messages"]), answer[1] if isinstance(answer, tuple) else answer or ""}
        if answer is None:
            self.failures += 1
            error = {"message": "the provider broke about it", "type": "server_error", "code": "server_error"}
            return web.json_response({"error": error}, status=500, headers={"x-should-retry": "false"})
        self._asked += 1
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await asyncio.sleep(_FIRST_TOKEN_S + self._slower["llm"])
        head = {"id": f"chatcmpl-{self._asked}", "object": "chat.completion.chunk", "created": 1}
        head["model"] = body["model"]
        for delta, finish in _deltas(answer, self._asked):
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            await stream.write(f"data: {json.dumps({**head, 'choices': choices})}\n\n".encode())
            await asyncio.sleep(_TOKEN_S)
        prompt, said = TOKENS
        usage = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
        await stream.write(f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode())
        self.completions += 1
        return stream

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        text = (await request.json())["input"]
        self.texts.add(text)
        await asyncio.sleep(_FIRST_AUDIO_S + self._slower["tts"])
        stream = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await stream.prepare(request)
        samples = int(_RATE * max(0.4, len(text) * _SPEECH_S_PER_CHARACTER))
        audio = b"".join(struct.pack("<h", int(9000 * math.sin(n / 12))) for n in range(samples))
        for start in range(0, len(audio), 9600):
            await stream.write(audio[start : start + 9600])
            await asyncio.sleep(0.02)
        return stream

    async def _transcribe(self, request: web.Request) -> web.Response:
        await request.post()
        await asyncio.sleep(_TRANSCRIPT_S + self._slower["stt"])
        heard = self._transcripts.pop(0) if self._transcripts else ""
        self.texts.add(heard)
        return web.json_response({"text": heard})


def _answer(message: dict[str, Any], tools: set[str]) -> str | tuple[str, str] | None:
    """What the model says: text, a tool's name and arguments, or None for an error."""
    text = _text(message)
    if message["role"] == "tool":
        return "It is eighteen degrees and sunny in Paris."
    if "break" in text:
        return None
    if "weather" in text and "get_weather" in tools:
        return "get_weather", '{"city": "Paris"}'
    if "billing" in text and "transfer_to_billing" in tools:
        return "transfer_to_billing", "{}"
    if "story" in text:
        return _STORY
    return "Goodbye, talk to you soon." if "bye" in text else "Hello there, how can I help?"


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def _deltas(answer: str | tuple[str, str], number: int) -> list[tuple[dict[str, Any], str | None]]:
    if isinstance(answer, str):
        words: list[tuple[dict[str, Any], str | None]] = [({"content": word + " "}, None) for word in answer.split()]
        return [({"role": "assistant", "content": ""}, None), *words, ({}, "stop")]
    name, arguments = answer
    call = {"index": 0, "id": f"call_{number}", "type": "function"}
    return [
        ({"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]}, None),
        ({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}, None),
        ({}, "tool_calls"),
    ]

"""Every span, attribute, event and metric of otel_voicebot: name, type, unit, buckets and meaning.

The only home of these literals: the rest of the package uses the constants, and ``docs/reference/semconv.md`` is
generated from the tables ``ATTRIBUTES``, ``SPANS``, ``EVENTS`` and ``METRICS``. Durations are seconds, sizes are base
units; OpenTelemetry's own name is used where one exists, else ``voicebot.*``.
"""

from typing import Final

from otel_voicebot.conventions import Attribute, AttributeType, Event, Metric, MetricKind, Span

ATTRIBUTES: Final[dict[str, Attribute]] = {}
SPANS: Final[dict[str, Span]] = {}
EVENTS: Final[dict[str, Event]] = {}
METRICS: Final[dict[str, Metric]] = {}


def _attribute(name: str, kind: AttributeType, meaning: str, unit: str = "", *, content: bool = False) -> str:
    ATTRIBUTES[name] = Attribute(name, kind, meaning, unit, content)
    return name


def _span(name: str, component: str, meaning: str) -> str:
    SPANS[name] = Span(name, component, meaning)
    return name


def _event(name: str, meaning: str) -> str:
    EVENTS[name] = Event(name, meaning)
    return name


def _metric(
    name: str, kind: MetricKind, unit: str, labels: str, meaning: str, buckets: tuple[float, ...] = ()
) -> Metric:
    METRICS[name] = Metric(name, kind, unit, tuple(labels.split()), meaning, buckets)
    return METRICS[name]


SCOPE_NAME: Final = "otel_voicebot"
"""Instrumentation scope of the spans that our own API starts; it tells the native dialect."""

# ---- components ---------------------------------------------------------------------------------------------------

COMPONENTS: Final = (
    "session",
    "turn",
    "endpointing",
    "stt",
    "llm",
    "tts",
    "nlu",
    "rag",
    "tool",
    "cache",
    "handoff",
    "api",
    "playout",
    "other",
)
OPERATIONS: Final = ("stt", "llm", "tts", "nlu", "rag", "tool", "cache", "api")
"""The components whose spans are operations: what latencies, errors and rates are counted over."""

OUTCOMES: Final = ("resolved", "unresolved", "escalated", "abandoned", "failed")
ENDPOINTING_OUTCOMES: Final = ("committed", "resumed", "dropped")
REQUESTERS: Final = ("caller", "bot")
"""Who may ask for a handoff."""

SEGMENTS: Final = {
    "endpointing": "Silence after the caller's end of speech until the bot decides to answer; its setting's.",
    "stt_tail": "The rest of speech recognition after the caller had stopped.",
    "nlu": "Understanding the intent.",
    "rag": "Looking up knowledge.",
    "tool": "A tool, or an API of the business.",
    "llm_first_token": "A model call until its first token.",
    "llm_speakable": "From the first token to text that can be spoken, or to the tool that the model asked for.",
    "tts_first_audio": "Speech synthesis until its first audio.",
    "playout_start": "From the first audio made to the first audio heard: transport or network.",
    "orchestration": "Short gaps between stages, and hooks: the framework's or the bot's code.",
    "unattributed": "Time that no span explains; its detail names the stages before and after.",
}
"""What a wait is cut into, each with its meaning. No two overlap, and they add up to the wait."""

# ---- resource -----------------------------------------------------------------------------------------------------

SERVICE_NAME: Final = _attribute("service.name", "string", "Name of the service that emitted the span.")
SERVICE_INSTANCE_ID: Final = _attribute("service.instance.id", "string", "One process of the service.")
ENVIRONMENT: Final = _attribute("deployment.environment.name", "string", "production, staging, ...")
FRAMEWORK_VERSION: Final = _attribute(
    "voicebot.framework.version", "string", "Version of the voice-agent framework, where its spans don't tell."
)

ENDPOINTING_DELAY: Final = _attribute(
    "voicebot.endpointing.delay",
    "double",
    "The silence after the caller's end of speech that the bot's settings ask for before it may answer, where the "
    "framework doesn't tell (Pipecat: stop_secs + user_speech_timeout); on the resource, or on the turn's spans.",
    "s",
)

# ---- every span ---------------------------------------------------------------------------------------------------

SESSION_ID: Final = _attribute("session.id", "string", "The call. One session is one call or chat.")
TURN_INDEX: Final = _attribute("voicebot.turn.index", "int", "Turn within the session, from 1.", "{turn}")
BOT: Final = _attribute("voicebot.bot", "string", "Name of the bot.")
CHANNEL: Final = _attribute("voicebot.channel", "string", "How the caller came in: phone, web, app, ...")
PHONE: Final = "phone"
"""The channel whose calls come over a telephone line, which somebody charges for."""
VARIANT: Final = _attribute("voicebot.variant", "string", "Variant of an experiment that the session runs under.")
USER_HASH: Final = _attribute(
    "user.hash", "string", "Keyed hash (HMAC-SHA256) of the caller; never the caller in clear."
)
SYNTHETIC: Final = _attribute("voicebot.synthetic", "boolean", "The component is a fake of otel_voicebot.testing.")
ERROR_TYPE: Final = _attribute("error.type", "string", "Class of the error; `rate_limit` where it is one.")
CANCELLED: Final = _attribute(
    "voicebot.cancelled",
    "boolean",
    "Stopped before it was done (barge-in, cancelled task, abandoned stream); no failure.",
)
BACKGROUND: Final = _attribute(
    "voicebot.background", "boolean", "Work that the reply doesn't wait for; no part of the wait is put down to it."
)
DISCARDED: Final = _attribute(
    "voicebot.discarded", "boolean", "Speculative work whose result was thrown away; the same."
)
AGENT: Final = _attribute("voicebot.agent", "string", "The agent that did the work, where a bot has several.")
DECISION: Final = _attribute("voicebot.decision", "string", "Type of decision that the work served.")
ADAPTER: Final = _attribute("voicebot.adapter", "string", "Model adapter (fine-tuned variant) in use.")
INTENT_SCHEMA: Final = _attribute("voicebot.intent.schema", "string", "Version of the intent schema in use.")

# ---- session ------------------------------------------------------------------------------------------------------

SESSION_OUTCOME: Final = _attribute("voicebot.session.outcome", "string", "One of " + ", ".join(OUTCOMES) + ".")
SESSION_INTENT: Final = _attribute("voicebot.session.intent", "string", "What the caller wanted from the call.")
SESSION_END_REASON: Final = _attribute(
    "voicebot.session.end_reason", "string", "Why the call ended: completed, hung_up, transferred, error, ..."
)
TENANT: Final = _attribute("voicebot.tenant", "string", "Tenant that the session belongs to.")
PLATFORM: Final = _attribute("voicebot.platform", "string", "Platform of the caller's client.")
LOCATION: Final = _attribute("voicebot.location", "string", "Site or region, never an address.")

# ---- turn ---------------------------------------------------------------------------------------------------------

TURN_INTERRUPTED: Final = _attribute(
    "voicebot.turn.interrupted", "boolean", "The caller spoke over the bot's reply and the bot stopped."
)
TURN_END_REASON: Final = _attribute(
    "voicebot.turn.end_reason",
    "string",
    "Why the turn ended: completed, spoke_again, hung_up, session_ended, error.",
)
USER_WORDS: Final = _attribute("voicebot.user.words", "int", "Words in the caller's transcript.", "{word}")
BOT_WORDS: Final = _attribute("voicebot.bot.words", "int", "Words in the bot's reply.", "{word}")
USER_TEXT: Final = _attribute("voicebot.user.text", "string", "What the caller said.", content=True)
BOT_TEXT: Final = _attribute("voicebot.bot.text", "string", "What the bot said.", content=True)
REFERENCE_TEXT: Final = _attribute(
    "voicebot.reference.text", "string", "What the caller really said, where it is known (tests).", content=True
)

# ---- components' own ----------------------------------------------------------------------------------------------

ENDPOINTING_OUTCOME: Final = _attribute(
    "voicebot.endpointing.outcome", "string", "committed (the turn was decided), resumed, dropped."
)
PROVIDER: Final = _attribute("gen_ai.provider.name", "string", "Provider of the STT, LLM or TTS service.")
REQUEST_MODEL: Final = _attribute("gen_ai.request.model", "string", "Model asked for.")
RESPONSE_MODEL: Final = _attribute("gen_ai.response.model", "string", "Model that answered.")
OPERATION_NAME: Final = _attribute("gen_ai.operation.name", "string", "GenAI operation: chat, execute_tool, ...")
TIME_TO_FIRST_CHUNK: Final = _attribute(
    "gen_ai.response.time_to_first_chunk",
    "double",
    "Start of the operation to its first transcript, token or audio.",
    "s",
)
INPUT_TOKENS: Final = _attribute("gen_ai.usage.input_tokens", "int", "Tokens of the prompt.", "{token}")
OUTPUT_TOKENS: Final = _attribute("gen_ai.usage.output_tokens", "int", "Tokens of the answer.", "{token}")
CACHED_INPUT_TOKENS: Final = _attribute(
    "gen_ai.usage.cache_read.input_tokens", "int", "Prompt tokens served from the provider's cache.", "{token}"
)
TOOL_NAME: Final = _attribute("gen_ai.tool.name", "string", "Name of the tool that ran.")
STT_CONFIDENCE: Final = _attribute("voicebot.stt.confidence", "double", "Recogniser's confidence, 0 to 1.", "1")
AUDIO_DURATION: Final = _attribute(
    "voicebot.audio.duration", "double", "Length of the audio heard (STT) or made (TTS).", "s"
)
WER_ERRORS: Final = _attribute(
    "voicebot.wer.errors", "int", "Substitutions, deletions and insertions against a reference.", "{word}"
)
WER_WORDS: Final = _attribute("voicebot.wer.words", "int", "Words of the reference.", "{word}")
TTS_CHARACTERS: Final = _attribute("voicebot.tts.characters", "int", "Characters spoken.", "{character}")
MOS: Final = _attribute("voicebot.mos", "double", "Mean opinion score of the audio, 1 to 5.", "1")
MOS_KIND: Final = _attribute("voicebot.mos.kind", "string", "How the score was made: survey, dnsmos, ...; never mixed.")
INTENT_NAME: Final = _attribute("voicebot.intent.name", "string", "Intent that the classifier chose.")
INTENT_CONFIDENCE: Final = _attribute("voicebot.intent.confidence", "double", "Its confidence, 0 to 1.", "1")
INTENT_FALLBACK: Final = _attribute("voicebot.intent.fallback", "boolean", "No intent was good enough.")
API_NAME: Final = _attribute("voicebot.api.name", "string", "External service that was called.")
CACHE_NAME: Final = _attribute("voicebot.cache.name", "string", "Which cache: semantic, audio, session, ...")
CACHE_LEVEL: Final = _attribute("voicebot.cache.level", "string", "L1, L2, L3.")
CACHE_HIT: Final = _attribute("voicebot.cache.hit", "boolean", "The lookup was answered from the cache.")
CACHE_ENTRY: Final = _attribute("voicebot.cache.entry", "string", "Id of the cache entry; never its text.")
HANDOFF_TARGET: Final = _attribute("voicebot.handoff.target", "string", "`human`, or the name of a bot.")
HANDOFF_REQUESTED_BY: Final = _attribute("voicebot.handoff.requested_by", "string", "caller or bot.")
HANDOFF_PLANNED: Final = _attribute("voicebot.handoff.planned", "boolean", "The transfer is part of the workflow.")
HANDOFF_BLOCKED: Final = _attribute("voicebot.handoff.blocked", "boolean", "Refused because it would go in a circle.")
CSAT: Final = _attribute("voicebot.csat", "int", "Customer satisfaction, 1 to 5.", "1")
NPS: Final = _attribute("voicebot.nps", "int", "Likelihood to recommend, 0 to 10.", "1")
WORKFLOW: Final = _attribute("voicebot.workflow", "string", "Workflow that an event belongs to.")
ENTITY: Final = _attribute("voicebot.entity", "string", "Type of an extracted entity; never its value.")
COMPLIANCE_PROMPT: Final = _attribute("voicebot.compliance.prompt", "string", "Id of a compliance prompt.")

# ---- content of others that our own spans may carry ---------------------------------------------------------------

INPUT_MESSAGES: Final = _attribute("gen_ai.input.messages", "string", "Messages sent to the model.", content=True)
OUTPUT_MESSAGES: Final = _attribute("gen_ai.output.messages", "string", "Messages of the model.", content=True)
SYSTEM_INSTRUCTIONS: Final = _attribute("gen_ai.system_instructions", "string", "System prompt.", content=True)
TOOL_ARGUMENTS: Final = _attribute("gen_ai.tool.call.arguments", "string", "Arguments of a tool call.", content=True)
TOOL_RESULT: Final = _attribute("gen_ai.tool.call.result", "string", "Result of a tool call.", content=True)
EXCEPTION_TYPE: Final = _attribute("exception.type", "string", "Class of the exception.")
EXCEPTION_MESSAGE: Final = _attribute("exception.message", "string", "Its text.", content=True)
EXCEPTION_STACKTRACE: Final = _attribute("exception.stacktrace", "string", "Its stack trace.", content=True)

# ---- who a part of the wait belongs to ------------------------------------------------------------------------------

ENDPOINTING_SETTINGS: Final = {
    "native": "endpointing",
    "livekit": "endpointing delay",
    "pipecat": "stop_secs + user_speech_timeout",
}
"""Dialect to the setting that owns the deliberate silence after the caller's end of speech; native's for any other."""

# ---- spans --------------------------------------------------------------------------------------------------------

SPAN_SESSION: Final = _span("voicebot.session", "session", "One call, root of its trace.")
SPAN_TURN: Final = _span("voicebot.turn", "turn", "One exchange: the caller speaks, the bot answers.")
SPAN_ENDPOINTING: Final = _span(
    "voicebot.endpointing", "endpointing", "The caller's end of speech to the decision that the turn is over."
)
SPAN_STT: Final = _span("voicebot.stt", "stt", "Speech to text.")
SPAN_LLM: Final = _span("chat", "llm", "A model call, named `chat {model}` as in the GenAI conventions.")
SPAN_TTS: Final = _span("voicebot.tts", "tts", "Text to speech, from the hand-over of the text.")
SPAN_NLU: Final = _span("voicebot.nlu", "nlu", "Intent classification and entity extraction.")
SPAN_RAG: Final = _span("voicebot.rag", "rag", "Retrieval.")
SPAN_TOOL: Final = _span("execute_tool", "tool", "A tool that the model asked for, `execute_tool {name}`.")
SPAN_API: Final = _span("voicebot.api", "api", "A call to an external service.")
SPAN_CACHE: Final = _span("voicebot.cache", "cache", "A cache lookup.")
SPAN_HANDOFF: Final = _span("voicebot.handoff", "handoff", "A transfer to a human or to another bot.")
SPAN_PLAYOUT: Final = _span("voicebot.playout", "playout", "Playing the reply to the caller.")
SPAN_FEEDBACK: Final = _span("voicebot.feedback", "other", "A late fact of a session: CSAT, NPS, a corrected outcome.")

# ---- events -------------------------------------------------------------------------------------------------------

USER_SPEECH_START: Final = _event("voicebot.user.speech.start", "The caller begins to speak (audible audio).")
USER_SPEECH_END: Final = _event("voicebot.user.speech.end", "The caller's true end of speech.")
BOT_SPEECH_START: Final = _event("voicebot.bot.speech.start", "First audible audio of the bot.")
BOT_SPEECH_END: Final = _event("voicebot.bot.speech.end", "Last audible audio of the bot.")
FEEDBACK: Final = _event("voicebot.feedback", "Survey answer; carries `voicebot.csat` and `voicebot.nps`.")
EXCEPTION: Final = _event("exception", "OpenTelemetry's exception event.")
EVENT_PREFIX: Final = "voicebot.event."
CALLBACK: Final = "callback"
TRACKED_EVENTS: Final = {
    "conversation_start": "A conversation begins.",
    "conversation_end": "A conversation ends.",
    "user_message": "The caller said something.",
    "bot_response": "The bot answered.",
    "intent_classified": "An intent was chosen.",
    "entity_extracted": "An entity was found.",
    "workflow_started": "A workflow begins.",
    "workflow_completed": "A workflow is done.",
    "workflow_failed": "A workflow was given up.",
    "compliance_prompt": "A compliance prompt was delivered.",
    "api_call": "An external service was called.",
    "error": "Something went wrong.",
    "user_feedback": "The caller rated the call.",
    CALLBACK: "The caller came back for the same thing by a way that has no spans: it counts as a repeat contact.",
}
for _name, _meaning in TRACKED_EVENTS.items():
    _event(EVENT_PREFIX + _name, _meaning)

# ---- metrics ------------------------------------------------------------------------------------------------------

OVERFLOW: Final = "_overflow"
"""Label value of the series that takes what came after a metric had too many."""
FOLDED_FIRST: Final = ("owner", "operation")
"""Labels whose values others make up (tools, models): they are given up first, and the others stay as they are."""

# Every threshold people set (0.5, 0.8, 1, 1.5, 2, 3, 3.5, 5, 8 s) is an edge, and for lognormal gaps (median 0.6-2 s,
# sigma 0.4-0.8) Prometheus' linear interpolation reads p50, p95 and p99 within 1 %.
GAP_BUCKETS: Final = (
    *(0.5, 0.65, 0.8, 1.0, 1.15, 1.3, 1.45, 1.5, 1.65, 1.8, 2.0, 2.2, 2.45, 2.7, 3.0, 3.3, 3.5, 3.85, 4.25, 4.7, 5.0),
    *(5.55, 6.2, 6.95, 7.85, 8.0, 9.1, 10.4, 11.9, 13.5),
)
# Half of the segments are playout, orchestration and the tail of recognition: a few ms each.
SEGMENT_BUCKETS: Final = (0.05, 0.1, 0.2, 0.35, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
COMPONENT_BUCKETS: Final = (0.1, 0.2, 0.35, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
SESSION_BUCKETS: Final = (5.0, 15.0, 30.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 420.0, 600.0, 900.0, 1800.0, 3600.0)

_SESSION_LABELS: Final = "bot channel variant environment"
_OPERATION_LABELS: Final = "bot component provider model"

RESPONSE_GAP: Final = _metric(
    "voicebot.turn.response_gap",
    "histogram",
    "s",
    _SESSION_LABELS,
    "The caller's true end of speech to the first bot audio, of answered exchanges.",
    GAP_BUCKETS,
)
ABANDONED_WAIT: Final = _metric(
    "voicebot.turn.abandoned_wait",
    "histogram",
    "s",
    f"{_SESSION_LABELS} reason",
    "The caller's true end of speech to the end of an exchange that was not answered, by reason: spoke_again, hung_up, "
    "error, session_ended. An answer would have come later (right-censored).",
    GAP_BUCKETS,
)
SEGMENT_DURATION: Final = _metric(
    "voicebot.turn.segment.duration",
    "histogram",
    "s",
    "bot segment owner",
    "What the response gap of answered exchanges consists of, by segment and by who owns it (a service as "
    "provider/model; nobody: empty). The sums over all segments add up to the response gaps of the turns that could be "
    "cut.",
    SEGMENT_BUCKETS,
)
TURNS: Final = _metric(
    "voicebot.turns", "counter", "{turn}", f"{_SESSION_LABELS} outcome", "Exchanges by outcome: answered, abandoned."
)
INTERRUPTIONS: Final = _metric(
    "voicebot.interruptions",
    "counter",
    "{turn}",
    _SESSION_LABELS,
    "Turns whose reply the caller spoke over and stopped.",
)
REPLIES: Final = _metric(
    "voicebot.replies",
    "counter",
    "{turn}",
    _SESSION_LABELS,
    "Turns with bot speech of which it is known whether it was interrupted: what interruptions are a share of.",
)
OPERATION_DURATION: Final = _metric(
    "voicebot.operation.duration",
    "histogram",
    "s",
    f"{_OPERATION_LABELS} operation",
    "Start to end of an operation, by what was done (chat, a tool's, an API's name; not of caches); of nested spans of "
    "one component the outermost counts.",
    COMPONENT_BUCKETS,
)
TIME_TO_FIRST: Final = _metric(
    "voicebot.operation.time_to_first_chunk",
    "histogram",
    "s",
    _OPERATION_LABELS,
    "Start of an operation to its first transcript, token or audio.",
    COMPONENT_BUCKETS,
)
ERRORS: Final = _metric(
    "voicebot.errors", "counter", "{operation}", f"{_OPERATION_LABELS} error_type", "Operations that failed."
)
TOKENS: Final = _metric(
    "voicebot.tokens", "counter", "{token}", "bot provider model direction", "Tokens by direction: input, output."
)
COST: Final = _metric(
    "voicebot.cost",
    "counter",
    "USD",
    _OPERATION_LABELS,
    "What was used and has a known price: STT, LLM and TTS operations, and telephone lines (component telephony, the "
    "channel as model) when their call has ended; at the prices that the process was started with.",
)
COST_OPERATIONS: Final = _metric(
    "voicebot.cost.operations",
    "counter",
    "{operation}",
    "bot component priced",
    "Things that are paid for, by whether their price and usage are known (true, false): `voicebot.cost` is the cost "
    "of the true ones alone.",
)
CACHE_LOOKUPS: Final = _metric(
    "voicebot.cache.lookups", "counter", "{lookup}", "bot cache level result", "Cache lookups by result: hit, miss."
)
WER_ERROR_COUNT: Final = _metric(
    "voicebot.wer.errors", "counter", "{word}", "bot provider model", "Wrong words against references (S + D + I)."
)
WER_WORD_COUNT: Final = _metric(
    "voicebot.wer.words", "counter", "{word}", "bot provider model", "Reference words: WER is errors over words."
)
CLASSIFICATIONS: Final = _metric(
    "voicebot.nlu.classifications",
    "counter",
    "{operation}",
    "bot result fallback",
    "NLU operations by result: confident, low_confidence (below 0.7), unknown; and whether no intent was good enough.",
)
HANDOFFS: Final = _metric(
    "voicebot.handoffs",
    "counter",
    "{handoff}",
    "bot target outcome",
    "Transfers by target (human, bot) and outcome: completed, failed, blocked.",
)
HANDOFF_DURATION: Final = _metric(
    "voicebot.handoff.duration",
    "histogram",
    "s",
    "bot target",
    "Start to end of a transfer that was not blocked, by target (human, bot).",
    COMPONENT_BUCKETS,
)
SESSIONS: Final = _metric(
    "voicebot.sessions", "counter", "{session}", f"{_SESSION_LABELS} outcome", "Ended sessions by outcome."
)
ELIGIBLE: Final = _metric(
    "voicebot.sessions.eligible",
    "counter",
    "{session}",
    f"{_SESSION_LABELS} contained",
    "Ended sessions that containment is a share of: not short, no planned handoff in it. contained (true, false): no "
    "unplanned handoff to a human, and not abandoned, failed or escalated.",
)
SESSIONS_ACTIVE: Final = _metric("voicebot.sessions.active", "gauge", "{session}", "bot", "Sessions under way.")
SESSION_DURATION: Final = _metric(
    "voicebot.session.duration", "histogram", "s", _SESSION_LABELS, "Length of ended sessions.", SESSION_BUCKETS
)
HANDLE_TIME: Final = _metric(
    "voicebot.session.handle_time",
    "histogram",
    "s",
    _SESSION_LABELS,
    "Length of handled sessions: those with at least one answered exchange.",
    SESSION_BUCKETS,
)
CSAT_SCORES: Final = _metric(
    "voicebot.csat", "counter", "{answer}", "bot variant score", "CSAT answers, 1 to 5, also those after the call."
)
NPS_SCORES: Final = _metric("voicebot.nps", "counter", "{answer}", "bot variant score", "NPS answers, 0 to 10.")
FCR_ISSUES: Final = _metric(
    "voicebot.fcr.issues",
    "gauge",
    "{issue}",
    "bot window state",
    "Issues that began in the last 14 days, by window (1d, 7d) and state: solved, unsolved, provisional (the window "
    "hasn't passed). FCR is solved over solved and unsolved. From stored calls, every `kpi_interval`.",
)
SPEECH_DURATION: Final = _metric(
    "voicebot.speech.duration",
    "gauge",
    "s",
    "bot part",
    "Sums over calls with speech marks that began in the last 24 h, by part: caller, bot, dead_air (silences of both "
    "of 3 s or more), call (start to end, all of it). From stored calls, every `kpi_interval`.",
)
KPIS_COMPUTED: Final = _metric(
    "voicebot.kpis.computed",
    "gauge",
    "s",
    "",
    "Unix time as of which FCR and speech above were computed last.",
)
STORED_KPIS: Final = (FCR_ISSUES, SPEECH_DURATION, KPIS_COMPUTED)
"""What a service computes from stored calls now and then."""
MOS_SCORES: Final = _metric(
    "voicebot.mos",
    "histogram",
    "1",
    "bot provider model kind",
    "Opinion scores of audio.",
    (1.5, 2, 2.5, 3, 3.5, 4, 4.5),
)
ORCHESTRATOR_REQUESTS: Final = _metric("orchestrator.requests", "counter", "", "bot", "One per exchange.")
ORCHESTRATOR_LATENCY: Final = _metric(
    "orchestrator.request.latency", "histogram", "s", "bot", "Response gap of the answered exchanges.", GAP_BUCKETS
)
BROKEN_RULES: Final = _metric(
    "voicebot.quality.broken",
    "counter",
    "{turn}",
    "bot rule",
    "Turns that break a quality rule, by rule; what the rule sets aside is in no other metric.",
)
RESTATED: Final = _metric(
    "voicebot.restated",
    "counter",
    "{row}",
    "kind",
    "Turns and sessions that a late span changed after they were counted.",
)
SERIES_OVERFLOW: Final = _metric(
    "voicebot.metrics.overflow",
    "counter",
    "{observation}",
    "metric",
    "Observations folded because a metric has too many series.",
)

# ---- the package's own counters -----------------------------------------------------------------------------------

SELF_RECEIVED: Final = _metric("voicebot.spans.received", "counter", "{span}", "door", "Spans that came in.")
SELF_REJECTED: Final = _metric("voicebot.spans.rejected", "counter", "{span}", "reason", "Spans that can't be kept.")
SELF_REFUSED: Final = _metric(
    "voicebot.requests.refused", "counter", "{request}", "reason", "Requests that the service's doors did not take."
)
SELF_LIMITED: Final = _metric(
    "voicebot.values.limited",
    "counter",
    "{value}",
    "limit",
    "Values beyond a limit: attributes dropped (count), texts of attributes and columns that are stored cut (length).",
)
SELF_DROPPED: Final = _metric("voicebot.spans.dropped", "counter", "{span}", "reason", "Spans lost, and why.")
SELF_COMMITTED: Final = _metric("voicebot.spans.committed", "counter", "{span}", "", "Spans on disk, fsynced.")
SELF_LATE: Final = _metric(
    "voicebot.spans.late", "counter", "{span}", "", "Spans that came after their call was counted."
)
SELF_UNMAPPED: Final = _metric(
    "voicebot.spans.unmapped", "counter", "{span}", "scope", "Spans that no dialect recognises."
)
SELF_UNKNOWN_SPANS: Final = _metric(
    "voicebot.dialect.unknown_spans",
    "counter",
    "{span}",
    "name",
    "Spans of a known framework with a name that its table doesn't have, as framework/name.",
)
SELF_UNKNOWN_ATTRIBUTES: Final = _metric(
    "voicebot.dialect.unknown_attributes",
    "counter",
    "{attribute}",
    "name",
    "Attributes of a known framework that its table doesn't have, as framework/name.",
)
SELF_ROWS_DROPPED: Final = _metric(
    "voicebot.rows.dropped",
    "counter",
    "{row}",
    "table",
    "Turn and session rows lost while the disk refused (spans tell), or of somebody who was erased.",
)
SELF_WITHHELD: Final = _metric(
    "voicebot.values.withheld", "counter", "{value}", "", "Texts not stored because content capture is off."
)
SELF_FAILURES: Final = _metric(
    "voicebot.pipeline.failures", "counter", "{failure}", "stage", "Failures that were contained: the bot went on."
)
SELF_LOGS_RECEIVED: Final = _metric(
    "voicebot.logs.received", "counter", "{record}", "door", "Log records that came in."
)
SELF_LOGS_COMMITTED: Final = _metric(
    "voicebot.logs.committed", "counter", "{record}", "", "Log records on disk, fsynced."
)
SELF_LOGS_FORWARDED: Final = _metric(
    "voicebot.logs.forwarded", "counter", "{record}", "", "Log records that `logs_endpoint` has taken."
)
SELF_LOGS_DROPPED: Final = _metric(
    "voicebot.logs.dropped",
    "counter",
    "{record}",
    "reason",
    "Stored log records that were not sent on: queue_full, refused, shutdown.",
)
SELF_REPEATED: Final = _metric(
    "voicebot.spans.repeated", "counter", "{span}", "", "Spans that were on disk already: delivered twice, kept once."
)
SELF_REQUESTS: Final = _metric(
    "voicebot.requests",
    "counter",
    "{request}",
    "answer",
    "Requests to the service: accepted, unreadable, turned_away (come again), disk (it refused), failed.",
)
SELF_MERGED: Final = _metric(
    "voicebot.rows.merged", "counter", "{row}", "table", "Rows of closed hours that became history."
)
SELF_REMOVED: Final = _metric(
    "voicebot.hours.removed", "counter", "{hour}", "reason", "Hours of data removed: retention, disk_cap."
)
SELF_QUESTIONS: Final = _metric(
    "voicebot.web.questions",
    "counter",
    "{request}",
    "outcome",
    "Requests at the web port: answered, not_found, wrong, unauthenticated, later (busy, or it took too long), failed.",
)
PRICES_DATE: Final = _metric(
    "voicebot.prices.date",
    "gauge",
    "s",
    "source",
    "Day that the prices in use are of (unix time), by source: the price file; genai-prices with its version, once a "
    "model was priced by it.",
)
SELF_QUEUE: Final = _metric("voicebot.queue.depth", "gauge", "{span}", "", "Spans waiting for the worker.")
SELF_EVICTED: Final = _metric(
    "voicebot.sessions.evicted",
    "counter",
    "{session}",
    "",
    "Open sessions given up: too many were open, or they could not be computed.",
)

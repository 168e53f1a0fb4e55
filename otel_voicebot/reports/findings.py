"""What ``doctor`` found, in plain words: each a sentence, and what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from otel_voicebot.dialects import DIALECTS
from otel_voicebot.models.quality import RULES, SPAN_RULES
from otel_voicebot.reports.drift import FieldState
from otel_voicebot.reports.values import duration
from otel_voicebot.reports.whole import CLIENTS, Clock, Wholeness

if TYPE_CHECKING:
    from otel_voicebot.reports.doctor import Framework

__all__ = [
    "Finding",
    "counted",
    "lines",
    "meaning_of",
    "of_clocks",
    "of_content",
    "of_fields",
    "of_quality",
    "of_turns",
    "of_unread",
    "of_wholeness",
]

_SAMPLING: Final = (
    "KPIs need every span: send all of them here, and sample only for other back ends (docs/doctor.md); "
    "if nobody samples, look for full queues at the sender (BatchSpanProcessor drops what doesn't fit), and for spans "
    "that are never ended: those are never sent"
)
_NAMES_SHOWN: Final = 8
_OURS: Final = frozenset(one.name for one in DIALECTS)
_SAY_WHEN: Final = (
    "say in its YAML file which attribute is the column reported_gap_s, or under `speech` which events tell when the "
    "caller stopped and the bot was heard"
)
_MOST: Final = 0.9
"""Share of the answered turns of which the gap should be known."""
_OFTEN: Final = 0.01
"""Share of the calls from which on incomplete ones are no accident."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: trouble (turns or KPIs are wrong or missing) or note.
        kind: a word for programs.
        text: the sentence.
        advice: what to do.
        names: attributes, spans, scopes or services that it is about.
    """

    level: Literal["trouble", "note"]
    kind: str
    text: str
    advice: str = ""
    names: tuple[str, ...] = ()


def lines(findings: Sequence[Finding]) -> list[str]:
    """For people: trouble first, each with what to do."""
    found = ["there is trouble" if any(one.level == "trouble" for one in findings) else "all is well"]
    for one in findings:
        found.append(f"{'TROUBLE' if one.level == 'trouble' else 'note'}: {one.text}")
        found += [f"    {one.advice}"] if one.advice else []
    return found


def counted(number: float, what: str) -> str:
    """``1 span``, ``2 spans``."""
    return f"{number:g} {what}" + ("" if number == 1 else "s")


def _named(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    more = len(found) - _NAMES_SHOWN
    return ", ".join(found[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def of_turns(frameworks: Sequence["Framework"]) -> list[Finding]:
    """Whether turns, and their response gaps, can be derived."""
    found = []
    known = [one for one in frameworks if one.name]
    turns = sum(one.turns for one in known)
    if not known:
        scopes = tuple(scope for one in frameworks for scope in one.scopes)
        text = (
            f"no span is of a framework that is known; their scopes are {_named(scope or '(none)' for scope in scopes)}"
        )
        advice = "describe yours in a YAML file (setting dialects), or use the package's own session() and turn()"
        found.append(Finding("trouble", "not_recognised", text, advice, scopes[:100]))
    elif not turns:
        clients = all(one.name in CLIENTS for one in known)
        text = f"no turn can be derived from the spans of {_named(one.name for one in known)}"
        if clients:
            text += ": they tell of calls to models, and nothing of who speaks when"
        advice = (
            "switch on the tracing of your voice framework (Pipecat: enable_tracing=True; LiveKit: a global tracer "
            "provider in the job process), or mark turns with the package's own session() and turn()"
        )
        found.append(Finding("trouble", "no_turns", text, advice, tuple(one.name for one in known)))
    for one in known if turns else []:
        if not one.spoken and one.name not in CLIENTS:
            text = (
                f"no turn can be derived from the spans of {one.name}: none of {counted(one.sessions, 'call')} has one"
            )
            found.append(Finding("trouble", "no_turns", text, "see the missing fields below", (one.name,)))
        elif one.answered and not one.gaps:
            text = f"no response gap is known of {counted(one.answered, 'answered turn')} of {one.name}"
            advice = "see the missing fields below" if one.name in _OURS else _SAY_WHEN
            found.append(Finding("trouble", "no_gaps", text, advice, (one.name,)))
        elif one.gaps < _MOST * one.answered:
            text = f"the response gap is known of {one.gaps} of {counted(one.answered, 'answered turn')} of {one.name}"
            found.append(Finding("note", "some_gaps", text, "KPIs of the gap are over those", (one.name,)))
    strangers = next((one for one in frameworks if not one.name), None)
    if known and strangers:
        named = _named(one or "(none)" for one in strangers.scopes)
        text = f"{counted(strangers.spans, 'span')} of no known framework: scopes {named}"
        advice = (
            "fine where they are of your own code; a voice framework can be described in a YAML file (setting dialects)"
        )
        found.append(Finding("note", "not_recognised", text, advice, strangers.scopes[:100]))
    return found


def of_fields(fields: Sequence[FieldState]) -> list[Finding]:
    """Renamed, missing, unreadable and new names."""
    strange = {field.span for field in fields if field.state == "new"}
    found = [one for field in fields if (one := _of_field(field, replaced=field.span in strange)) is not None]
    missing: dict[tuple[str, str], list[FieldState]] = {}
    for field in fields:
        if field.state == "missing" and field.enable and field.key and not (field.always or field.instead):
            missing.setdefault((field.framework, field.enable), []).append(field)
    for (framework, enable), lacking in missing.items():
        tells = _named(field.tells for field in lacking)
        names = tuple(f"{field.span}: {field.key}" for field in lacking)
        text = f"{framework} doesn't write {_named(names)}, so {tells} {'is' if len(lacking) == 1 else 'are'} unknown"
        found.append(Finding("note", "switched_off", text, f"switch on {enable}", names))
    for framework in dict.fromkeys(field.framework for field in fields):
        new = [field for field in fields if field.framework == framework and field.state == "new"]
        if new:
            names = tuple(dict.fromkeys(f"{one.span}: {one.key}" if one.key else one.span for one in new))
            text = f"{framework} writes {counted(len(names), 'name')} that its table doesn't have: {_named(names)}"
            advice = "a newer version may have them, or your own code; they are kept, and nothing is derived from them"
            found.append(Finding("note", "new", text, advice, names[:100]))
    return found


def _of_field(field: FieldState, *, replaced: bool) -> Finding | None:
    """What is to be said of one field; ``replaced``: there are unknown names on its span."""
    what = f"{field.framework} {field.span}: {field.key}" if field.key else f"{field.framework} span {field.span}"
    lost = f", so {field.tells} may be unknown" if field.tells else ""
    names = (field.key or field.span, *((field.like,) if field.like else field.instead))
    told = "report it, or describe the new name in a YAML file (setting dialects)"
    if field.state == "renamed":
        some = f"only {field.found} of {counted(field.of, 'span')} have it" if field.found else "no span has it"
        where = f": {some}" if field.found < field.of else ""
        text = f"{what} looks renamed to {field.like}{where}{lost}"
        return Finding("trouble", "renamed", text, f"a newer version of the framework? {told}", names)
    if field.state == "missing" and field.instead and not field.always:
        are = "is" if len(field.instead) == 1 else "are"
        there = f"{_named(field.instead)} {are} there, which its table doesn't have"
        text = f"{what} is missing from all of {counted(field.of, 'span')}, and {there}{lost}"
        advice = f"that may be its new name: {told}" + (f"; if not, switch on {field.enable}" if field.enable else "")
        return Finding("trouble", "missing", text, advice, names)
    if field.state == "missing" and field.content and field.always and not (replaced or field.instead):
        text = f"{what} is missing{lost}: something on the way removes texts"
        return Finding("note", "texts_removed", text, "fine where that is wanted: no time is measured by texts", names)
    if field.state == "missing" and (field.always or not field.key):
        on = f" from all of {counted(field.of, 'span')}" if field.of else ""
        always = ", and it is always written" if field.always else ", and there are spans that nobody knows"
        text = f"{what} is missing{on}{always}{lost}"
        advice = f"it was renamed, or something on the way removes it: see what is new; {told}"
        advice = f"switch on {field.enable}; {advice}" if field.enable else advice
        return Finding("trouble", "missing", text, advice, names)
    if field.state == "unfit":
        text = f"{what} is there, and its value is none that can be read{lost}"
        return Finding("trouble", "unreadable", text, f"its type or unit has changed: {told}", names)
    return None


def of_wholeness(found: Wholeness) -> list[Finding]:
    """Whether the data looks sampled, and spans have not ended."""
    signs = []
    if found.gaps:
        missing = counted(found.turns_missing, "turn")
        signs.append(f"turn numbers have holes in {_part(found.gaps, found.sessions)} ({missing} missing)")
    if found.orphans:
        orphans = counted(found.orphans, "span")
        signs.append(f"{orphans} of {_part(found.orphaned, found.sessions)} name a parent that never came")
    if found.bare:
        signs.append(f"{found.bare} of {counted(found.answered, 'answered turn')} hold no operation at all")
    incomplete = max(found.gaps, found.orphaned)
    strong = incomplete >= max(_OFTEN * found.sessions, 1) or found.bare > _OFTEN * found.answered
    result = []
    if found.thresholds:
        text = f"{counted(found.thresholds, 'span')} say in their trace state that they were sampled (ot=th)"
        result.append(Finding("trouble", "sampled", text, _SAMPLING))
    if found.share:
        text = (
            f"the ids of {counted(found.traces, 'trace')} all lie in {found.share:.0%} of the range of ids: "
            "the other calls were left out by a sampler that decides by trace id"
        )
        result.append(Finding("trouble", "sampled", text, _SAMPLING))
    if signs:
        level: Literal["trouble", "note"] = "trouble" if strong else "note"
        result.append(Finding(level, "sampled", f"the data looks sampled: {'; '.join(signs)}", _SAMPLING))
    if found.unended:
        text = (
            f"{counted(found.unended_spans, 'span')} never ended, in {_part(found.unended, found.sessions)}: "
            f"{_named(found.unended_names)}; how long they took is unknown"
        )
        advice = "they were sent while they were open: end each span, and send it when it has ended"
        often = found.unended >= max(_OFTEN * found.sessions, 1)
        result.append(Finding("trouble" if often else "note", "never_ended", text, advice, found.unended_names))
    if found.rootless:
        text = f"the call's own span never came of {_part(found.rootless, found.sessions)}: nothing tells how it ended"
        advice = (
            "frameworks send it last: flush and shut the tracer provider down when a call's process ends; "
            "of a bot that was killed it is lost"
        )
        result.append(Finding("note", "no_root", text, advice))
    return result


def _part(some: int, of: int) -> str:
    return f"{some} of {counted(of, 'ended call')}"


def of_quality(turns: int, broken: Iterable[tuple[str, int]]) -> list[Finding]:
    """Quality rules that turns break: what they set aside is in no KPI."""
    return [
        Finding("note", "quality", f"{number} of {counted(turns, 'turn')} break rule {rule}", meaning_of(rule), (rule,))
        for rule, number in broken
    ]


def meaning_of(rule: str) -> str:
    """What a quality rule says, in words."""
    return _MEANINGS.get(rule, "A value is out of its range: it is set aside.")


_MEANINGS: Final = {**{one.name: one.meaning for one in RULES}, **SPAN_RULES}


def of_clocks(clocks: Sequence[Clock]) -> list[Finding]:
    """Clocks that disagree."""
    found = []
    for one in clocks:
        side = "behind" if one.seconds < 0 else "ahead of"
        other = f"the one of {one.other}" if one.other else "the one here: spans end after they came in"
        text = (
            f"the clock of {one.service} is at least {duration(abs(one.seconds))} {side} {other} "
            f"({counted(one.spans, 'span')} show it)"
        )
        advice = "keep the machines in step (NTP, chrony): gaps between services are wrong by that much"
        found.append(Finding("trouble", "clocks", text, advice, (one.service, *filter(None, [one.other]))))
    return found


def of_content(kept: int, withheld: int) -> list[Finding]:
    """Whether what was said is stored: spans with texts, and spans of which texts were dropped."""
    if kept or not withheld:
        return []
    text = f"content capture is off: texts of {counted(withheld, 'span')} were dropped on arrival, their names stay"
    advice = "to keep what is said: OTEL_VOICEBOT_CAPTURE_CONTENT=1, or serve --capture-content"
    return [Finding("note", "content_off", text, advice)]


def of_unread(rejected: Iterable[tuple[str, float]], what: str = "rejected") -> list[Finding]:
    """Spans that did not get into the store, by reason."""
    return [
        Finding("trouble", what, f"{counted(number, 'span')} {what}: {reason}", _UNREAD.get(what, ""), (reason,))
        for reason, number in rejected
        if number
    ]


_UNREAD: Final = {
    "rejected": "the sender is told in partial_success: such spans can never be kept",
    "dropped": "spans are lost: the disk refuses, or more came than could be written",
}

"""A dialect from a YAML file of the user's: the same table as ours, written down.

``docs/frameworks.md`` says what each part means.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from otel_voicebot import semconv
from otel_voicebot.dialects.dialect import Dialect, Field
from otel_voicebot.errors import UsageError

__all__ = ["UNITS", "load"]

UNITS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}
"""Units of a value, and what makes seconds of it."""
_NAMES: Final = ("scopes", "marking_names", "marking_keys", "unknown", "inputs", "first_chunks", "own", "free")
_SETS: Final = ("content", "identifiers", "attributes")
_MAPS: Final = ("span_names", "kinds", "columns", "speech")
_SPEECH: Final = {
    "user.speech.start": semconv.USER_SPEECH_START,
    "user.speech.end": semconv.USER_SPEECH_END,
    "bot.speech.start": semconv.BOT_SPEECH_START,
    "bot.speech.end": semconv.BOT_SPEECH_END,
}
_FLAGS: Final = ("failed", "positive", "text")
_TEXTS: Final = ("key", "inside", "role")
_ONE_OF: Final = ("inside", "role", "words", "text")


def load(paths: Iterable[Path], taken: Iterable[str], columns: Iterable[str]) -> tuple[Dialect, ...]:
    """The dialects that these files declare, one each.

    Args:
        paths: YAML files.
        taken: names that are dialects already.
        columns: columns that attributes may fill.

    Raises:
        UsageError: a file can't be read or says what we don't understand; the message names file, place and value.
    """
    found: list[Dialect] = []
    names, known = set(taken), frozenset(columns)
    for path in paths:
        dialect = _File(path, known).dialect()
        if dialect.name in names:
            msg = f"{path}: name: there is a dialect {dialect.name!r} already, choose another name"
            raise UsageError(msg)
        names.add(dialect.name)
        found.append(dialect)
    return tuple(found)


class _File:
    """One file, and what is wrong with it."""

    def __init__(self, path: Path, columns: frozenset[str]) -> None:
        self._path = path
        self._columns = columns

    def dialect(self) -> Dialect:
        """What the file declares."""
        said = self._mapping("the file", self._read())
        self._only("the file", said, ("name", *_NAMES, *_SETS, *_MAPS))
        made: dict[str, Any] = {name: self._texts(name, said[name]) for name in _NAMES if name in said}
        made |= {name: frozenset(self._texts(name, said[name])) for name in _SETS if name in said}
        made["own"] = tuple(name.removesuffix("*") for name in made.get("own", ()))
        made["span_names"] = self._components("span_names", said.get("span_names", {}))
        made["kinds"] = {
            self._text("kinds", key): self._components(f"kinds: {key}", words)
            for key, words in self._mapping("kinds", said.get("kinds", {})).items()
        }
        made["columns"] = {
            self._one_of("columns", column, self._columns): self._fields(column, fields)
            for column, fields in self._mapping("columns", said.get("columns", {})).items()
        }
        made["speech"] = self._speech(said.get("speech", {}))
        if not any(made.get(name) for name in ("scopes", "marking_names", "marking_keys")):
            raise self._wrong("the file", "has no scopes, marking_names or marking_keys: nothing would be recognised")
        return Dialect(name=self._text("name", said.get("name")), **made)

    def _read(self) -> object:
        import yaml  # noqa: PLC0415 - 20 ms of every start, for a setting that few have

        try:
            return yaml.safe_load(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{self._path} can't be read: {error}"
            raise UsageError(msg) from None
        except yaml.YAMLError as error:
            msg = f"{self._path} is no YAML: {' '.join(str(error).split())}"
            raise UsageError(msg) from None

    def _fields(self, column: str, said: object) -> tuple[str | Field, ...]:
        place = f"columns: {column}"
        listed = said if isinstance(said, list) else [said]
        fields = (self._field(column, place, {"key": one} if isinstance(one, str) and one else one) for one in listed)
        return tuple(one.key if one == Field(one.key) else one for one in fields)

    def _field(self, column: str, place: str, said: object) -> Field:
        parts = self._mapping(place, said)
        self._only(place, parts, (*_TEXTS, *_FLAGS, "spans", "unit", "words"))
        made: dict[str, Any] = {name: self._text(f"{place}: {name}", parts[name]) for name in _TEXTS if name in parts}
        for name in _FLAGS:
            if name in parts:
                made[name] = parts[name]
                if not isinstance(parts[name], bool):
                    raise self._wrong(f"{place}: {name}", f"{parts[name]!r} is neither true nor false")
        if "key" not in made:
            raise self._wrong(place, "a field needs a key: the attribute's name")
        if "spans" in parts:
            made["spans"] = self._texts(f"{place}: spans", parts["spans"])
        if "unit" in parts:
            made["scale"] = UNITS[self._one_of(f"{place}: unit", parts["unit"], UNITS)]
        if "words" in parts:
            made["words"] = self._words(column, f"{place}: words", parts["words"])
        if "*" in made["key"] and not (made.get("role") and made["key"].count("*") == 1 and ".*." in made["key"]):
            raise self._wrong(place, "a key with * needs a role, and stands for a list's number: name.*.content")
        told = [name for name in _ONE_OF if parts.get(name)]
        if len(told) > 1:
            raise self._wrong(place, f"{' and '.join(told)} don't go together, a field has one of {', '.join(_ONE_OF)}")
        if _type_of(column) == "string" and (made.get("text") or "unit" in parts):
            raise self._wrong(place, f"{column} is a column of texts: neither text nor unit says anything of it")
        return Field(**made)

    def _speech(self, said: object) -> dict[str, str]:
        events: dict[str, str] = {}
        for ours, named in self._mapping("speech", said).items():
            event = _SPEECH[self._one_of("speech", ours, _SPEECH)]
            for theirs in self._texts(f"speech: {ours}", named):
                if events.setdefault(theirs, event) != event:
                    raise self._wrong(f"speech: {ours}", f"{theirs!r} has another meaning already")
        return events

    def _words(self, column: str, place: str, said: object) -> tuple[tuple[str, str | bool], ...]:
        words = self._mapping(place, said)
        kind = {"string": str, "bool": bool}.get(_type_of(column))
        if kind is None:
            raise self._wrong(place, f"{column} is a column of numbers, words are for texts and booleans")
        for theirs, ours in words.items():
            if type(ours) is not kind:
                wanted = "text" if kind is str else "boolean"
                raise self._wrong(place, f"{theirs}: {ours!r} is no {wanted}, which {column} holds")
        return tuple(words.items())

    def _components(self, place: str, said: object) -> dict[str, str]:
        return {
            str(name): self._one_of(f"{place}: {name}", component, semconv.COMPONENTS)
            for name, component in self._mapping(place, said).items()
        }

    def _mapping(self, place: str, said: object) -> Mapping[str, Any]:
        if not isinstance(said, Mapping):
            raise self._wrong(place, f"{said!r} is no mapping of names")
        return {self._name(place, name): value for name, value in said.items()}

    def _name(self, place: str, said: object) -> str:
        if not isinstance(said, str):  # YAML takes yes, no, on and off for booleans
            raise self._wrong(place, f"{said!r} is no text, put it in quotes")
        return said

    def _texts(self, place: str, said: object) -> tuple[str, ...]:
        listed = said if isinstance(said, list) else [said]
        return tuple(self._text(place, one) for one in listed)

    def _text(self, place: str, said: object) -> str:
        if not isinstance(said, str) or not said:
            raise self._wrong(place, f"{said!r} is no text")
        return said

    def _one_of(self, place: str, said: object, allowed: Iterable[str]) -> str:
        choices = sorted(allowed)
        if said not in choices:
            raise self._wrong(place, f"{said!r} is none of {', '.join(choices)}")
        return str(said)

    def _only(self, place: str, said: Mapping[str, Any], allowed: Iterable[str]) -> None:
        for name in said:
            self._one_of(place, name, allowed)

    def _wrong(self, place: str, what: str) -> UsageError:
        return UsageError(f"{self._path}: {place}: {what}")


def _type_of(column: str) -> str:
    from otel_voicebot.spans.schema import SPANS  # noqa: PLC0415 - Arrow, for a setting that few have

    return str(SPANS.field(column).type)

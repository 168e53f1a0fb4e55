"""Whatever is asked, the web port answers it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_voicebot import semconv as s
from otel_voicebot.reports.matching import TAGS
from tests.web.asked import get
from tests.web.test_store import call, put, web

_KEYS = st.sampled_from([*TAGS.values(), s.SERVICE_NAME, "span.kind", "error", "otel.status_code"]) | st.text()
_NUMBERS = st.integers().map(str) | st.floats().map(str)
_TAGS = st.dictionaries(_KEYS, st.text() | st.integers() | st.floats() | st.booleans(), max_size=4)
_VALUES = st.text() | _NUMBERS | st.sampled_from(["1.5s", "20ms", "true", "voicebot", "bank", "1h"]) | _TAGS.map(repr)
_NAMES = st.sampled_from(
    [
        "service",
        "operation",
        "tags",
        "tag",
        "start",
        "end",
        "limit",
        "minDuration",
        "maxDuration",
        "lookback",
        "traceID",
    ]
)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web port over one call."""
    data = tmp_path_factory.mktemp("data")
    put(data, call("one"))
    with web(data) as address:
        yield address


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.dictionaries(_NAMES, _VALUES, max_size=6), path=st.sampled_from(["/api/traces", "/api/operations"]))
def test_any_parameters_are_answered(where: str, asked: dict[str, str], path: str) -> None:
    """Found, not found, or wrong; never a defect."""
    parameters = {name: value.encode("utf-8", "replace") for name, value in asked.items()}
    status, document = get(where, path, **parameters)
    assert status in (200, 400)
    assert document.keys() == {"data", "total", "limit", "offset", "errors"}


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tags=_TAGS)
def test_any_tag_may_be_searched(where: str, tags: dict[str, object]) -> None:
    """A tag is a value: odd ones match nothing or what they say, and break no query."""
    pairs = [f"{key}:{value}".encode("utf-8", "replace") for key, value in tags.items() if key and ":" not in key]
    status, document = get(where, "/api/traces", service="voicebot", start=0, tag=pairs)
    assert (status, document["errors"]) == (200, None)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_any_id_is_answered(where: str, name: str) -> None:
    """As a trace or as a service."""
    from urllib.parse import quote

    quoted = quote(name.encode("utf-8", "replace"), safe="")
    assert get(where, f"/api/traces/{quoted}")[0] in (200, 400, 404)
    assert get(where, f"/api/services/{quoted}/operations")[0] in (200, 404)


def test_a_call_of_odd_values_is_shown(tmp_path: Path) -> None:
    """Numbers that JSON doesn't have, huge ones, control characters, nothing at all."""
    odd = {"nan": float("nan"), "inf": float("-inf"), "big": 2**63 - 1, "empty": "", "": "no name", "nul": "a\0b\u2028"}
    put(tmp_path, call("odd", 3, **odd))
    with web(tmp_path) as address:
        for path in ("/api/traces/", "/api/v3/traces/"):
            assert get(address, f"{path}{b'odd'.ljust(16, b'-').hex()}")[0] == 200

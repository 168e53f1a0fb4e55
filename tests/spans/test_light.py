"""What importing the data type costs."""

import subprocess
import sys

import pytest

import otel_voicebot.spans

HEAVY = ("pandas", "ptars", "google.protobuf", "opentelemetry.proto", "opentelemetry.sdk")


def loaded(statement: str) -> set[str]:
    """Which heavy modules a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("module", ["spans.schema", "models", "store", "reports"])
def test_reports_load_no_protobuf_for_the_schemas(module: str) -> None:
    """Reading a store takes the schemas, and neither a door nor pandas."""
    assert loaded(f"import otel_voicebot.{module}\nfrom otel_voicebot.spans import SPANS, TABLES") == set()


def test_the_doors_load_without_pandas() -> None:
    """The first array loads pandas, which is how pyarrow is: not before there is a span."""
    assert "pandas" not in loaded("import otel_voicebot.processors\nfrom otel_voicebot.spans import collect, decode")


def test_each_public_name_is_there() -> None:
    """What ``__all__`` promises, a first use loads, in any order."""
    assert all(getattr(otel_voicebot.spans, name) is not None for name in otel_voicebot.spans.__all__)
    assert otel_voicebot.spans.decode.__name__ == "decode"
    assert set(otel_voicebot.spans.__all__) <= set(dir(otel_voicebot.spans))
    with pytest.raises(AttributeError, match="nothing"):
        otel_voicebot.spans.nothing  # noqa: B018

"""verify: says what is wrong with a data directory, and nothing about one that is well."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from otel_voicebot.errors import NoDataError
from otel_voicebot.store import SpanStore, marks
from otel_voicebot.store.compact import PART, Hour
from otel_voicebot.store.layout import HISTORY, HOT
from otel_voicebot.store.verify import verify
from tests.store.hours import FILES, HOUR, ROWS, fill, maintain
from tests.store.rows import START, span_rows


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A data directory with one merged hour."""
    fill(tmp_path)
    maintain(tmp_path)
    return tmp_path


def part(data: Path) -> Path:
    """The merged file."""
    return Hour(HOUR, "spans").directory(data, HISTORY) / PART


def kinds(data: Path) -> list[tuple[str, bool]]:
    """What is found, and whether it is trouble."""
    return [(one.kind, one.is_trouble) for one in verify(data).findings]


def test_a_directory_that_is_well_has_no_findings(tmp_path: Path) -> None:
    """Files, rows and bytes are counted, before and after the hour was merged."""
    fill(tmp_path)
    before = verify(tmp_path)
    maintain(tmp_path)
    after = verify(tmp_path)
    assert (before.findings, after.findings) == ((), ())
    assert (before.files, before.rows, before.hours) == (FILES, FILES * ROWS, 1)
    assert (after.files, after.rows, after.hours) == (1, FILES * ROWS, 1)
    assert after.bytes == part(tmp_path).stat().st_size


def test_a_flipped_bit_is_found(merged: Path) -> None:
    """Page checksums tell, in every column, also where the compressed bytes still give values."""
    whole = part(merged).read_bytes()
    group = pq.read_metadata(part(merged)).row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        start = column.data_page_offset if column.dictionary_page_offset is None else column.dictionary_page_offset
        content = bytearray(whole)
        content[start + column.total_compressed_size - 3] ^= 1
        part(merged).write_bytes(content)
        assert kinds(merged) == [("damaged", True)], column.path_in_schema
    assert verify(merged).trouble[0].path == str(part(merged))


def rewrite(path: Path, rows: pa.Table) -> None:
    """Put other rows where a file is."""
    pq.write_table(rows, path, store_schema=False)


def test_another_programs_file_is_found_and_left_alone(tmp_path: Path) -> None:
    """It is named; compaction leaves its hour as it is, as nothing of its rows would be in history."""
    fill(tmp_path)
    path = Hour(HOUR, "spans").directory(tmp_path, HOT) / "theirs.parquet"
    rewrite(path, pa.table({"a": [1, 2]}))
    before = path.read_bytes()
    assert kinds(tmp_path) == [("foreign", True)]
    assert [str(one.error) for one in maintain(tmp_path)[1]] == [
        f"{path} is no file of otel_voicebot: it has none of the columns of one; move it away"
    ]
    assert path.read_bytes() == before
    path.unlink()
    maintain(tmp_path)
    assert verify(tmp_path).findings == ()
    assert verify(tmp_path).rows == FILES * ROWS


def test_history_that_is_unsorted_or_repeats_a_key_is_found(merged: Path) -> None:
    """Both are what compaction promises."""
    rows = pq.read_table(part(merged), partitioning=None)
    rewrite(part(merged), rows.slice(5).append_column("x", pa.nulls(rows.num_rows - 5, pa.string())))
    assert kinds(merged) == []  # a column that we don't know is no trouble
    rewrite(part(merged), pa.concat_tables([rows.slice(50), rows.slice(0, 50)]))
    assert kinds(merged) == [("unsorted", True)]
    rewrite(part(merged), pa.concat_tables([rows.slice(0, 10), rows.slice(9)]))
    assert kinds(merged) == [("repeated", True)]
    assert verify(merged).findings[0].detail.startswith("1 rows")


def test_columns_of_another_type_and_newer_versions_are_found(merged: Path) -> None:
    """Such a file can't be read as what it claims to be."""
    rows = pq.read_table(part(merged), partitioning=None)
    at = rows.schema.get_field_index("turn_index")
    rewrite(part(merged), rows.set_column(at, "turn_index", rows["turn_index"].cast(pa.string())))
    assert kinds(merged) == [("schema", True)]
    pq.write_table(rows.replace_schema_metadata({"otel_voicebot.schema_version": "9"}), part(merged))
    assert kinds(merged) == [("newer", True)]


def test_history_without_seal_and_in_several_files_is_found(merged: Path) -> None:
    """A writer could still put files into the hour, and a rewrite wouldn't be one step."""
    marks.unseal(merged, "spans", HOUR)
    assert kinds(merged) == [("unsealed", True)]
    rows = pq.read_table(part(merged), partitioning=None)
    rewrite(part(merged), rows.slice(0, 50))
    rewrite(part(merged).with_name("part-1.parquet"), rows.slice(50))
    assert kinds(merged) == [("unsealed", True), ("parts", True)]


def test_what_the_next_maintenance_sees_to_is_no_trouble(merged: Path) -> None:
    """Hot files beside history, work of a dead maintainer, half a commit, erased rows, dropped hours."""
    hot = Hour(HOUR, "spans").directory(merged, HOT)
    hot.mkdir()
    late = SpanStore(merged, clock=lambda: START).commit([span_rows(3)])
    assert late.path is not None
    late.path.rename(hot / late.path.name)
    (merged / "work" / "00000000-dead").mkdir()
    (merged / "tmp" / "spans-x.tmp").write_bytes(b"half")
    marks.bury(merged, sessions=["call-0"])
    found = kinds(merged)
    assert {kind for kind, _ in found} == {"hidden", "leftover", "erased"}
    marks.move_horizon(merged, START + 3600 * 10**9)
    found = kinds(merged)
    assert "dropped" in {kind for kind, _ in found}
    assert not any(trouble for _, trouble in found)


def test_a_mark_that_cannot_be_read_is_trouble(merged: Path) -> None:
    """Readers show nothing then."""
    (merged / "horizon.json").write_text("{")
    assert kinds(merged) == [("marks", True)]


def test_no_directory_is_no_data(tmp_path: Path) -> None:
    """It says so instead of finding nothing wrong."""
    with pytest.raises(NoDataError):
        verify(tmp_path / "nowhere")

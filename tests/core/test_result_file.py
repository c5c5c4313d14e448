"""Rows of results: written and read alike, their schema is the file's, and every fault is one line that names it."""

import json
from pathlib import Path
from typing import Any

import pytest

from seke.core.errors import UserError
from seke.core.result_file import faults, files_in, read, schema, to_text

from ..results import row

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def content() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_text(row("A", 0.7)))
    return found


def written(folder: Path, content: Any) -> Path:
    path = folder / "row.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_row_is_read_as_it_was_written_each_measure_of_replicates_on_one_line(tmp_path: Path) -> None:
    made = row("A", 0.7)
    path = written(tmp_path, to_text(made))
    assert read(path) == made
    assert faults(path) == []
    assert max(map(len, path.read_text().splitlines())) > 2000
    assert len(path.read_text().splitlines()) < 120


def test_the_schema_in_the_repository_is_of_today_and_holds_for_a_row(content: dict[str, Any]) -> None:
    assert (ROOT / "results" / "schema.json").read_text() == schema(), "python scripts/check_result.py --schema"
    jsonschema = pytest.importorskip("jsonschema")
    checker = jsonschema.Draft202012Validator(json.loads(schema()))
    checker.validate(content)
    del content["counts"]["asked"]
    assert [error.message for error in checker.iter_errors(content)]


def changed(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    node: Any = content
    *above, last = path.split("/")
    for key in above:
        node = node[key]
    node[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("format", 2, "format: Input should be 1"),
        ("counts/refused", 3, "asked is 120, but answered and the four kinds of failure are 123 together"),
        ("measures/emotion.accuracy/ci95", [0.1, 0.9], "emotion.accuracy: ci95 is [0.1, 0.9], but its replicates give"),
        ("measures/emotion.accuracy/value", 1.5, "value 1.5 is outside [0.0, 1.0]"),
        ("measures/emotion.accuracy/rival", None, "ci95 is of rival, which is null"),
        ("measures/emotion.accuracy/n", 121, "emotion.accuracy: n is 121, more than the 120 that were asked"),
        ("replicates/values/emotion.accuracy", [0.5], "emotion.accuracy has 1 values, not 400 (draws)"),
        ("replicates/values", {}, "emotion.accuracy: rival and replicates go together"),
        ("headline", "emotion.mae", "headline emotion.mae is none of the measures"),
        ("task/records", "short", "task.records: String should match pattern"),
        ("task/name", "other", "benchmark is emonet, but task.name is other"),
        ("cost", None, "a measured row needs cost"),
        ("cost/usd", -1.0, "cost.usd: Input should be greater than or equal to 0"),
        ("made/command", "python evaluate.py records=/home/me/faces", "holds a folder of somebody's machine, or a key"),
        ("system/settings", {"extra_body": "sk-abcdefghijklmnopqrstuv"}, "a folder of somebody's machine, or a key"),
        ("surprise", 1, "surprise: Extra inputs are not permitted"),
    ],
)
def test_each_fault_is_a_line_that_names_it(
    tmp_path: Path, content: dict[str, Any], path: str, value: Any, says: str
) -> None:
    found = faults(written(tmp_path, changed(content, path, value)))
    assert len(found) == 1
    assert says in found[0]
    assert "\n" not in found[0]


@pytest.mark.parametrize(("text", "says"), [("", "no JSON"), ("[NaN]", "NaN is no number"), ("\xff", "no JSON")])
def test_what_is_no_json_is_said(tmp_path: Path, text: str, says: str) -> None:
    assert says in faults(written(tmp_path, text))[0]
    with pytest.raises(UserError, match=r"no row of results"):
        read(tmp_path / "row.json")


def test_a_published_row_needs_its_source_and_no_pictures(tmp_path: Path, content: dict[str, Any]) -> None:
    for name in ("task", "counts", "replicates", "cost", "made"):
        content[name] = None
    content["kind"] = "published"
    for measure in content["measures"].values():
        measure |= {"rival": None, "ci95": None}
    assert faults(written(tmp_path, content)) == ["row: a published row needs source"]
    content["source"] = {"paper": "a paper", "place": "Table 1"}
    assert faults(written(tmp_path, content)) == []


def test_files_of_rows_are_those_below_without_schema_and_drafts(tmp_path: Path) -> None:
    for name in ("a.json", "published/b.json", "schema.json", ".draft/c.json", "d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in files_in(tmp_path)] == ["a.json", "published/b.json"]

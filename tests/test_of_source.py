import json
from pathlib import Path

from seke.core.records import ImageRecord, Labels, read_jsonl, write_jsonl

from . import warm

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "of_source.py"


def records(folder: Path) -> Path:
    rows = [
        ImageRecord(
            id=f"{source}/{n}",
            source=source,
            image=f"{n}.png",
            sha256="0" * 64,
            subject=None,
            split="test",
            labels=Labels(),
        )
        for n in (1, 2)
        for source in ("a", "b")
    ]
    write_jsonl(folder / "test.jsonl", rows)
    return folder / "test.jsonl"


def test_records_of_one_source_find_their_pictures(tmp_path: Path) -> None:
    done = warm.run(SCRIPT, records(tmp_path), "b", tmp_path / "apart" / "b.jsonl")
    assert done.returncode == 0, done.stderr
    assert [row.id for row in read_jsonl(tmp_path / "apart" / "b.jsonl", ImageRecord)] == ["b/1", "b/2"]
    assert (tmp_path / "apart" / "manifest.json").is_file()


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = warm.run(SCRIPT, records(tmp_path), "c", tmp_path / "c.jsonl")
    assert done.returncode == 2 and not (tmp_path / "c.jsonl").exists()
    assert done.stderr.startswith("error: source=c: ") and "a, b" in done.stderr


def test_rows_of_other_kinds_keep_all_that_they_say(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"id": "1", "source": "a", "labels": {"valence": 0.5}}\n{"id": "2", "source": "b"}\n'
    )
    done = warm.run(SCRIPT, tmp_path / "rows.jsonl", "a", tmp_path / "apart" / "rows.jsonl")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "apart" / "rows.jsonl").read_text()) == {
        "id": "1",
        "source": "a",
        "labels": {"valence": 0.5},
    }

"""The released FEAB: what is in a list of it, and when a run's images are the same."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from seke.benchmark.release import read_release
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels


def record(name: str, digest: str | None = None) -> ImageRecord:
    return ImageRecord(
        id=name, image=name, sha256=digest, source="bp4d", subject=None, split="test", labels=Labels(expression="fear")
    )


def listed(path: Path, text: str):
    path.write_text(text, encoding="utf-8")
    return read_release(path)


def test_a_list_of_ids_is_met_by_these_records_alone(tmp_path: Path) -> None:
    release = listed(tmp_path / "list.txt", "# FEAB\nbp4d/a 1.png\n\nbp4d/b.png\r\n")
    same = [record("bp4d/b.png"), record("bp4d/a 1.png", "0" * 64)]
    assert release.difference(same) == ""
    assert release.difference(same[1:]) == "1 of the release's 2 images are missing, 0 are others"
    assert release.difference([*same, record("c")]) == "0 of the release's 2 images are missing, 1 are others"
    assert release.difference([record("c"), record("d")]) == "2 of the release's 2 images are missing, 2 are others"


def test_what_sha256sum_prints_is_met_by_the_pictures_whatever_they_are_called(tmp_path: Path) -> None:
    names = ["a.png", "b c.png", "back\\slash.png"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    told = subprocess.run(["sha256sum", *names], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    release = listed(tmp_path / "list.txt", told)
    records = [record(f"mine-{name}", hashlib.sha256(name.encode()).hexdigest()) for name in names]
    assert not release.ids and len(release.digests) == 3
    assert release.difference(records) == ""
    assert release.difference([*records[:2], record("a.png", "0" * 64)]).startswith(
        "1 of the release's 3 images are mis"
    )


@pytest.mark.parametrize(("content", "problem"), [(b"# none\n\n", "names no image"), (b"\xff\xfe\x00", "read as text")])
def test_a_list_of_nothing_is_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(UserError, match=rf"benchmark\.release=.*{problem}"):
        read_release(tmp_path / "list")
    with pytest.raises(UserError, match=r"benchmark\.release="):
        read_release(tmp_path / "none")

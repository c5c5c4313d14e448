"""A run's directory, whatever happens: killed at any byte, twice at once, a full disk, a start without effect."""

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seke.core import files, locks, runs
from seke.core.errors import UserError

CONFIG = {"name": "x", "seed": 0, "generator": {"samples": 5}}
OTHER = {**CONFIG, "generator": {"samples": 3}}


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    yield
    runs.release(failed=False)


def claim(path: Path, config: dict[str, object] = CONFIG, *, overwrite: bool = False) -> runs.Run:
    return runs.claim(path, config, {}, overwrite)


def names(path: Path) -> list[str]:
    return sorted(child.name for child in path.iterdir() if not locks.is_lock(child))


def left(path: Path, *, journal: str = "", finished: bool = False) -> runs.Run:
    """A run of CONFIG that another process has left."""
    run = claim(path)
    (path / "journal.jsonl").write_text(journal)
    if finished:
        run.finish(counts=1)
    runs.release(failed=False)
    return run


# killed at any byte ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [CONFIG, OTHER], ids=["same", "other"])
def test_a_config_that_is_cut_anywhere_blocks_no_name(tmp_path: Path, config: dict[str, object]) -> None:
    whole = (left(tmp_path / "whole").path / "config.yaml").read_bytes()
    for length in range(len(whole)):
        path = tmp_path / str(length)
        path.mkdir()
        (path / "config.yaml").write_bytes(whole[:length])
        (path / f"config.yaml.1234abcd{files.PART}").write_bytes(whole[: length // 2])
        run = claim(path, config)
        assert not run.finished and names(path) == ["config.yaml"]
        run.finish()
        assert claim(path, config).finished


def test_what_a_run_had_done_before_its_config_was_cut_is_kept_and_named(tmp_path: Path, caplog) -> None:
    path = left(tmp_path / "x", journal="paid for\n").path
    os.truncate(path / "config.yaml", 20)
    assert not claim(path).finished
    assert f"{path / 'config.yaml'} is damaged; its run is begun anew" in caplog.text
    assert names(path) == ["config.yaml", "damaged-1"]
    assert (path / "damaged-1" / "journal.jsonl").read_text() == "paid for\n"


def test_a_manifest_that_is_cut_anywhere_is_no_finished_run_and_blocks_no_name(tmp_path: Path) -> None:
    path = left(tmp_path / "x", journal="row\n", finished=True).path
    whole = (path / "manifest.json").read_bytes()
    for length in (*range(0, len(whole) - 1, 7), len(whole) - 3):
        (path / "manifest.json").write_bytes(whole[:length])
        assert not claim(path).finished
        with pytest.raises(UserError, match=rf"^file={path / 'manifest.json'}: damaged"):
            runs.manifest_beside(path / "journal.jsonl")
    (path / "manifest.json").write_bytes(whole)
    assert claim(path).finished and (path / "journal.jsonl").read_text() == "row\n"


@pytest.mark.parametrize(
    "content",
    [
        [1],
        {"image_root": "a\0b"},
        {"image_root": ["faces"]},
        {"notes": "all of it"},
        {"models": [{"name": "m"}]},
        {"config": "demo"},
        {"config": {"paths": "outputs"}},
        {"config": {"data": ["a.json"]}},
        {"inputs": ["records"]},
        {"trained_on": {"a.jsonl": 1}},
    ],
)
def test_a_manifest_whose_fields_are_something_else_is_told_in_one_line(tmp_path: Path, content: object) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    for read in (runs.manifest_beside, runs.image_root):
        with pytest.raises(UserError, match=r"manifest\.json: damaged: .* no manifest of a run"):
            read(tmp_path / "rows.jsonl")


def test_a_folder_or_endless_brackets_in_a_manifests_place_are_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    assert runs.manifest_beside(tmp_path / "rows.jsonl") == {}
    (tmp_path / "manifest.json").rmdir()
    (tmp_path / "manifest.json").write_text('{"config": ' + "[" * 99_999)
    with pytest.raises(UserError, match="damaged"):
        runs.manifest_beside(tmp_path / "rows.jsonl")


def test_a_finished_run_whose_config_is_cut_is_still_known_by_its_manifest(tmp_path: Path) -> None:
    path = left(tmp_path / "x", finished=True).path
    os.truncate(path / "config.yaml", 0)
    assert claim(path).finished
    with pytest.raises(UserError, match=r"holds a run with generator\.samples=5 \(now 3\)"):
        claim(path, OTHER)


@pytest.mark.parametrize("step", range(12))
def test_a_kill_in_the_midst_of_overwriting_loses_nothing(tmp_path: Path, monkeypatch, step: int) -> None:
    path = left(tmp_path / "x", journal="row\n", finished=True).path
    steps = iter(range(100))

    def killed(move):
        def moved(*where: object) -> None:
            if next(steps) == step:
                raise KeyboardInterrupt
            move(*where)

        return moved

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(os, "replace", killed(os.replace))
        claim(path, OTHER, overwrite=True)
        runs.release(failed=True)
    runs._fresh.clear()
    locks.release(path)
    assert claim(path).finished and (path / "journal.jsonl").read_text() == "row\n"
    assert names(path) == ["config.yaml", "journal.jsonl", "manifest.json"]


# names ----------------------------------------------------------------------------------------------------------------


def test_a_start_that_came_to_nothing_leaves_the_name_free(tmp_path: Path) -> None:
    path = claim(tmp_path / "x").path
    (path / "journal.jsonl").touch()
    (path / "images").mkdir()
    runs.release(failed=True)
    assert not path.exists()


def test_a_start_that_left_something_keeps_the_name(tmp_path: Path) -> None:
    path = claim(tmp_path / "x").path
    (path / "journal.jsonl").write_text("row\n")
    runs.release(failed=True)
    assert names(path) == ["config.yaml", "journal.jsonl"] and not list(path.glob(".lock*"))
    with pytest.raises(UserError, match="holds a run with"):
        claim(path, OTHER)


def test_a_kill_before_there_was_anything_leaves_the_name_free(tmp_path: Path) -> None:
    path = left(tmp_path / "x").path
    assert not claim(path, OTHER).finished
    assert names(path) == ["config.yaml"]


def test_what_is_overwritten_is_kept_until_the_new_run_is_finished(tmp_path: Path) -> None:
    path = left(tmp_path / "x", journal="old\n", finished=True).path
    claim(path, OTHER, overwrite=True)
    runs.release(failed=True)
    assert claim(path).finished and (path / "journal.jsonl").read_text() == "old\n"
    run = claim(path, OTHER, overwrite=True)
    assert names(path) == [".earlier", "config.yaml"]
    run.finish()
    assert names(path) == ["config.yaml", "manifest.json"]


# two processes --------------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from seke.core import runs
runs.claim(Path(sys.argv[1]), {"name": "x", "seed": 0, "generator": {"samples": 5}}, {}, rank=sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held(path: Path, rank: str = "0") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(path), rank]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_a_dead_one_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with held(path) as process:
        for config, overwrite in ((CONFIG, False), (OTHER, False), (OTHER, True)):
            with pytest.raises(UserError, match=rf"^name=x: {path} is in use by process {process.pid}; wait until"):
                claim(path, config, overwrite=overwrite)
    assert (path / ".lock").is_file(), "killed, it could not remove it"
    assert not claim(path).finished
    runs.release(failed=False)
    assert names(path) == ["config.yaml"] and not (path / ".lock").exists()


def test_processes_of_one_run_work_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with held(path), held(path, "1"):
        with pytest.raises(UserError, match="is in use by process"):
            runs.claim(path, CONFIG, {}, rank="1")
        assert not runs.claim(path, CONFIG, {}, rank="2").finished


def test_a_finished_run_may_be_looked_at_by_any_number(tmp_path: Path) -> None:
    path = left(tmp_path / "x", finished=True).path
    with held(path):
        assert claim(path).finished


@pytest.mark.parametrize(("host", "process", "free"), [("", 2**22 + 1, True), ("elsewhere", 1, False), ("", 1, False)])
def test_where_a_drive_knows_no_locks_the_file_says_who_holds_it(
    tmp_path: Path, monkeypatch, host: str, process: int, free: bool
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", unknown)
    host = host or locks.socket.gethostname()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".lock").write_text(f'{{"host": "{host}", "process": {process}}}')
    with contextlib.nullcontext() if free else pytest.raises(UserError, match="if that process is gone, remove"):
        claim(tmp_path / "x")


# a full disk, a folder that is none -----------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch) -> None:
    path = left(tmp_path / "x", finished=True).path
    before = (path / "manifest.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(path / "manifest.json", "{}")
    assert (path / "manifest.json").read_bytes() == before
    assert names(path) == ["config.yaml", "journal.jsonl", "manifest.json"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No room"), "paths.outputs=o: cannot be written (No room)"),
        (OSError(errno.EACCES, "Denied", "o/x"), "paths.outputs=o: o/x cannot be written (Denied)"),
        (OSError(errno.EACCES, "Denied", "/d/a"), "file=/d/a: cannot be used (Denied)"),
        (RuntimeError("Writer: file write failed"), "paths.outputs=o: cannot be written (file write failed)"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), None),
        (OSError(errno.EINVAL, "Invalid argument"), None),
        (ValueError("a bug"), None),
    ],
)  # fmt: skip
def test_what_the_disk_says_is_one_line_and_what_it_does_not_is_none(error: BaseException, line: str | None) -> None:
    found = files.mistake(error, Path("o"))
    assert found is None if line is None else found is not None and found.startswith(line + "; see ")


# who may read ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "folder", "file"), [(0o700, 0o700, 0o600), (0o750, 0o750, 0o640), (0o775, 0o775, 0o664)]
)
def test_a_run_is_for_whom_it_is_permitted(tmp_path: Path, mode: int, folder: int, file: int) -> None:
    umask = os.umask(0o022)
    try:
        files.permit(mode)
        path = claim(tmp_path / "x").path
    finally:
        files.permit(files.PRIVATE)
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == mode
    assert (path / "config.yaml").stat().st_mode & 0o777 == file


def test_a_run_is_claimed_resumed_and_refused(tmp_path: Path) -> None:
    data = tmp_path / "in.jsonl"
    data.write_text("1")
    config = {"name": "x", "generator": {"n": 5}, "overwrite": False, "paths": {"outputs": "a"}}
    run = runs.claim(tmp_path / "x", config, {"records": data})
    assert not run.finished
    run.finish(counts={"rows": 1})
    again = runs.claim(tmp_path / "x", {**config, "overwrite": True, "paths": {"outputs": "b"}}, {"records": data})
    assert again.finished, "settings that change no result do not make another run"
    with pytest.raises(UserError, match=r"name=x: .*generator\.n=5 \(now 3\).*overwrite=true"):
        runs.claim(tmp_path / "x", {**config, "generator": {"n": 3}}, {"records": data})
    data.write_text("2")
    with pytest.raises(UserError, match=r"made before its records changed"):
        runs.claim(tmp_path / "x", config, {"records": data})
    fresh = runs.claim(tmp_path / "x", {**config, "generator": {"n": 3}}, {"records": data}, overwrite=True)
    assert not fresh.finished


@pytest.mark.parametrize(
    "name", ["demo", "sizes-backend.side=512,n=3", "2026-11-21", "..x", "Gesichter für KI", "é" * 120]
)
def test_a_runs_name_is_kept_as_it_stands(name: str) -> None:
    assert runs.checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", "a/", "a\\b", "a\0b", "a\nb", "\udc80", "é" * 121]
)
def test_a_name_that_is_no_directory_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"^name="):
        runs.checked_name(name)


def test_a_directory_that_no_run_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="holds files that no run wrote"):
        runs.claim(tmp_path, {}, {})
    with pytest.raises(UserError, match="holds files that no run wrote"):
        runs.claim(tmp_path, {}, {}, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_name_is_looked_up_and_a_path_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "prepare" / "demo" / "train.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("")
    for reference in ("demo", str(file), str(file.parent)):
        assert runs.locate("records", reference, tmp_path, "prepare", "train.jsonl") == file
    with pytest.raises(UserError, match=r"records=nope: .*prepare\.py name=nope"):
        runs.locate("records", "nope", tmp_path, "prepare", "train.jsonl")


def test_the_image_root_is_the_manifests_unless_overridden(tmp_path: Path) -> None:
    run = runs.claim(tmp_path / "p", {}, {})
    run.finish(image_root="images")
    records = tmp_path / "p" / "train.jsonl"
    assert runs.image_root(records) == tmp_path / "p" / "images"
    assert runs.image_root(records, "/elsewhere") == Path("/elsewhere")


# updates --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def grown(tmp_path: Path):
    """A finished run of an input that has changed since, and what claims it."""
    path, data = tmp_path / "generate" / "x", tmp_path / "data.csv"
    data.write_text("one")
    run = runs.claim(path, CONFIG, {"records": data})
    (path / "journal.jsonl").write_text("row\n")
    run.finish(counts=1)
    runs.release(failed=False)
    data.write_text("two")

    def again(config: dict[str, object] = CONFIG, **how: bool) -> runs.Run:
        return runs.claim(path, config, {"records": data}, **how)

    return again


def test_an_update_finds_the_earlier_run_and_is_the_same_run_still(grown) -> None:
    with pytest.raises(UserError, match=r"was made before its records changed; say update=true to take over"):
        grown()
    path = grown(update=True).path
    before = runs.earlier(path)
    assert before is not None and (before / "journal.jsonl").read_text() == "row\n"
    assert (path / "config.yaml").stat().st_mtime_ns == (before / "config.yaml").stat().st_mtime_ns
    (path / "carried.jsonl").write_text("row\n")
    runs.release(failed=True)
    run = grown()  # however it goes on
    assert not run.finished and runs.earlier(path) == before
    run.finish()
    assert runs.earlier(path) is None and grown(update=True).finished


def test_an_update_that_came_to_nothing_leaves_the_earlier_run(grown) -> None:
    path = grown(update=True).path
    runs.release(failed=True)
    assert names(path) == ["config.yaml", "journal.jsonl", "manifest.json"]


def test_other_settings_are_no_update_and_overwriting_takes_nothing_over(grown) -> None:
    with pytest.raises(UserError, match=r"holds a run with generator\.samples=5 \(now 3\)"):
        grown(OTHER, update=True)
    path = grown(update=True).path
    (path / "carried.jsonl").write_text("row\n")
    runs.release(failed=True)
    grown(OTHER, overwrite=True)
    assert runs.earlier(path) is None


def test_a_stale_run_is_updated_though_its_inputs_are_the_same(tmp_path: Path) -> None:
    path = left(tmp_path / "x", journal="row\n", finished=True).path
    assert not runs.claim(path, CONFIG, {}, update=True, stale=True).finished
    assert runs.earlier(path) is not None

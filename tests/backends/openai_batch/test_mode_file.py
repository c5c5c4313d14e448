"""mode=file: requests are written for somebody to run by hand, and the results are read when they lie there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seke.core.errors import Paused, UserError

from ...servers.batch_server import BatchServer, run_batch, running
from ..openai_asked import replies
from .conftest import Asked, Make, texts


def by_hand(server: BatchServer, folder: Path, finished: float = 1.0) -> int:
    """Run all files that wait; return how many there were."""
    waiting = [path for path in sorted(folder.glob("*.in.jsonl")) if path.with_name(path.name[:12] + ".json").is_file()]
    for path in waiting:
        done = run_batch(server, path.read_text(), finished)
        path.with_name(path.name.replace(".in.", ".out.")).write_text(done)
    return len(waiting)


def test_mode_file_writes_the_requests_and_reads_the_results(
    make: Make, asked: Asked, expected: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    folder = tmp_path / "batches"
    with running() as server:
        for _ in range(2):  # asking again before the results are there changes nothing
            with pytest.raises(Paused) as pause:
                replies(make(server, mode="file", rows=3), asked(5, n=2))
            assert len(list(folder.glob("*.in.jsonl"))) == 2
        assert "5 requests wait in" in str(pause.value) and "likewise the 1 other" in str(pause.value)
        assert f"`vllm run-batch -i {folder}/" in str(pause.value) and "--model gpt-test && mv" in str(pause.value)
        row = json.loads(next(folder.glob("*.in.jsonl")).read_text().splitlines()[0])
        assert (row["method"], row["url"], row["body"]["n"]) == ("POST", "/v1/chat/completions", 2)
        assert by_hand(server, folder) == 2
        found = replies(make(server, mode="file", rows=3), asked(5, n=2))
        assert server.sizes == []
    assert texts(found) == texts(expected(asked(5, n=2)))
    assert {"".join(path.suffixes) for path in folder.iterdir()} == {".json", ".read.jsonl"}


def test_mode_file_takes_what_is_there_and_waits_for_the_rest(make: Make, asked: Asked, tmp_path: Path) -> None:
    folder, rounds = tmp_path / "batches", []
    with running() as server:
        server.script.extend(["ok", "500", "400", "ok"])
        for _ in range(5):
            try:
                found = replies(make(server, mode="file"), asked(6))
                break
            except Paused as pause:
                rounds.append(int(str(pause).split()[0]))
                by_hand(server, folder, 0.67)
        assert rounds == [6, 3, 1] and set(server.executed.values()) == {1}
    said = sorted(f"{choice.status} {choice.text}"[:25] for reply in found for choice in reply.choices)
    assert said[0] == "invalid 400: Invalid body" and all(text.startswith("ok ") for text in said[1:])


def test_mode_file_refuses_results_of_other_requests(make: Make, asked: Asked, tmp_path: Path) -> None:
    with running() as server:
        with pytest.raises(Paused):
            replies(make(server, mode="file"), asked(2))
        [path] = (tmp_path / "batches").glob("*.in.jsonl")
        out = path.with_name(path.name.replace(".in.", ".out."))
        out.write_text('{"custom_id": "other", "response": null, "error": null}\nno JSON\n[1]\n')
        with pytest.raises(UserError, match=f"{out.name} answers none of {path.name}"):
            replies(make(server, mode="file"), asked(2))
        assert out.exists()


def test_files_written_by_hand_can_be_submitted_and_submitted_ones_are_not_handed_out(make: Make, asked: Asked) -> None:
    with running() as server:
        with pytest.raises(Paused):
            replies(make(server, mode="file"), asked(2))
        server.control.extend(["ok", "ok", "401"])
        with pytest.raises(UserError, match="does not accept the key"):
            replies(make(server), asked(2))
        with pytest.raises(UserError, match=r"backend.mode=file: batch_0 is under way; wait for it with mode=batch"):
            replies(make(server, mode="file"), asked(2))
        replies(make(server), asked(2))
        assert len(server.batches) == 1

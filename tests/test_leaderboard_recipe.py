"""scripts/leaderboard.py: what is planned, what is skipped and why, and that the rest goes on."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.records import ImageRecord, Labels, write_jsonl

from . import warm
from .servers import openai_server
from .trees.pictures import save

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "leaderboard.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import leaderboard
    finally:
        sys.path.remove(str(SCRIPT.parent))
    return leaderboard  # type: ignore[no-any-return]


def test_every_system_is_planned_on_every_set_and_its_conditions(script: ModuleType) -> None:
    own, further = script.parted(["systems=a,b", "benchmarks=feab:raw,emonet:faces", "conditions=blur", "limit=5"])
    assert further == ["limit=5"]
    assert own["results"] == "results"
    with pytest.raises(UserError, match=r"systems=a: no option of system="):
        list(script.planned(own))
    cells = list(script.planned({**own, "systems": "gpt_4o,qwen3_vl"}))
    assert len(cells) == 2 * (2 + 2 * 3)
    assert cells[0].run == "gpt_4o--feab--raw"
    assert cells[-1] == ("qwen3_vl", "emonet", "faces-blur-3")
    assert len(list(script.planned({**own, "systems": "all", "conditions": ""}))) > 50


@pytest.mark.parametrize(
    ("words", "says"),
    [(["systems=a"], "benchmarks=: nothing to do"), (["systems=gpt_4o", "benchmarks=feab"], "it says no records")],
)
def test_what_is_missing_is_said(script: ModuleType, words: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        list(script.planned(script.parted(words)[0]))


def test_why_a_system_cannot_be_asked(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    cell = script.Cell("qwen3_vl", "feab", "raw")
    assert "wants a key" in script.unreachable(cell._replace(system="gpt_4o"), [])
    assert script.unreachable(cell, ["backend.base_url=http://127.0.0.1:9/v1"]).startswith(
        "http://127.0.0.1:9/v1 does not answer"
    )
    with openai_server.running() as server:
        at = [f"backend.base_url={server.url}"]
        assert script.unreachable(cell, at).endswith("serves gpt-test, gpt-other, not Qwen/Qwen3-VL-8B-Instruct")
        assert script.unreachable(cell, [*at, "backend.model=gpt-test"]) == ""
    monkeypatch.chdir(tmp_path)
    assert script.unreachable(cell._replace(system="face_llava"), []) == "no file of answers face_llava.jsonl"
    assert script.unreachable(cell._replace(system="constant"), []) == ""
    assert "nosuch" in script.unreachable(cell._replace(benchmark="nosuch"), [])


@pytest.mark.slow
def test_what_can_be_reached_is_measured_and_the_rest_skipped_with_its_reason(tmp_path: Path) -> None:
    prepared = tmp_path / "outputs" / "prepare" / "faces"
    rows = []
    for number, expression in enumerate(("anger", "fear", "fear", "happiness") * 3):
        file = save(prepared / "images" / f"{number}.png")
        rows.append(
            ImageRecord(
                id=f"r{number}",
                image=file.name,
                sha256=sha256(file.read_bytes()),
                source="s",
                subject=f"p{number % 5}",
                split="test",
                labels=Labels(expression=expression),
            )
        )
    for name in ("train", "test"):
        write_jsonl(prepared / f"{name}.jsonl", [row.model_copy(update={"split": name}) for row in rows])
    (prepared / "manifest.json").write_text('{"image_root": "images"}')
    words = [
        "systems=face_llava,qwen3_vl",
        "benchmarks=feab:faces",
        f"results={tmp_path / 'results'}",
        f"paths.outputs={tmp_path / 'outputs'}",
        "conditions=blur",
    ]
    said = ("The expression is fear.", "The expression is anger.")
    with openai_server.running(models=("Qwen/Qwen3-VL-8B-Instruct",), sentences=said) as server:
        done = warm.run(SCRIPT, *words, f"backend.base_url={server.url}", cwd=SCRIPT.parent.parent)
    assert done.returncode == 0, done.stderr
    assert "face_llava--feab--faces: skipped: " in done.stdout
    assert "qwen3_vl--feab--faces: measured" in done.stdout
    assert "4 of 8 measured" in done.stdout
    found = [json.loads(file.read_text()) for file in sorted((tmp_path / "results").glob("*.json"))]
    conditions = [row["task"]["condition"] for row in found]
    assert conditions == [*({"kind": "blur", "severity": n} for n in (1, 2, 3)), None]
    assert len({row["task"]["records"] for row in found}) == 1
    page = (tmp_path / "outputs" / "report" / "board" / "index.html").read_text()
    assert "Qwen3-VL-8B-Instruct: blur 3" in page
    assert "picture by picture" in page

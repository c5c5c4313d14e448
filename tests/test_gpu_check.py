"""The GPU check: its settings, parts that fail, hang or lack a package, its table, and its tiny case."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from . import warm

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
STAND_IN = """
import json, subprocess, sys, time
part, asked = sys.argv[1], json.loads(sys.argv[2])
def tell(what, value):
    with open(asked["told"], "a") as file:
        print(json.dumps({"what": what, "value": value}), file=file)
if part == "sft_05b":
    tell("MFU", 0.5); tell("real tokens/s", 3000.0); tell("share of waiting", 0.2)
elif part == "trainer_05b":
    tell("real tokens/s", 1500.0)
elif part == "sft_7b":
    tell("MFU", 0.4)
    with open(asked["told"], "a") as file:
        file.write('{"what": "hours of')
    print(subprocess.Popen(["sleep", "600"]).pid, file=open(asked["shared"] + "/worker", "w"))
    time.sleep(600)
elif part == "cache":
    raise MemoryError("no room for features\\nTry another card")
"""


@pytest.fixture
def check(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import gpu_check

    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN)
    monkeypatch.setattr(gpu_check, "CODE", stand_in)
    monkeypatch.setattr(gpu_check, "device", lambda tiny: {"gpu": True, "name": "NVIDIA X", "gib": 80.0, "cpus": 2})
    return gpu_check


@pytest.fixture
def older(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import gpu_check_older

    return gpu_check_older


@pytest.fixture
def parts(monkeypatch, older):
    import gpu_check_parts

    return gpu_check_parts


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("parts=kernel,warp", "parts=warp: no such part; use some of kernel, sft_05b"),
        ("minutes=0", "minutes=0: no such setting; use out=, minutes="),
        ("tiny=yes", "tiny=yes: no such setting"),
        ("--help", "--help=: no such setting"),
    ],
)
def test_a_setting_that_there_is_not_is_told_in_one_line(check, word, line):
    with pytest.raises(check.UserError) as told:
        check.read([word])
    assert str(told.value).startswith(line)


def test_without_a_gpu_one_line_names_the_tiny_case(tmp_path):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHON": sys.executable}
    command = ["bash", str(SCRIPTS / "gpu_check.sh"), "parts=kernel", f"out={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    line = "error: tiny=false: PyTorch sees no GPU here; tiny=true tries the check itself on the CPU\n"
    assert (done.returncode, done.stderr, done.stdout) == (2, line, "")


def test_parts_that_fail_or_hang_take_no_other_with_them_and_what_they_have_told_counts(
    check, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(check, "missing", lambda needs: ["deepspeed"] if "deepspeed" in needs else [])
    monkeypatch.setitem(check.PARTS, "sft_7b", check.PARTS["sft_7b"]._replace(limit=3))
    out = tmp_path / "out"
    code = check.main(["parts=sft_05b,trainer_05b,sft_7b,cache,zero3", f"out={out}"])
    found = json.loads((out / "gpu_check.json").read_text())
    assert code == 1
    assert {part: of["status"] for part, of in found["parts"].items()} == {
        "sft_05b": "done", "trainer_05b": "done", "sft_7b": "timed out", "cache": "failed", "zero3": "not run",
    }  # fmt: skip
    verdicts = {(target["part"], target["what"]): target["verdict"] for target in found["targets"]}
    assert verdicts == {
        ("sft_05b", "MFU"): "met",
        ("sft_05b", "share of waiting"): "missed",
        ("trainer_05b", check.TIMES): "met",
        ("sft_7b", "MFU"): "missed",
        ("sft_7b", "share of waiting"): "not run",
        ("sft_7b", "hours of an epoch of FEID"): "not run",
        ("cache", "features from the disk, times as fast"): "not run",
        ("cache", "largest difference of losses, as a share"): "not run",
        ("zero3", "largest difference of losses, as a share"): "not run",
    }
    rows = (out / "gpu_check.md").read_text().splitlines()
    assert "| trainer_05b | times Trainer, in real tokens/s | 2 | ≥ 1.5 | met |" in rows
    assert "| sft_7b | MFU | 40.0 % | ≥ 50 % | missed |" in rows
    assert "| sft_7b | hours of an epoch of FEID | timed out: after 3 s | ≤ 2 | not run |" in rows
    assert any("failed: MemoryError: no room for features" in row for row in rows)
    assert any("not installed: deepspeed (pip install deepspeed)" in row for row in rows)
    assert "=== cache" in (out / "gpu_check.log").read_text()
    assert (out / "gpu_check.md").read_text() in capsys.readouterr().out


def test_what_a_part_has_started_ends_with_it(check, monkeypatch, tmp_path):
    monkeypatch.setattr(check, "missing", lambda needs: [])
    monkeypatch.setitem(check.PARTS, "sft_7b", check.PARTS["sft_7b"]._replace(limit=3))
    found = check.attempt("sft_7b", check.Settings(), time.monotonic() + 60, tmp_path)
    assert found.status == "timed out" and [figure.what for figure in found.figures] == ["MFU"]
    worker = Path(f"/proc/{(tmp_path / 'worker').read_text().strip()}/status")
    deadline = time.monotonic() + 60  # a process that was killed is there until it is next on a processor
    while worker.exists() and "zombie" not in worker.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_when_the_minutes_are_over_the_rest_is_not_run(check, monkeypatch, tmp_path):
    monkeypatch.setattr(check, "missing", lambda needs: [])
    found = check.attempt("cache", check.Settings(minutes=2), time.monotonic() + 0.5, tmp_path)
    assert (found.status, found.why) == ("not run", "minutes=2 were over")


def test_figures_of_the_tiny_case_are_not_judged(check):
    found = {"sft_7b": check.Found("done", 1.0, "", [check.Figure("sft_7b", "MFU", 0.01)])}
    assert next(check.rows(found, judged=False)) == ["sft_7b", "MFU", "1.0 %", "≥ 50 %", "not judged"]
    assert check.targets(found, judged=False)[0]["verdict"] == "not judged"


def test_other_versions_are_told_of(check):
    assert list(check.strange({"torch": "2.15.0", "transformers": "5.16.2"})) == [
        "torch 2.15.0: this was written for 2.11 to 2.14",
        "transformers 5.16.2: this was written for 5.17 and later",
    ]
    assert not list(check.strange({"torch": "2.14.1+cu130", "transformers": "5.24.0"}))


def test_every_part_is_written(check, parts):
    assert list(parts.RUN) == list(check.PARTS)


def test_attention_written_out_against_segments(parts):
    from types import SimpleNamespace

    from seke.models.packed_attention import by_segment

    torch.manual_seed(0)
    query, key, value = (torch.randn(1, count, 20, 8) for count in (4, 2, 2))
    other = by_segment(SimpleNamespace(num_key_value_groups=2), query, key, value, (9, 9, 2), scaling=0.3)
    torch.testing.assert_close(parts.exact(query, key, value, (9, 9, 2), 0.3), other)


def test_logits_of_older_transformers_against_those_of_today(older):
    from seke.models.llava_ov import Loaded
    from seke.models.tiny.llava_ov import build_tiny, train_tokenizer

    loaded = build_tiny(train_tokenizer(["a very grey face"] * 3, 400), image=32, patch=8, vision_width=32,
                        vision_layers=1, width=32, layers=2, heads=2, feed_forward=48)  # fmt: skip
    assert isinstance(loaded, Loaded)
    size = (40, 30)
    turns = [("user", "What?", (size,)), ("assistant", "A face.", ())]
    ids = torch.tensor([loaded.encode([turns])[0].ids * 2])
    features = [torch.randn(loaded.image_tokens(size), 32) for _ in range(2)]
    lengths = [ids.shape[1] // 2] * 2
    keep = torch.rand(ids.shape) < 0.3
    with torch.no_grad():
        for kept in (None, keep):
            for packed in ((), lengths):
                given = (ids, None, features, kept, packed)
                torch.testing.assert_close(older.logits(loaded, *given), loaded.logits(*given))


def test_keys_repeated_for_an_older_kernel_against_grouped_queries(older):
    seen = {}

    def attend(query, key, value, *bounds, scale):
        seen.update(heads=(query.shape[1], key.shape[1], value.shape[1]), bounds=bounds)
        three = (part.transpose(0, 1) for part in (query, key, value))
        return torch.nn.functional.scaled_dot_product_attention(*three, is_causal=True, scale=scale).transpose(0, 1)

    query, key, value = (torch.randn(7, count, 8) for count in (4, 2, 2))
    found = older.repeating(attend)(query, key, value, 1, 2, enable_gqa=True, scale=0.5)
    three = (part.transpose(0, 1) for part in (query, key, value))
    grouped = torch.nn.functional.scaled_dot_product_attention(*three, is_causal=True, scale=0.5, enable_gqa=True)
    torch.testing.assert_close(found, grouped.transpose(0, 1))
    assert seen == {"heads": (4, 4, 4), "bounds": (1, 2)}


# -- the tiny case ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_tiny_case_runs_from_its_command_to_its_table(tmp_path):
    words = ["tiny=true", "parts=sft_05b,trainer_05b", f"out={tmp_path}", "minutes=20", "peak_tflops=1"]
    environment = {**os.environ, "PYTHON": sys.executable}
    command = ["bash", str(SCRIPTS / "gpu_check.sh"), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    log = (tmp_path / "gpu_check.log").read_text() if (tmp_path / "gpu_check.log").exists() else ""
    assert done.returncode == 0, done.stderr + done.stdout + log[-3000:]
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert [of["status"] for of in found["parts"].values()] == ["done", "done"]
    assert [target["verdict"] for target in found["targets"]] == ["not judged"] * 3
    figures = {part: {f["what"]: f["value"] for f in of["figures"]} for part, of in found["parts"].items()}
    assert {"MFU of vision alone", "MFU of language alone", "peak GiB"} <= figures["sft_05b"].keys()
    speeds = [figures[part]["real tokens/s"] for part in ("sft_05b", "trainer_05b")]
    assert figures["trainer_05b"]["times Trainer, in real tokens/s"] == pytest.approx(speeds[0] / speeds[1])
    assert "| sft_05b | MFU |" in (tmp_path / "gpu_check.md").read_text()


BOUNDS = {
    "kernel": ("conversations of a pack apart: logits differ by this share of the largest", 0, 1e-2),
    "sft_7b": ("share of a matrix that its steps have moved", 0.01, 1),
    "trainer_7b": ("real tokens/s", 0, float("inf")),
    "answering": ("new tokens/s", 0, float("inf")),
    "cache": ("largest difference of losses, as a share", 0, 1e-4),
    "zero3": ("largest difference of losses, as a share", 0, 1e-4),
    "fsdp2": ("largest difference of losses, as a share", 0, 1e-4),
    "options": ("largest difference of losses, as a share", 0, 1e-4),
}
"""A figure of every other part's tiny case, and between what it lies."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.mark.slow
@pytest.mark.parametrize("part", BOUNDS)
def test_a_part_of_the_tiny_case_tells_its_figures(check, shared, tmp_path, part):
    told = tmp_path / "told.jsonl"
    asked = {"tiny": True, "peak_tflops": 1, "scratch": str(tmp_path), "told": str(told), "shared": str(shared)}
    done = warm.run(SCRIPTS / "gpu_check_parts.py", part, json.dumps(asked))
    assert done.returncode == 0, done.stderr[-3000:]
    figures = {figure["what"]: figure["value"] for figure in map(json.loads, told.read_text().splitlines())}
    what, least, most = BOUNDS[part]
    assert least <= figures[what] <= most
    assert all(figures[aim.what] is not None for aim in check.AIMS if aim.part == part and aim.what != check.TIMES)
    if part == "options":
        assert figures["compile: times as fast as without"] > 0

"""The same rows, whether a server is asked over HTTP or its offline runner gets the file of requests.

`vllm run-batch -i requests.jsonl -o results.jsonl` reads one request a line ({"custom_id", "method", "url", "body"}),
puts each body to the chat endpoint, and writes {"id", "custom_id", "response": {"status_code", "request_id", "body"},
"error"}.
The runner here does the same over HTTP, so that both ways meet one server, whose answers depend on the request alone.
"""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from seke.backends.openai.client import OpenAI
from seke.backends.openai_batch.batch import OpenAIBatch
from seke.benchmark.judging.judge import parse
from seke.benchmark.protocol import Benchmark, predicted, question
from seke.benchmark.run.predict import ask_all
from seke.benchmark.tasks.facexbench import FaceXBench
from seke.benchmark.tasks.feab import Feab
from seke.core.errors import Paused
from seke.core.images import sha256
from seke.core.records import Clip, ImageRecord, Labels, to_line

from ...servers.batch_server import BatchServer, running
from ...trees.pictures import save

SENTENCES = (
    "The person is happy, valence 0.4, arousal 0.2. AU6 and AU12 are active.",
    "Sad. Valence: -0.5. AU1, AU4 and AU15.",
    "B",
    "(C), for it is image 1.",
    "An angry face.",
)
FLAWS = {"refusal": 0.1, "refusal_text": 0.1, "filter": 0.1, "length": 0.1}
"""Of a share of the questions, always the same ones."""
KINDS: dict[str, Benchmark] = {"feab": Feab(question="What does this face show?"), "facexbench": FaceXBench()}


def records(folder: Path, several: bool) -> list[ImageRecord]:
    """Return 24 records; with `several` each shows two pictures, and the last one's second is not there."""
    made = []
    for number in range(24):
        names = [save(folder / f"{number}_{k}.png", f"{number} {k}").name for k in range(1 + several)]
        digests = tuple(sha256((folder / name).read_bytes()) for name in names)
        clip = Clip(video=str(number), frames=tuple(names), sha256=digests) if several else None
        told = {
            "question": f"Which of {number}?\n(A) one\n(B) two",
            "kind": "two",
            "options": ["one", "two"],
            "answer": "B",
        }
        made.append(
            ImageRecord(
                id=f"r{number}", image=names[0], sha256=digests[0], source="x", subject=None, split="test",
                labels=Labels(expression="happiness", valence=0.4), attributes=told, clip=clip,
            )
        )  # fmt: skip
    (folder / "23_0.png").unlink()
    return made


def run_batch(url: str, requests: Path) -> None:
    """Put every request of a file to the server, one after the other, and write the file of results."""
    done = []
    for line in requests.read_text().splitlines():
        row = json.loads(line)
        assert (row["method"], row["url"]) == ("POST", "/v1/chat/completions")
        sent = urllib.request.Request(
            url.removesuffix("/v1") + row["url"], json.dumps(row["body"]).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(sent) as reply:
                status, body, error = reply.status, json.loads(reply.read()), None
        except urllib.error.HTTPError as failed:
            status, body, error = failed.code, None, json.loads(failed.read())
        response = {"status_code": status, "request_id": f"vllm-batch-{len(done)}", "body": body}
        done.append({"id": f"vllm-{len(done)}", "custom_id": row["custom_id"], "response": response, "error": error})
    out = requests.with_name(requests.name.replace(".in.", ".out."))
    out.write_text("".join(json.dumps(row) + "\n" for row in done))


def by_file(server: BatchServer, folder: Path, asked: list[ImageRecord], benchmark: Benchmark, root: Path):
    """Return the answers that come by files: the first command writes them and pauses, the second reads the results."""
    run = folder / "file"
    run.mkdir(parents=True)

    def again():
        backend = OpenAIBatch(
            "gpt-test", server.url, folder=folder / "batches", ledger=folder / "file.sqlite", mode="file", rows=10
        )
        return ask_all(asked, backend, question(benchmark), root, run)

    with pytest.raises(Paused):
        again()
    waiting = sorted((folder / "batches").glob("*.in.jsonl"))
    assert len(waiting) == 3  # of 23 requests, 10 a file
    for path in waiting:
        run_batch(server.url, path)
    return again()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_for_run_batch_and_the_api_give_the_same_rows(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    benchmark, root = KINDS[kind], tmp_path / "pictures"
    root.mkdir()
    asked = records(root, kind == "facexbench")
    with running(sentences=SENTENCES, flaws=FLAWS) as server:
        backend = OpenAI("gpt-test", server.url, ledger=tmp_path / "api.sqlite")
        (tmp_path / "api").mkdir()
        over_http = ask_all(asked, backend, question(benchmark), root, tmp_path / "api")
        sent, server.bodies = sorted(map(json.dumps, server.bodies)), []
        from_file = by_file(server, tmp_path, asked, benchmark, root)
        assert sorted(map(json.dumps, server.bodies)) == sent
    assert over_http is not None and len(sent) == 23
    # What a request costs by either way is another matter; tokens are the same.
    known = {id_: answer.model_copy(update={"paid": None}) for id_, answer in over_http.items()}
    assert {id_: answer.model_copy(update={"paid": None}) for id_, answer in from_file.items()} == known
    rows, others = (predicted(benchmark, asked, answers, parse)[0] for answers in (over_http, from_file))
    assert [to_line(row) for row in others] == [to_line(row) for row in rows]
    statuses = {row.status for row in rows}
    assert statuses >= {"ok", "unanswered", "refusal", "filtered"}
    assert over_http["r23"].status == "unanswered" and "23_0.png" in over_http["r23"].detail
    tokens = [
        {name: answer.paid[name] for name in ("input_tokens", "output_tokens")}
        for answer in (over_http["r0"], from_file["r0"])
        if answer.paid
    ]
    assert tokens[0] == tokens[1] and tokens[0]["input_tokens"]

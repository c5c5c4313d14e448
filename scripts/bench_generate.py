"""Requests a second of `backend=openai`, against a bare SDK loop and bespokelabs-curator, in one run on one machine.

    python scripts/bench_generate.py                             600 requests, 32 at once, 5 rounds; a few minutes
    python scripts/bench_generate.py --requests 100 --rounds 1   a look
    python scripts/bench_generate.py --curator none              without the gigabyte that curator needs

All ask the server of the tests, which is a process of its own and answers at once, the same: a face of 224 pixels and
its prompt, answered by a JSON schema. Rounds alternate between the ways and medians count: the machine may be shared.
    server   what the server itself bears: ready-made bytes on bare sockets; the others must stay well below
    bare     a gather loop on AsyncOpenAI; bodies and encoded images are ready beforehand, answers are not looked at
    seke     OpenAI.reply, with its ledger flushed to disk twice a request, images read and encoded, answers validated
    curator  curator.LLM on the same files, installed into an environment of its own; imports do not count
The time is that of the whole call: connecting, opening the ledger and the like count.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import openai
import yaml
from PIL import Image as Pillow

from bench import ROOT, Cost, Target, by_turns, cost, options, tell, times
from seke.backends.openai.client import OpenAI
from seke.backends.openai.dialect import Dialect
from seke.backends.openai.image_encoding import ImageEncoder
from seke.backends.openai.protocol import Completions
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.images import sha256
from seke.core.prompts import Prompts
from seke.core.records import Labels
from seke.core.vlm import Image, Message, Request
from seke.generation.asked import missing
from seke.generation.seke.schema import schema

SERVER = ROOT / "tests" / "servers" / "openai_server.py"
MODEL = "gpt-4o"
SIDE = 224
OF_BARE, OF_CURATOR = 0.8, 3.0
"""Targets: at least so many times the requests/s."""

CURATOR = """
import json, sys, time
from typing import List, Literal
import litellm.litellm_core_utils.default_encoding  # brings the tokenizer's file, which tiktoken else downloads
from pydantic import BaseModel, Field
from bespokelabs import curator

asked = json.load(open(sys.argv[1]))

class Answer(BaseModel):
    expression: Literal[tuple(asked["expressions"])]
    valence: float = Field(ge=-1, le=1)
    arousal: float = Field(ge=-1, le=1)
    action_units: List[Literal[tuple(asked["action_units"])]]
    reasoning: str

class Annotator(curator.LLM):
    response_format = Answer

    def prompt(self, row):
        # Beside images it takes no system prompt.
        return asked["system"] + "\\n" + asked["text"], curator.types.Image(url=row["path"], detail="high")

    def parse(self, row, answer):
        return {"path": row["path"], "answer": answer.model_dump_json()}

plenty = 10**9
annotator = Annotator(
    model_name=asked["model"], backend="openai",
    generation_params={"temperature": 1.0, "max_tokens": 512},
    backend_params={"base_url": asked["url"], "max_concurrent_requests": asked["concurrency"],
                    "max_requests_per_minute": plenty, "max_tokens_per_minute": plenty},
)
busy, start = time.process_time(), time.perf_counter()
answers = annotator([{"path": path} for path in asked["paths"]])
seconds, processor = time.perf_counter() - start, time.process_time() - busy
rows = getattr(answers, "dataset", answers)
assert len(rows) == len(asked["paths"]), len(rows)
print("TOOK", seconds, processor)
"""


def faces(folder: Path, count: int) -> list[Image]:
    """Write `count` smooth random pictures of about 10 kB."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(count):
        coarse = Pillow.fromarray(rng.integers(0, 255, (28, 28, 3), dtype=np.uint8))
        path = folder / f"face_{number:05}.jpg"
        coarse.resize((SIDE, SIDE), Pillow.Resampling.BICUBIC).save(path, "JPEG", quality=90)
        images.append(Image(path, sha256(path.read_bytes())))
    return images


def prompts() -> tuple[str, str]:
    """Return the system's and the user's text, as SEKE asks when nothing is known of a face."""
    templates = Prompts(yaml.safe_load((ROOT / "conf/prompts/seke.yaml").read_text(encoding="utf-8"))["templates"])
    units = ", ".join(f"AU{au} {name}" for au, name in ACTION_UNITS.items())
    system = templates.render("system", expressions=", ".join(EXPRESSIONS), action_units=units)
    numbers = ", ".join(map(str, ACTION_UNITS))
    each = [templates.render(f"ask_{name}") for name in ("expression", "valence", "arousal", "reasoning")]
    asked = "\n".join([*each, templates.render("ask_action_units", numbers=numbers)])
    return system, templates.render("draw", prior="", asked=asked)


@contextmanager
def server() -> Iterator[str]:
    """Run the tests' server in a process of its own; give its address."""
    child = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.terminate()
        child.wait()


async def raw(url: str, bodies: Sequence[bytes], concurrency: int) -> None:
    """Send bodies on as many sockets as there may be requests at once, and read no more of the replies than it must."""
    address = urlsplit(url)
    head = f"POST {address.path}/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: "
    left = iter(bodies)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for body in left:
            writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
            said = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(said.lower().partition(b"content-length: ")[2].split()[0]))
        writer.close()

    await asyncio.gather(*(connection() for _ in range(concurrency)))


async def bare(url: str, bodies: Sequence[dict[str, Any]], concurrency: int) -> None:
    """Ask as a short script does."""
    slots = asyncio.Semaphore(concurrency)
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:

        async def ask(body: dict[str, Any]) -> Any:
            async with slots:
                return await client.chat.completions.create(**body)

        replies = await asyncio.gather(*map(ask, bodies))
    assert all(reply.choices for reply in replies)


def seke(url: str, requests: Sequence[Request], concurrency: int) -> None:
    """Ask as `generate.py` does."""
    with tempfile.TemporaryDirectory() as folder:
        annotator = OpenAI(MODEL, url, f"{folder}/ledger.sqlite", concurrency)
        try:
            statuses = [reply.choices[0].status for _, reply in annotator.reply(requests)]
        finally:
            annotator.close()
    assert statuses == ["ok"] * len(requests)


def curator(python: Path, asked: dict[str, Any]) -> Cost:
    """Ask through curator, in its own environment and with an empty cache."""
    quiet = {"TELEMETRY_ENABLED": "False", "CURATOR_VIEWER": "0", "CURATOR_DISABLE_RICH_DISPLAY": "1"}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
        (Path(folder) / "ask.py").write_text(CURATOR, encoding="utf-8")
        environment = {**os.environ, **quiet, "CURATOR_CACHE_DIR": folder, "HF_HOME": folder, "OPENAI_API_KEY": "none"}
        command = [str(python), "ask.py", "asked.json"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    told = next(line for line in done.stdout.splitlines() if line.startswith("TOOK "))
    return Cost(*map(float, told.split()[1:]))


def installed(folder: Path) -> Path | None:
    """Return the Python of an environment that has curator, installed now if need be; None if that cannot be done."""
    python = folder / "bin" / "python"
    tried = [str(python), "-c", "import bespokelabs.curator"]
    off = {**os.environ, "TELEMETRY_ENABLED": "False"}
    if not python.is_file():
        print(f"installing bespokelabs-curator into {folder}, once", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "bespokelabs-curator"], check=False)
    done = subprocess.run(tried, env=off, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"curator cannot be installed here, going on without: {(done.stderr.splitlines() or ['?'])[-1]}")
        return None
    return python


def measure(asked: argparse.Namespace) -> dict[str, list[Cost]]:
    """Return the rounds of each way, without a first one that warms up."""
    python = None if asked.curator == "none" else installed(Path(asked.curator))
    system, text = prompts()
    with tempfile.TemporaryDirectory() as folder, server() as url:
        images = faces(Path(folder), asked.requests)
        wanted = schema(missing(Labels()), True)
        requests = [Request((Message("system", (system,)), Message("user", (text, image))), wanted) for image in images]
        pictures = ImageEncoder()
        written = Completions(MODEL, pictures)
        bodies = [
            written.body(request, {image.sha256: pictures.encode(image)}, Dialect())
            for request, image in zip(requests, images, strict=True)
        ]
        encoded = [json.dumps(body).encode() for body in bodies]
        print(f"{len(bodies)} requests of {statistics.mean(map(len, encoded)) / 1000:.0f} kB", flush=True)
        at_once = asked.concurrency
        ways: dict[str, Callable[[], Cost]] = {
            "server": lambda: cost(lambda: asyncio.run(raw(url, encoded, at_once))),
            "bare": lambda: cost(lambda: asyncio.run(bare(url, bodies, at_once))),
            "seke": lambda: cost(lambda: seke(url, requests, at_once)),
        }
        if python is not None:
            told = {
                "url": url, "model": MODEL, "system": system, "text": text, "concurrency": at_once,
                "expressions": list(EXPRESSIONS), "action_units": list(ACTION_UNITS),
                "paths": [str(image.path) for image in images],
            }  # fmt: skip
            ways["curator"] = lambda: curator(python, told)
        return {name: rounds[1:] for name, rounds in by_turns(ways, asked.rounds + 1).items()}


def main() -> int:
    """Measure and tell; return the exit code."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--concurrency", type=int, default=32)
    folder = Path(tempfile.gettempdir()) / "seke-bench-curator"
    parser.add_argument(
        "--curator", default=str(folder), help="its environment's folder, made if it is not there; none"
    )
    asked = parser.parse_args()
    costs = measure(asked)
    spent = {name: [each.seconds for each in rounds] for name, rounds in costs.items()}
    ratios = {name: times(spent["bare"], rounds) for name, rounds in spent.items()}
    table = [
        [name, *(asked.requests / seconds for seconds in (statistics.median(spent[name]), max(spent[name]),
         min(spent[name]))), statistics.median(1000 * each.processor / asked.requests for each in rounds), ratios[name]]
        for name, rounds in costs.items()
    ]  # fmt: skip
    targets = [Target("seke / bare", ratios["seke"], least=OF_BARE)]
    if "curator" in costs:
        targets.append(Target("seke / curator", times(spent["curator"], spent["seke"]), least=OF_CURATOR))
    if ratios["server"] < 1.5 * max(ratios["bare"], ratios["seke"]):
        print("careful: the server itself is near its limit, which makes the ways look more alike than they are")
    about = f"openai {openai.__version__}, {asked.concurrency} at once, medians of {asked.rounds} rounds"
    return tell(about, ["way", "requests/s", "slowest", "fastest", "CPU ms/request", "times bare"], table, targets)


if __name__ == "__main__":
    raise SystemExit(main())

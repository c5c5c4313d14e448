"""What every backend of conf/backend/ promises (`seke.core.vlm.VLM`).

A new one is found by its YAML. One with a `base_url` asks a real server on this machine; what another needs is NEEDED.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.plugins import replies
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.vlm import VLM, Image, Message, Reply, Request, Usage

from ..servers import batch_server
from ..trees.pictures import save
from .offered import ROOT, built, composed, options

TINY = ROOT / "assets" / "llava_ov_tiny"
TAUGHT = ImageRecord(
    id="a", image="a.png", sha256=None, source="s", subject=None, split="train", labels=Labels(expression="fear")
)
NEEDED = {"local": [f"model.path={TINY}"], "transformers": [f"backend.model={TINY}"]}
QUICK = {"poll": 0.01, "backoff": 0.01, "patience": 20}


@pytest.fixture(scope="module", params=options("backend"))
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLM]:
    name, outputs = request.param, tmp_path_factory.mktemp(request.param)
    words = [f"backend={name}", f"paths.outputs={outputs}", *NEEDED.get(name, ())]
    offered = composed("generate", *words).backend
    if "train" in offered:  # fitted on the records that `records=` names
        (outputs / "prepare" / "demo").mkdir(parents=True)
        write_jsonl(outputs / "prepare" / "demo" / "train.jsonl", [TAUGHT])
    with batch_server.running() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-test")
        if "base_url" in offered:
            words += [f"backend.base_url={server.url}"]
            words += [f"backend.{key}={value}" for key, value in QUICK.items() if key in offered]
        vlm = built(composed("generate", *words).backend)
        yield vlm
        close(vlm)


def close(vlm: VLM) -> None:
    if callable(ending := getattr(vlm, "close", None)):
        ending()


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> list[Image]:
    folder = tmp_path_factory.mktemp("faces")
    paths = [save(folder / f"{number}.png", str(number)) for number in range(5)]
    return [Image(path, sha256(path.read_bytes())) for path in paths]


def request(*parts: str | Image, n: int = 1) -> Request:
    temperature = 0.0 if n == 1 else 1.0
    return Request((Message("user", parts),), temperature=temperature, n=n, max_tokens=8)


def about(faces: list[Image], n: int = 1) -> list[Request]:
    return [request(face, f"What does face {number} show?", n=n) for number, face in enumerate(faces)]


def answers(vlm: VLM, requests: list[Request]) -> list[Reply]:
    """Ask as the program does, which holds each reply to what it must be; return them in the requests' order."""
    found = dict(replies(vlm, iter(requests)))
    return [found[index] for index in range(len(requests))]


def test_each_request_has_one_reply_with_an_answer_and_what_it_cost(backend: VLM, faces: list[Image]) -> None:
    for reply in answers(backend, about(faces)):
        assert reply.model
        assert reply.usage is None or (isinstance(reply.usage, Usage) and min(reply.usage) >= 0)
        assert reply.bound.requests >= 0


def test_an_answer_depends_on_its_request_alone(backend: VLM, faces: list[Image]) -> None:
    forwards = answers(backend, about(faces))
    backwards = answers(backend, about(faces)[::-1])[::-1]
    alone = answers(backend, about(faces)[2:3])
    assert [reply.choices for reply in forwards] == [reply.choices for reply in backwards]
    assert forwards[2].choices == alone[0].choices


def test_several_answers_are_given_in_one_reply_or_refused_in_one_line(backend: VLM, faces: list[Image]) -> None:
    told = None
    try:
        assert [len(reply.choices) for reply in answers(backend, about(faces, n=3))] == [3] * len(faces)
    except UserError as error:
        told = str(error)
    assert told is None or re.fullmatch(r"backend\S*=.*: .*; .*", told)


def test_text_alone_and_nothing_at_all_are_answered(backend: VLM) -> None:
    assert len(answers(backend, [request("Say something.")])) == 1
    assert answers(backend, []) == []


def test_a_picture_that_is_gone_is_the_status_of_that_request_alone(backend: VLM, faces: list[Image]) -> None:
    gone = Image(Path("/nowhere/gone.png"), "0" * 64)
    found = answers(backend, [*about(faces[:2]), request(gone, "And this?"), *about(faces[3:])])
    before = answers(backend, about(faces[:2]))
    assert [reply.choices for reply in found[:2]] == [reply.choices for reply in before]
    [choice] = found[2].choices
    assert choice.status == "ok" or (choice.status == "invalid" and "gone.png" in choice.text)  # ok: looks at no file


def test_closing_twice_is_no_mistake_and_the_next_request_opens_it_anew(backend: VLM, faces: list[Image]) -> None:
    first = answers(backend, about(faces[:1]))
    close(backend)
    close(backend)
    assert [reply.choices for reply in answers(backend, about(faces[:1]))] == [reply.choices for reply in first]

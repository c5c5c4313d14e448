"""The smaller ground files: prompts, images, requests and run directories."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from seke.backends.transformers import devices
from seke.core import runs
from seke.core.errors import UserError
from seke.core.images import ImageError, decode, resolve, sha256
from seke.core.prompts import Prompts
from seke.core.vlm import Image, Message, Request


def png(size: tuple[int, int] = (4, 6), **options: object) -> bytes:
    buffer = io.BytesIO()
    Picture.new("RGB", size, "red").save(buffer, "PNG", **options)
    return buffer.getvalue()


# prompts ----------------------------------------------------------------------------------------------------------


def test_a_prompt_fills_slots_once_and_leaves_other_braces() -> None:
    prompts = Prompts({"ask": 'Say {"x": 1} about {topic} and {topic}.'})
    assert prompts.render("ask", topic="{topic} {other}") == ('Say {"x": 1} about {topic} {other} and {topic} {other}.')


def test_prompts_are_checked_before_a_token_is_bought() -> None:
    prompts = Prompts({"ask": ["About {topic}?", "On {topik}?"]})
    with pytest.raises(UserError, match=r"ask\[1\]={topik}.*{topic}"):
        prompts.require(ask={"topic"})
    with pytest.raises(UserError, match="no such template"):
        prompts.require(tell={"topic"})
    Prompts({"ask": "About {topic}?"}).require(ask={"topic"})


# images -----------------------------------------------------------------------------------------------------------


def test_an_image_path_cannot_leave_its_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(png())
    (root / "face.png").write_bytes(png())
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    assert resolve(root, "face.png").is_file()
    for hostile in ("../secret.png", "link.png", str(tmp_path / "secret.png")):
        with pytest.raises(ImageError, match="leads out"):
            resolve(root, hostile)
    with pytest.raises(ImageError, match="no such file"):
        resolve(root, "absent.png")


@pytest.mark.parametrize("data", [b"", b"GIF89a", png()[:40], b"<html>", png()[:-30]], ids=range(5))
def test_what_is_no_whole_image_is_an_image_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode(data)


def test_decompression_bombs_are_refused() -> None:
    with pytest.raises(ImageError):
        decode(png((12_000, 9_000)))


def test_exif_orientation_is_applied() -> None:
    exif = Picture.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    assert decode(png((40, 60), exif=exif)).size == (60, 40)


# devices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "gpus", "rank", "device"),
    [
        ("auto", 0, 0, "cpu"), ("auto", 1, 0, "cuda:0"), ("auto", 8, 3, "cuda:3"), ("cuda", 8, 3, "cuda:3"),
        ("cuda:1", 2, 0, "cuda:1"), ("cuda:1", 2, 7, "cuda:1"), ("cpu", 8, 3, "cpu"), ("auto", 0, 3, "cpu"),
    ],
)  # fmt: skip
def test_a_device_is_the_one_that_was_asked_for(wanted: str, gpus: int, rank: int, device: str) -> None:
    assert devices.chosen("backend.device", wanted, gpus, rank) == device


@pytest.mark.parametrize(
    ("wanted", "gpus", "rank", "said"),
    [
        ("gpu", 1, 0, "no such device; use cpu, cuda, cuda:<number> or auto"),
        ("cuda:", 1, 0, "no such device"),
        ("cuda:-1", 1, 0, "no such device"),
        ("CPU", 1, 0, "no such device"),
        (None, 1, 0, "no such device"),
        (0, 1, 0, "no such device"),
        ("cuda", 0, 0, "PyTorch sees no GPU here; use cpu or auto"),
        ("cuda:1", 1, 0, "PyTorch sees 1 GPU here; use cpu, or cuda:0 to cuda:0"),
        ("auto", 2, 2, "PyTorch sees 2 GPUs here, and this is process 2 of those that want one each; use cpu"),
    ],
)
def test_no_device_takes_anothers_place(wanted: object, gpus: int, rank: int, said: str) -> None:
    with pytest.raises(UserError) as mistake:
        devices.chosen("backend.device", wanted, gpus, rank)
    assert str(mistake.value).startswith(f"backend.device={wanted}: {said}")


# requests ---------------------------------------------------------------------------------------------------------


def test_a_request_is_keyed_by_all_that_is_sent(tmp_path: Path) -> None:
    def request(text: str = "hi", content: bytes = b"1", file: str = "a", **settings: object) -> Request:
        image = Image(tmp_path / file, sha256(content))
        return Request((Message("user", (text, image)),), **settings)

    same = request()
    assert same.key == request(file="moved elsewhere").key, "an image counts by its content, not its place"
    others = [
        request(text="ho"), request(content=b"2"), request(temperature=0.5), request(n=2), request(draw=1),
        request(seed=1), request(max_tokens=9), request(schema={"type": "object"}),
    ]  # fmt: skip
    assert len({same.key, *(other.key for other in others)}) == 1 + len(others)
    assert same.text == "hi"
    assert len(same.images) == 1


# runs -------------------------------------------------------------------------------------------------------------


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
    with pytest.raises(UserError, match=r"inputs\.records"):
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


def test_a_jpeg_of_which_little_is_wanted_is_decoded_smaller_but_never_too_small() -> None:
    out = io.BytesIO()
    Picture.linear_gradient("L").resize((800, 600)).convert("RGB").save(out, "JPEG")
    whole, small = decode(out.getvalue()), decode(out.getvalue(), side=100)
    assert whole.size == (800, 600) and min(small.size) >= 100 and small.width < 400
    reference = whole.resize(small.size)
    assert abs(np.asarray(small, float) - np.asarray(reference, float)).mean() < 2

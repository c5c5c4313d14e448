"""Pictures: what a file shows is what is seen, whatever its samples; another one than was prepared is refused."""

import io
import struct
import subprocess
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from seke.benchmark.protocol import question
from seke.benchmark.run.predict import ask
from seke.benchmark.tasks.feab import Feab
from seke.core import images
from seke.core.images import ImageError, cropped, decode, face_box, open_record, resolve, sha256
from seke.core.records import ImageRecord, Labels
from seke.reporting.data.runs import Pictured
from seke.reporting.render.pictures import small

SLOPE = np.linspace(0, 1, 64 * 64).reshape(64, 64)
SMALL = Image.new("RGB", (4, 6), "red")
COLOURS = (np.stack([SLOPE, SLOPE[::-1], SLOPE.T], -1) * 255).astype(np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def shown(data: bytes) -> np.ndarray:
    return np.asarray(decode(data)).astype(int)


def png16(samples: np.ndarray) -> bytes:
    """Write RGB or RGBA samples of 16 bits, which Pillow reads and cannot write."""
    height, width, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_grey_of_many_bits_is_scaled_from_the_depth_it_fills(kind: str, bits: int) -> None:
    samples = np.rint(SLOPE * (2**bits - 1)).astype(np.uint16)
    grey = shown(encoded(Image.fromarray(samples), kind))
    assert np.abs(grey - 255 * SLOPE[..., None]).max() <= 1


@pytest.mark.parametrize("samples", [SLOPE, SLOPE * 255, np.rint(SLOPE * 65535).astype(np.int32)], ids=range(3))
def test_wider_greys_of_a_known_range_are_scaled(samples: np.ndarray) -> None:
    kind = samples.astype(np.float32) if samples.dtype == float else samples
    assert np.abs(shown(encoded(Image.fromarray(kind), "TIFF")) - 255 * SLOPE[..., None]).max() <= 1


@pytest.mark.parametrize(
    "samples",
    [
        (SLOPE - 0.5).astype(np.float32),
        (SLOPE * 1000).astype(np.float32),
        (SLOPE * np.nan).astype(np.float32),
        (SLOPE * 2e9).astype(np.int32),
        (SLOPE * -9).astype(np.int32),
    ],
    ids=["below 0", "of no scale", "no number", "32 bits", "negative"],
)
def test_greys_of_an_unknown_scale_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(ImageError, match="scale is not known"):
        decode(encoded(Image.fromarray(samples), "TIFF"))


def test_16_bit_colours_are_seen_or_refused_never_black() -> None:
    colours = np.stack([SLOPE] * 3, -1)
    assert np.abs(shown(png16(colours * 65535)) - 255 * colours).max() <= 1
    with pytest.raises(ImageError, match="lowest bits"):
        decode(png16(colours * 4095))


def cut_out(hidden: tuple[int, int, int]) -> Image.Image:
    """Return a picture whose left half is opaque and whose right half hides a colour."""
    samples = np.dstack([COLOURS, np.full((64, 64), 255, np.uint8)])
    samples[:, 32:] = (*hidden, 0)
    return Image.fromarray(samples)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_is_hidden_behind_a_mask_stays_hidden(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    seen = shown(encoded(cut_out((255, 0, 255)), kind, **options))
    assert (seen[:, 32:] == 255).all()
    assert (seen[:, :32] == COLOURS[:, :32]).all()


def test_transparent_colours_of_palettes_greys_and_rgb_lie_on_white() -> None:
    flat = Image.new("RGB", (64, 64), (200, 0, 200))
    flat.paste((10, 120, 30), (0, 0, 32, 64))
    palette = flat.quantize(2)
    magenta = palette.getpixel((50, 5))
    for data in (
        encoded(palette, "PNG", transparency=magenta),
        encoded(palette, "GIF", transparency=magenta),
        encoded(flat, "PNG", transparency=(200, 0, 200)),
        encoded(flat.convert("L"), "PNG", transparency=flat.convert("L").getpixel((50, 5))),
    ):
        assert shown(data)[5, 50].tolist() == [255, 255, 255]
        assert shown(data)[5, 5].max() < 200


def test_a_wholly_transparent_picture_shows_nobody() -> None:
    nothing = cut_out((9, 9, 9))
    nothing.putalpha(0)
    with pytest.raises(ImageError, match="transparent"):
        decode(encoded(nothing))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM"])
def test_pictures_of_people_come_in_these_formats(kind: str) -> None:
    assert np.abs(shown(encoded(Image.fromarray(COLOURS), kind)) - COLOURS).mean() < 12


def test_a_telephones_heic_is_read() -> None:
    data = (Path(__file__).resolve().parents[1] / "data" / "slope.heic").read_bytes()
    assert np.abs(shown(data) - COLOURS).mean() < 12
    with pytest.raises(ImageError, match="not a whole, readable image"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("head", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\n", b"%PDF-1.7\n"])
def test_a_picture_that_is_a_program_is_not_run(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def ran(*arguments: object, **options: object) -> None:
        raise AssertionError(f"ran {arguments}")

    monkeypatch.setattr(subprocess, "check_call", ran)
    monkeypatch.setattr(subprocess, "Popen", ran)
    with pytest.raises(ImageError, match="not a whole, readable image"):
        decode(head + b"showpage\n%%EOF\n")


# the picture of a record ------------------------------------------------------------------------------------------


def record(folder: Path, name: str = "a.png", colour: int = 40, **attributes: object) -> ImageRecord:
    Image.new("RGB", (96, 64), (colour, 9, 9)).save(folder / name)
    return ImageRecord(
        id=name, image=name, sha256=sha256((folder / name).read_bytes()), source="mine", subject=None, split="test",
        labels=Labels(valence=0.5), attributes=attributes,
    )  # fmt: skip


def test_a_records_picture_is_opened_with_its_face(tmp_path: Path) -> None:
    row = record(tmp_path, face=[10, 5.0, 40, 50])
    found = open_record(row, tmp_path)
    assert (found.picture.size, found.sha256, found.face) == ((96, 64), row.sha256, (10, 5, 40, 50))
    assert open_record(row.model_copy(update={"sha256": None}), tmp_path).sha256 == row.sha256


def test_one_face_copied_over_another_is_refused_everywhere(tmp_path: Path) -> None:
    rows = [record(tmp_path, f"{number}.png", 40 * number) for number in range(3)]
    (tmp_path / "1.png").write_bytes((tmp_path / "2.png").read_bytes())
    with pytest.raises(ImageError, match=r"1\.png changed after it was prepared"):
        open_record(rows[1], tmp_path)
    assert small(tmp_path, Pictured("1.png", rows[1].sha256), 32).uri is None
    assert small(tmp_path, Pictured("2.png", rows[2].sha256), 32).uri is not None

    asked = []
    silent = SimpleNamespace(reply=lambda requests: (asked.extend(requests), iter(()))[1])
    answers = ask(rows, silent, question(Feab(question="What?")), tmp_path, tmp_path / "answers.jsonl")
    assert [request.images[0].sha256 for request in asked] == [rows[0].sha256, rows[2].sha256]
    assert "changed" in answers["1.png"].detail


@pytest.mark.parametrize(
    "face",
    ["1,2,3,4", [1, 2, 3], [1, 2, 3, None], [0, 0, 0, 5], [0, 0, float("nan"), 9], [0, 0, 1e300, 9], [True] * 4, {}, 7],
    ids=str,
)
def test_a_face_that_is_no_box_rejects_its_record(tmp_path: Path, face: object) -> None:
    with pytest.raises(ImageError, match=r"attributes\.face"):
        open_record(record(tmp_path, face=face), tmp_path)


@pytest.mark.parametrize("face", [(96, 0, 20, 20), (-30, 0, 20, 20), (90, 60, 40, 40)])
def test_a_face_outside_its_picture_rejects_its_record(tmp_path: Path, face: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="lies outside"):
        open_record(record(tmp_path, face=list(face)), tmp_path)


def test_a_face_that_reaches_beyond_the_edge_is_cropped_to_what_there_is(tmp_path: Path) -> None:
    found = open_record(record(tmp_path, face=[-10, -10, 60, 60]), tmp_path)
    assert cropped(found.picture, found.face, 0.0).size == (50, 50)
    assert face_box(None, "a") is None


@pytest.mark.parametrize("image", ["a\0b.png", "x" * 5000, "loop.png", "", "."])
def test_a_hostile_path_is_an_image_error(tmp_path: Path, image: str) -> None:
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(ImageError):
        images.resolve(tmp_path, image)


def test_a_jpeg_whose_end_is_zeros_is_no_whole_picture() -> None:
    exif = Image.Exif()
    exif[0x10E] = "\xff\xd9"
    whole = encoded(Image.radial_gradient("L").convert("RGB"), "JPEG", exif=exif)
    assert decode(whole + bytes(500)).size == (256, 256), "what follows the end is no matter"
    for kept in (len(whole) // 2, len(whole) - 2):
        with pytest.raises(ImageError, match="it has no end"):
            decode(whole[:kept] + bytes(len(whole) - kept))


def test_a_picture_that_hardly_shows_is_not_a_white_one() -> None:
    with pytest.raises(ImageError, match="transparent"):
        decode(encoded(Image.new("RGBA", (32, 32), (9, 9, 9, 1)), "PNG"))


def test_an_image_path_cannot_leave_its_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(encoded(SMALL))
    (root / "face.png").write_bytes(encoded(SMALL))
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    assert resolve(root, "face.png").is_file()
    for hostile in ("../secret.png", "link.png", str(tmp_path / "secret.png")):
        with pytest.raises(ImageError, match="leads out"):
            resolve(root, hostile)
    with pytest.raises(ImageError, match="no such file"):
        resolve(root, "absent.png")


@pytest.mark.parametrize("data", [b"", b"GIF89a", encoded(SMALL)[:40], b"<html>", encoded(SMALL)[:-30]], ids=range(5))
def test_what_is_no_whole_image_is_an_image_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode(data)


def test_decompression_bombs_are_refused() -> None:
    with pytest.raises(ImageError):
        decode(encoded(Image.new("RGB", (12_000, 9_000))))


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    assert decode(encoded(Image.new("RGB", (40, 60)), exif=exif)).size == (60, 40)


def test_a_jpeg_of_which_little_is_wanted_is_decoded_smaller_but_never_too_small() -> None:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((800, 600)).convert("RGB").save(out, "JPEG")
    whole, small = decode(out.getvalue()), decode(out.getvalue(), side=100)
    assert whole.size == (800, 600) and min(small.size) >= 100 and small.width < 400
    reference = whole.resize(small.size)
    assert abs(np.asarray(small, float) - np.asarray(reference, float)).mean() < 2

"""Images are drawn down to the budget, sent upright and without metadata, and encoded once each."""

import asyncio
import base64
import io
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from seke.backends.openai import image_encoding
from seke.backends.openai.image_encoding import ImageEncoder
from seke.core.errors import UserError
from seke.core.images import ImageError, sha256
from seke.core.vlm import Image


def stored(path: Path, picture: Pillow.Image, **options: object) -> Image:
    picture.save(path, **options)
    return Image(path, sha256(path.read_bytes()))


def noise(width: int, height: int) -> Pillow.Image:
    return Pillow.effect_noise((width, height), 80).convert("RGB")


def opened(url: str) -> tuple[str, bytes, Pillow.Image]:
    head, _, data = url.partition(";base64,")
    decoded = base64.b64decode(data)
    return head, decoded, Pillow.open(io.BytesIO(decoded))


def test_a_large_image_is_drawn_down_to_its_longer_side(tmp_path: Path) -> None:
    head, _, picture = opened(ImageEncoder(side=64).encode(stored(tmp_path / "a.png", noise(200, 100))))
    assert (head, picture.format, picture.size) == ("data:image/jpeg", "JPEG", (64, 32))


def test_a_small_image_travels_as_it_is(tmp_path: Path) -> None:
    image = stored(tmp_path / "a.png", noise(40, 30))
    head, data, _ = opened(ImageEncoder(side=64).encode(image))
    assert (head, data) == ("data:image/png", image.read())


def test_a_fitting_image_of_many_bytes_is_written_anew(tmp_path: Path) -> None:
    image = stored(tmp_path / "a.png", noise(400, 400))
    head, data, picture = opened(ImageEncoder(side=512).encode(image))
    assert (head, picture.size) == ("data:image/jpeg", (400, 400))
    assert len(data) < len(image.read())


def test_a_rotated_image_arrives_upright_and_without_its_camera(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112], exif[0x010F] = 6, "SERIAL-4711"
    image = stored(tmp_path / "a.jpg", noise(40, 30), exif=exif)
    _, data, picture = opened(ImageEncoder().encode(image))
    assert picture.size == (30, 40)
    assert b"SERIAL-4711" in image.read() and b"SERIAL-4711" not in data


def test_xmp_does_not_leave_the_house(tmp_path: Path) -> None:
    told = PngInfo()
    told.add_itxt("XML:com.adobe.xmp", "<x>SERIAL-4711</x>")
    image = stored(tmp_path / "a.png", noise(40, 30), pnginfo=told)
    assert b"SERIAL-4711" not in opened(ImageEncoder().encode(image))[1]


def test_transparency_and_palettes_become_rgb(tmp_path: Path) -> None:
    image = stored(tmp_path / "a.png", noise(40, 30).quantize(8))
    assert opened(ImageEncoder().encode(image))[2].mode == "RGB"


def test_quality_decides_the_bytes(tmp_path: Path) -> None:
    image = stored(tmp_path / "a.png", noise(200, 200))
    small, large = (len(ImageEncoder(side=100, quality=quality).encode(image)) for quality in (30, 90))
    assert small < large


def test_one_image_is_encoded_once_however_many_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = stored(tmp_path / "a.png", noise(40, 30))
    encoder, read = ImageEncoder(), []
    monkeypatch.setattr(Image, "read", lambda self: read.append(1) or self.path.read_bytes())

    async def ask() -> list[str]:
        return await asyncio.gather(*(encoder.url(image) for _ in range(9)))

    assert len(set(asyncio.run(ask()))) == 1 and len(read) == 1


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_encoding, "KEPT", 3)
    images = [stored(tmp_path / f"{n}.png", noise(16, 16)) for n in range(8)]
    encoder = ImageEncoder()

    async def ask() -> None:
        for image in images:
            await encoder.url(image)

    asyncio.run(ask())
    assert len(encoder._urls) == 3


@pytest.mark.parametrize("data", [b"", b"no picture", None])
def test_what_cannot_be_read_is_an_image_error(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "a.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ImageError if data is not None else OSError):
        ImageEncoder().encode(Image(path, "0"))


@pytest.mark.parametrize(
    ("setting", "value"), [("side", 2), ("quality", 0), ("quality", 100), ("detail", "fine"), ("margin", -1)]
)
def test_a_setting_out_of_range_is_named(setting: str, value: object) -> None:
    with pytest.raises(UserError, match=f"backend.image.{setting}={value}"):
        ImageEncoder(**{setting: value})


def test_the_face_is_cropped_with_its_margin_where_a_record_says_where_it_is(tmp_path: Path) -> None:
    photograph = Pillow.new("RGB", (400, 300), "white")
    photograph.paste("red", (100, 80, 180, 160))  # the face
    image = stored(tmp_path / "a.png", photograph)
    face = Image(image.path, image.sha256, (100, 80, 80, 80))
    _, _, tight = opened(ImageEncoder(margin=0.0).encode(face))
    assert tight.size == (80, 80) and tight.getpixel((40, 40))[1] < 20
    assert opened(ImageEncoder(margin=0.5).encode(face))[2].size == (160, 160)
    assert opened(ImageEncoder(margin=None).encode(face))[2].size == (400, 300)
    # The square of a high face at the border loses what lies outside; one outside altogether crops nothing.
    assert opened(ImageEncoder(margin=0.0).encode(Image(image.path, image.sha256, (0, 0, 20, 60))))[2].size == (40, 60)
    assert opened(ImageEncoder(margin=0.0).encode(Image(image.path, image.sha256, (900, 0, 20, 60))))[2].size == (
        400,
        300,
    )


def test_two_faces_of_one_picture_are_two_images_and_a_margin_matters_to_cropped_ones_only(tmp_path: Path) -> None:
    whole = stored(tmp_path / "a.png", noise(64, 64))
    left, right = (Image(whole.path, whole.sha256, (place, 8, 20, 20)) for place in (4, 40))
    assert len({whole.key, left.key, right.key}) == 3
    assert ImageEncoder(margin=0.1).settings([whole]) == ImageEncoder(margin=0.4).settings([whole])
    assert ImageEncoder(margin=0.1).settings([left]) != ImageEncoder(margin=0.4).settings([left])
    urls = ImageEncoder()

    async def ask() -> list[str]:
        return [await urls.url(image) for image in (whole, left, right)]

    assert len(set(asyncio.run(ask()))) == 3


def test_what_a_viewer_would_not_see_as_it_stands_is_written_anew(tmp_path: Path) -> None:
    hidden = noise(40, 30)
    frames = [noise(40, 30), noise(40, 30)]
    for image in (
        stored(tmp_path / "mask.png", hidden, transparency=(0, 0, 0)),
        stored(tmp_path / "film.png", frames[0], save_all=True, append_images=frames[1:]),
        stored(tmp_path / "grey.png", Pillow.new("I;16", (40, 30), 30_000)),
    ):
        assert opened(ImageEncoder(side=64).encode(image))[0] == "data:image/jpeg"

"""Loading of image files: inside their root, whole, of sane size, upright, and in 8-bit RGB.

Licensed face sets come with hostile paths, half-copied files, EXIF rotations, 16-bit greys and masked backgrounds; all
that cannot be shown as its maker meant it ends here with an `ImageError` that callers turn into a rejection.
"""

import hashlib
import io
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 50_000_000
"""Larger images are refused as decompression bombs: no face crop comes near."""
MIN_SIDE = 8
"""Smaller ones show nobody."""
MARGIN = 0.3
"""What of a photograph is shown around the face that a record marks, in sides of the face."""
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF", "PPM")
"""What Pillow may take a file for, whatever its name; reading others (PostScript, WMF) would start programs."""
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif",
    ".ppm", ".pgm", ".pnm",
)  # fmt: skip
"""Endings, in lower case, of the files that are looked for in a folder of pictures."""
HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras and scanners fill of a 16-bit sample."""
BACKGROUND = (255, 255, 255)
"""What shows through where a picture is transparent: white, as in a browser."""
SOLID = 32
"""Of 255; a picture that is nowhere more opaque than this would be a white one."""
FAINTEST = 64
"""16-bit colours reach Pillow as their upper 8 bits; where none is brighter than this, the samples held fewer bits."""


class ImageError(ValueError):
    """An image that is missing, outside its root, cut, too large, changed or none at all: rejected, counted."""


class Pictured(Protocol):
    """A record that is about one picture."""

    @property
    def image(self) -> str:
        """Path below the image root."""

    @property
    def sha256(self) -> str | None:
        """Of the file's bytes when the record was made; None where nobody looked."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What else is known; `face` is where the face is."""


class Opened(NamedTuple):
    """A record's picture, read, decoded and compared with its record."""

    path: Path
    data: bytes
    """The file as it is."""
    picture: "Image"
    """RGB, upright."""
    sha256: str
    face: tuple[int, int, int, int] | None
    """Left, top, width and height in pixels of the upright picture, where the record says it."""


def open_record(record: Pictured, root: Path, side: int | None = None) -> Opened:
    """Return the picture of a record, as it was when the record was made.

    `side`: as in `decode`.

    Raises:
        ImageError: if it is missing, outside `root`, no picture, or not the one that the record was made of; if
            the record's face is no box in it.
    """
    path = resolve(root, record.image)
    data, digest = read_unchanged(path, record.image, record.sha256)
    picture = decode(data, record.image, side)
    face = face_box(record.attributes.get("face"), record.image)
    if face is not None and side is None and not _inside(face, picture.size):
        raise ImageError(f"{record.image}: its face {list(face)} lies outside its {picture.width} x {picture.height}")
    return Opened(path, data, picture, digest, face)


def unchanged(record: Pictured, root: Path) -> tuple[Path, str, tuple[int, int, int, int] | None]:
    """Return the file of a record's picture, its sha256, and its face where the record marks one.

    A picture whose sha256 is stated was decoded when its record was prepared; only another one is decoded here, or one
    in which a face is marked.

    Raises:
        ImageError: as `open_record` does.
    """
    if record.sha256 is None or record.attributes.get("face") is not None:
        opened = open_record(record, root)
        return opened.path, opened.sha256, opened.face
    path = resolve(root, record.image)
    return path, read_unchanged(path, record.image, record.sha256)[1], None


def read_unchanged(path: Path, name: str, expected: str | None) -> tuple[bytes, str]:
    """Return the bytes of a picture's file and their sha256, which is `expected` where that is known.

    Raises:
        ImageError: if it cannot be read, or is another one: labels of one picture would else be learnt of another.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror})") from error
    digest = sha256(data)
    if expected is not None and digest != expected:
        raise ImageError(f"{name} changed after it was prepared: it is not the file that its record is about")
    return data, digest


def resolve(root: Path, image: str) -> Path:
    """Return the file of a record's `image` below `root`.

    Raises:
        ImageError: if it is missing or if the path, links followed, leaves the root.
    """
    try:
        path = (root / image).resolve()
        if not path.is_relative_to(root.resolve()):
            raise ImageError(f"{image}: leads out of the image root {root}")
        if not path.is_file():
            raise ImageError(f"{image}: no such file below {root}")
    except ImageError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # too long, a loop of links, a null byte
        raise ImageError(f"{image[:200]!r}: no usable path ({error})") from error
    return path


def decode(data: bytes, name: str = "image", side: int | None = None) -> "Image":
    """Return the picture in `data` as RGB, fully decoded, EXIF orientation applied; of several frames the first.

    Grey samples of more than 8 bits are scaled down from the depth they fill; what is transparent lies on white.

    `side`: no more pixels a side are wanted; a JPEG is then decoded at a half, a quarter or an eighth of its size, no
    smaller than that and several times faster.

    Raises:
        ImageError: if the bytes are no picture of a known format, are cut short, exceed `MAX_PIXELS`, have a side under
            `MIN_SIDE`, or samples whose scale is not known.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with recognised(data) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise ImageError(f"{name}: {picture.width} x {picture.height} pixels is too large")
                if min(picture.size) < MIN_SIDE:
                    raise ImageError(f"{name}: {picture.width} x {picture.height} pixels is too small")
                if side is not None:
                    picture.draft("RGB", (side, side))
                deep = _has_16_bit_colours(picture)
                if picture.format == "JPEG" and not _has_end(data):
                    raise ImageError(f"{name}: not a whole, readable image (it has no end: half copied?)")
                picture.load()
                shown = _rgb(ImageOps.exif_transpose(picture), name)
                if deep and max(high for _, high in shown.getextrema()) < FAINTEST:  # type: ignore[misc]
                    raise ImageError(f"{name}: 16-bit colours that fill only the lowest bits; their scale is not known")
                return shown
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on hostile input
        # Pillow names the buffer by its address, which would make two equal runs differ.
        problem = re.sub(r"<_io\.BytesIO [^>]*>", "it", str(error))
        raise ImageError(f"{name}: not a whole, readable image ({type(error).__name__}: {problem})") from error


def _has_end(data: bytes) -> bool:
    """Return whether the first scan of a JPEG is followed by an end; a decoder takes zeros in its place for a picture.

    Segments before it are passed over by their lengths, since a thumbnail in one has an end of its own.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) >= 0
        bare = marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01  # a filler, or a marker without a length
        at += 1 if marker == 0xFF else 2 if bare else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return True  # of another build than this reads: for the decoder to judge


def recognised(data: bytes) -> "Image":
    """Return what Pillow takes `data` for, among `FORMATS`; nothing is decoded yet.

    Raises:
        PIL.UnidentifiedImageError: if it is none of them.
    """
    from PIL import Image

    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        import pi_heif

        pi_heif.register_heif_opener()
    Image.init()  # registers the formats that `open` may be restricted to
    return Image.open(io.BytesIO(data), formats=[known for known in FORMATS if known in Image.OPEN])


def plain(picture: "Image") -> bool:
    """Return whether what a viewer shows of a file is its 8-bit RGB or grey samples, one frame, as they stand."""
    return (
        picture.mode in ("RGB", "L")
        and not picture.has_transparency_data
        and not _has_16_bit_colours(picture)
        and getattr(picture, "n_frames", 1) == 1
    )


def face_box(value: object, name: str) -> tuple[int, int, int, int] | None:
    """Return a record's `attributes.face` as whole pixels: left, top, width, height; None where it has none.

    >>> face_box([10, 20.4, 64, 64], "a.jpg")
    (10, 20, 64, 64)

    Raises:
        ImageError: if it is anything but four finite numbers with a width and a height above 0.
    """
    if value is None:
        return None
    numbers = list(value) if isinstance(value, list | tuple) else []
    usable = len(numbers) == 4 and all(
        isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) and abs(number) < 1e7
        for number in numbers
    )
    if not usable or min(numbers[2:]) < 1:
        raise ImageError(
            f"{name}: attributes.face={str(value)[:60]} is no box of left, top, width and height in pixels"
        )
    left, top, width, height = (round(number) for number in numbers)
    return left, top, width, height


def cropped(picture: "Image", face: tuple[int, int, int, int], margin: float) -> "Image":
    """Return the square around a face: left, top, width, height, widened on each side by `margin` of its longer side.

    What of the square lies outside the picture is left away; a face that lies outside altogether crops nothing.
    """
    left, top, width, height = face
    half = max(width, height) * (1 + 2 * margin) / 2
    middle = (left + width / 2, top + height / 2)
    box = (
        max(0, round(middle[0] - half)),
        max(0, round(middle[1] - half)),
        min(picture.width, round(middle[0] + half)),
        min(picture.height, round(middle[1] + half)),
    )
    sane = box[2] - box[0] >= MIN_SIDE and box[3] - box[1] >= MIN_SIDE
    return picture.crop(box) if sane else picture


def shown(data: bytes, name: str, face: tuple[int, int, int, int] | None) -> "Image":
    """Return what a model on this machine is shown of a picture: its face where one is marked, else the whole of it.

    Raises:
        ImageError: as `decode` does.
    """
    picture = decode(data, name)
    return picture if face is None else cropped(picture, face, MARGIN)


def sha256(data: bytes) -> str:
    """Return the hex digest that identifies an image by its content."""
    return hashlib.sha256(data).hexdigest()


def _inside(face: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    left, top, width, height = face
    return (
        min(left + width, size[0]) - max(left, 0) >= MIN_SIDE and min(top + height, size[1]) - max(top, 0) >= MIN_SIDE
    )


def _has_16_bit_colours(picture: "Image") -> bool:
    """Return whether Pillow will drop the lower half of each colour's 16 bits (raw modes such as RGB;16B)."""
    return picture.mode in ("RGB", "RGBA") and any(
        ";16" in part
        for tile in getattr(picture, "tile", ())
        for part in (tile[3] if isinstance(tile[3], tuple) else (tile[3],))
        if isinstance(part, str)
    )


def _rgb(picture: "Image", name: str) -> "Image":
    from PIL import Image

    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = _grey(picture, name)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    seen = picture.convert("RGBA")
    if seen.getchannel("A").getextrema()[1] < SOLID:  # type: ignore[operator]
        raise ImageError(f"{name}: wholly transparent")
    return Image.alpha_composite(Image.new("RGBA", seen.size, (*BACKGROUND, 255)), seen).convert("RGB")


def _grey(picture: "Image", name: str) -> "Image":
    """Return grey samples of 16 or 32 bits, or floating point, as 8 bits; Pillow's own conversion would clip them.

    Whole numbers are scaled from the smallest depth in `DEPTHS` that holds the brightest; fractions from [0, 1] or,
    where the brightest is above 1, from [0, 255].

    Raises:
        ImageError: if a sample is negative, no number, or above what these scales hold.
    """
    import numpy as np
    from PIL import Image

    samples = np.asarray(picture)
    least, most = float(samples.min()), float(samples.max())
    if picture.mode == "F":
        top = 1.0 if most <= 1 else 255.0
    else:
        top = float(next((2**bits - 1 for bits in DEPTHS if most < 2**bits), 0))
    if not 0 <= least <= most <= top:  # also where a sample is not a number
        raise ImageError(f"{name}: samples from {least:g} to {most:g} of mode {picture.mode}; their scale is not known")
    return Image.fromarray(np.rint(samples.astype(np.float32) * (255 / top)).astype(np.uint8))

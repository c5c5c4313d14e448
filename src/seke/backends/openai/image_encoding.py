"""Encoding of images for a web API: the face, within a budget of pixels, upright, as a data URL, once per image.

A picture that fits the budget, is upright and carries no EXIF or XMP data travels as it is; any other is drawn down and
written as JPEG. So no camera's serial number or place is sent.
"""

import asyncio
import base64
import io
from collections import OrderedDict
from collections.abc import Sequence

from PIL import Image as Pillow

from seke.core import images
from seke.core.errors import UserError
from seke.core.vlm import Image

KEPT = 1024
"""Encoded images held in memory: a chunk's rounds ask about the same faces again."""
MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""What every server reads."""
PRIVATE = {"xmp", "comment", "XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type iptc"}
"""Where else a file may say who took it, and where."""
AS_IT_IS = 128 * 1024
"""Bytes above which a fitting picture is written anew: a PNG photograph is several times its JPEG."""
DETAILS = ("low", "high", "auto")


class ImageEncoder:
    """Encodes images.

    Args:
        side: the longer side's most pixels; a smaller image is not enlarged.
        quality: of the JPEG, 1 to 95.
        detail: how closely the model looks, and what it bills: low, high or auto.
        margin: where a record marks its face (`attributes.face`), so much of the face's side is shown around it;
            None shows the whole picture.

    Raises:
        UserError: for a setting out of range.
    """

    def __init__(self, side: int = 512, quality: int = 90, detail: str = "high", margin: float | None = 0.3) -> None:
        if side < images.MIN_SIDE:
            raise UserError("backend.image.side", side, "nobody shows on so few pixels", "set 224 or more")
        if not 1 <= quality <= 95:
            raise UserError("backend.image.quality", quality, "out of range", "set 1 to 95")
        if detail not in DETAILS:
            raise UserError("backend.image.detail", detail, "no such detail", f"set {', '.join(DETAILS)}")
        if margin is not None and not 0 <= margin <= 2:
            raise UserError("backend.image.margin", margin, "out of range", "set 0 to 2, or null for the whole picture")
        self.side, self.quality, self.detail, self.margin = side, quality, detail, margin
        self._urls: OrderedDict[str, asyncio.Task[str]] = OrderedDict()

    def settings(self, sent: Sequence[Image]) -> list[object] | None:
        """Return what of the settings shows in how these images are sent; None where there are none."""
        cropped = self.margin is not None and any(image.face for image in sent)
        return [self.side, self.quality, self.detail, *([self.margin] if cropped else [])] if sent else None

    async def url(self, image: Image) -> str:
        """Return the data URL of `image`; whoever asks for it meanwhile waits for the same one.

        Raises:
            images.ImageError, OSError: as reading it does.
        """
        task = self._urls.get(image.key)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self.encode, image))
            self._urls[image.key] = task
            if len(self._urls) > KEPT:
                self._urls.popitem(last=False)
        else:
            self._urls.move_to_end(image.key)
        return await asyncio.shield(task)

    def clear(self) -> None:
        """Forget the encoded images."""
        self._urls.clear()

    def encode(self, image: Image) -> str:
        """Return the data URL of `image`, read and encoded now."""
        data = image.read()
        face = None if self.margin is None else image.face
        mime = self._mime_as_is(data) if face is None else None
        if mime is None:
            data, mime = self._resized(data, image.path.name, face), MIME["JPEG"]
        return f"data:{mime};base64,{base64.b64encode(data).decode()}"

    def _mime_as_is(self, data: bytes) -> str | None:
        """Return the MIME type of a picture that may travel as it is."""
        if len(data) > AS_IT_IS:
            return None
        try:
            with images.recognised(data) as picture:
                fits = max(picture.size) <= self.side and min(picture.size) >= images.MIN_SIDE
                says_nothing = not picture.getexif() and not PRIVATE & picture.info.keys()
                as_seen = fits and says_nothing and images.plain(picture)
                return MIME.get(picture.format or "") if as_seen else None
        except Exception:  # whatever it is, `images.decode` says it better
            return None

    def _resized(self, data: bytes, name: str, face: tuple[int, int, int, int] | None) -> bytes:
        picture = images.decode(data, name)
        if face is not None:
            picture = images.cropped(picture, face, self.margin or 0.0)
        picture.thumbnail((self.side, self.side), Pillow.Resampling.LANCZOS)
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=self.quality)
        return written.getvalue()

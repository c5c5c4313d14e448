"""Images as a web API wants them: within a budget of pixels, upright, as a data URL, encoded once per image.

A picture that fits the budget, is upright and carries no EXIF or XMP data travels as it is; any other is drawn down and
written as JPEG. So no camera's serial number or place leaves the house.
"""

import asyncio
import base64
import io
from collections import OrderedDict

from PIL import Image as Pillow

from seke import images
from seke.errors import UserError
from seke.vlm import Image

KEPT = 1024
"""Encoded images held in memory: a chunk's rounds ask about the same faces again."""
MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""What every server reads."""
PRIVATE = {"xmp", "comment", "XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type iptc"}
"""Where else a file may say who took it, and where."""
AS_IT_IS = 128 * 1024
"""Bytes above which a fitting picture is written anew: a PNG photograph is several times its JPEG."""
DETAILS = ("low", "high", "auto")


class Pictures:
    """Encodes images.

    Args:
        side: the longer side's most pixels; a smaller image is not enlarged.
        quality: of the JPEG, 1 to 95.
        detail: how closely the model looks, and what it bills: low, high or auto.

    Raises:
        UserError: for a setting out of range.
    """

    def __init__(self, side: int = 512, quality: int = 90, detail: str = "high") -> None:
        if side < images.MIN_SIDE:
            raise UserError("backend.image.side", side, "nobody shows on so few pixels", "set 224 or more")
        if not 1 <= quality <= 95:
            raise UserError("backend.image.quality", quality, "out of range", "set 1 to 95")
        if detail not in DETAILS:
            raise UserError("backend.image.detail", detail, "no such detail", f"set {', '.join(DETAILS)}")
        self.side, self.quality, self.detail = side, quality, detail
        self._urls: OrderedDict[str, asyncio.Task[str]] = OrderedDict()

    @property
    def settings(self) -> list[object]:
        """What of the encoding shows in what is sent."""
        return [self.side, self.quality, self.detail]

    async def url(self, image: Image) -> str:
        """Return the data URL of `image`; whoever asks for it meanwhile waits for the same one.

        Raises:
            images.ImageError, OSError: as reading it does.
        """
        task = self._urls.get(image.sha256)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self.encode, image))
            self._urls[image.sha256] = task
            if len(self._urls) > KEPT:
                self._urls.popitem(last=False)
        else:
            self._urls.move_to_end(image.sha256)
        return await asyncio.shield(task)

    def clear(self) -> None:
        """Forget the encoded images."""
        self._urls.clear()

    def encode(self, image: Image) -> str:
        """Return the data URL of `image`, read and encoded now."""
        data = image.read()
        mime = self._fitting(data)
        if mime is None:
            data, mime = self._drawn_down(data, image.path.name), MIME["JPEG"]
        return f"data:{mime};base64,{base64.b64encode(data).decode()}"

    def _fitting(self, data: bytes) -> str | None:
        """Return the MIME type of a picture that may travel as it is."""
        if len(data) > AS_IT_IS:
            return None
        try:
            with Pillow.open(io.BytesIO(data)) as picture:
                fits = max(picture.size) <= self.side and min(picture.size) >= images.MIN_SIDE
                plain = picture.mode in ("RGB", "L") and not picture.getexif() and not PRIVATE & picture.info.keys()
                return MIME.get(picture.format or "") if fits and plain else None
        except Exception:  # whatever it is, `images.decode` says it better
            return None

    def _drawn_down(self, data: bytes, name: str) -> bytes:
        picture = images.decode(data, name)
        picture.thumbnail((self.side, self.side), Pillow.Resampling.LANCZOS)
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=self.quality)
        return written.getvalue()

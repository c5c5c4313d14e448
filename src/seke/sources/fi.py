"""FI, Flickr and Instagram (You et al., AAAI 2016): 23,308 pictures of Mikels' eight emotions.

    emotion_dataset/amusement/<any name>.jpg

Known: one folder for each class, as loaders of the owners' archive expect them; no split comes with it. Sniffed: class
folders in any case and at any depth, and a folder train, val or test around them, which then is the split. Without one
each picture is hashed. The owners give the pictures out on request; no list of votes is read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from seke.records import ImageRecord, Rejection
from seke.sources.emoset import EMOTIONS
from seke.sources.evoked import Evoked, filed


class FI(Evoked):
    """The pictures of FI in their class folders.

    Raises:
        UserError: see `Evoked`.
    """

    name: ClassVar[str] = "fi"
    own = EMOTIONS

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield every picture in a class folder.

        Raises:
            UserError: if there is none.
        """
        for picture in filed(self.root, EMOTIONS):
            # One name may stand in two classes: the folder belongs to the id.
            key = picture.path.relative_to(self.root).with_suffix("").as_posix()
            yield self.evoked(key, picture.path, picture.folder, picture.split or self.split(key))

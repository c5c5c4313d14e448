"""FI, Flickr and Instagram (You et al., AAAI 2016): 23,308 pictures of Mikels' eight emotions.

    emotion_dataset/amusement/<any name>.jpg

Known: one folder for each class, as loaders of the owners' archive expect them; no split comes with it. Sniffed: class
folders in any case and at any depth, and a folder around them that names a split (see `split_words`). Without one each
picture is hashed. The owners give the pictures out on request; no list of votes is read.
"""

from collections.abc import Iterator
from pathlib import Path

from seke.core.records import Rejection
from seke.core.rules import EMOTIONS
from seke.sources.base.split import Listed
from seke.sources.scene_datasets.base import SceneDataset


class FI(SceneDataset):
    """The pictures of FI in their class folders.

    Raises:
        UserError: see `SceneDataset`.
    """

    name = "fi"
    own = EMOTIONS

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every picture in a class folder, and a rejection for each outside.

        Raises:
            UserError: if there is none, or if folders name a split and others beside them do not.
        """
        for picture in self.in_class_folders(EMOTIONS):
            if isinstance(picture, Rejection):
                yield picture
            else:
                split = picture.split or self.split(picture.key)
                yield self.scene(picture.key, picture.path, picture.folder, split)

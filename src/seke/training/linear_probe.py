"""Linear probe: logistic regression on a frozen vision tower's states, the supervised neighbour of instruction tuning.

    pictures -> LoadedVLM.see -> states (P, D) of each -> their mean (D), or all of them (P D)
    -> standardised -> multinomial logistic regression with an L2 penalty, its strength by cross-validation

The penalty is chosen on the training rows alone. Shapes: N pictures, P patches of one, D width of the tower.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seke.core import images
from seke.core.errors import UserError
from seke.models.protocol import LoadedVLM

Pool = Literal["mean", "patches"]
POOLS: Final = ("mean", "patches")
STRENGTHS: Final = tuple(10.0**power for power in range(-4, 2))
"""Candidates of scikit-learn's C, the inverse of the penalty's strength."""
FOLDS: Final = 5
STEPS: Final = 2000
"""Iterations of L-BFGS at most; standardised states need far fewer."""


def tower_states(loaded: LoadedVLM, pictures: Sequence[Path], pool: Pool, batch: int = 64) -> NDArray[np.float32]:
    """Return what the vision tower makes of each whole picture: (N, D) for pool="mean", (N, P D) for "patches".

    Raises:
        UserError: for another pool.
        ImageError: if one of the files is no picture.
    """
    if pool not in POOLS:
        raise UserError("pool", pool, "no such pooling", f"use {' or '.join(POOLS)}")
    return np.concatenate(list(_pooled(loaded, pictures, pool, batch)))


@torch.inference_mode()
def _pooled(loaded: LoadedVLM, pictures: Sequence[Path], pool: Pool, batch: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(pictures), batch):
        files = pictures[start : start + batch]
        # The first crop is the whole picture in every family.
        crops = torch.cat([loaded.pixels(images.decode(file.read_bytes())).crops[:1] for file in files])
        states_NPD = loaded.see(crops.to(loaded.model.device, loaded.model.dtype)).float()
        yield (states_NPD.mean(1) if pool == "mean" else states_NPD.flatten(1)).cpu().numpy()


def fit(states_NF: NDArray[np.float32], classes_N: Sequence[str], seed: int) -> GridSearchCV:
    """Return the fitted probe: `predict` names the class of each row, `best_params_` holds the C chosen.

    Raises:
        UserError: if there are fewer than two classes, or a class has fewer than two pictures to validate on.
    """
    sizes = Counter(classes_N)
    least = min(sizes.values(), default=0)
    if len(sizes) < 2 or least < 2:
        problem = f"{len(sizes)} classes, {least} pictures in the smallest"
        raise UserError("data.share", len(classes_N), problem, "take more rows: two classes with two pictures each")
    folds = StratifiedKFold(min(FOLDS, least), shuffle=True, random_state=seed)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=STEPS))
    search = GridSearchCV(probe, {"logisticregression__C": STRENGTHS}, cv=folds, scoring="accuracy")
    return search.fit(states_NF, list(classes_N))

"""Linear probe: linear models on a frozen vision tower's states, the supervised neighbour of instruction tuning.

    pictures -> LoadedVLM.see -> states (P, D) of each -> their mean (D), or all of them (P D)
    -> standardised -> multinomial logistic regression with an L2 penalty, its strength by cross-validation

Faces have several labels: expressions by the same, each action unit by a logistic regression of its own with the
threshold that is best for its F1, valence and arousal by ridge regression. Penalties and thresholds are chosen on the
training rows alone. Shapes: N pictures, P patches of one, D width of the tower, F features.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seke.core import images
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.models.protocol import LoadedVLM

Pool = Literal["mean", "patches"]
POOLS: Final = ("mean", "patches")
STRENGTHS: Final = tuple(10.0**power for power in range(-4, 2))
"""Candidates of scikit-learn's C, the inverse of the penalty's strength."""
PENALTIES: Final = tuple(10.0**power for power in range(-1, 6))
"""Candidates of ridge regression's alpha."""
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
        seen = [loaded.pixels(images.decode(file.read_bytes())) for file in files]
        crops = [pixels.crops[loaded.overview(pixels.size)] for pixels in seen]
        counts, sizes = [len(own) for own in crops], [pixels.size for pixels in seen]
        whole = torch.cat(crops).to(loaded.model.device, loaded.model.dtype)
        states = torch.split(loaded.see(whole, counts, sizes).float(), counts)
        if pool == "patches" and len({len(one) for one in states}) > 1:
            remedy = "use pool=mean, or pictures of one size"
            raise UserError("pool", pool, "the tower has more patches of some pictures than of others", remedy)
        pooled = [one.flatten(0, 1).mean(0) if pool == "mean" else one.flatten() for one in states]
        yield torch.stack(pooled).cpu().numpy()


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


class FaceProbe(NamedTuple):
    """Fitted on faces; what the training rows did not teach is not predicted."""

    scaler: StandardScaler
    """Of the states of all training faces, once for all labels."""
    expression: GridSearchCV | None
    units: Mapping[int, Any]
    """By action unit, what predicts whether it is active."""
    affect: Mapping[str, Any]
    """Of valence and arousal."""
    untaught: tuple[str, ...]
    """What is not predicted, each with the reason."""

    def predict(self, states_NF: NDArray[np.float32]) -> list[Labels]:
        """Return the labels of each picture; valence and arousal are cut to [-1, 1]."""
        count = len(states_NF)
        states_NF = self.scaler.transform(states_NF)
        named = [None] * count if self.expression is None else self.expression.predict(states_NF).tolist()
        active = {au: model.predict(states_NF).tolist() for au, model in self.units.items()}
        values = {name: np.clip(model.predict(states_NF), -1, 1).tolist() for name, model in self.affect.items()}
        return [
            Labels(
                expression=named[n],
                action_units={au: bool(found[n]) for au, found in active.items()} or None,
                **{name: found[n] for name, found in values.items()},
            )
            for n in range(count)
        ]


def fit_faces(states_NF: NDArray[np.float32], labels_N: Sequence[Labels], seed: int) -> FaceProbe:
    """Fit a probe of each label to the faces that carry it.

    An action unit that fewer than two faces show, or fewer than two do not, cannot be validated and is not predicted.

    Raises:
        UserError: if an expression has a single face, as `fit`.
    """
    untaught: list[str] = []
    scaler = StandardScaler()
    states_NF = scaler.fit_transform(states_NF)
    carrying = np.array([labels.expression is not None for labels in labels_N])
    expression = None
    if carrying.any():
        named = [labels.expression for labels in labels_N if labels.expression is not None]
        expression = fit(states_NF[carrying], named, seed)
    else:
        untaught.append("expression: no face carries it")
    units = {}
    for au in ACTION_UNITS:
        told = [(n, stated[au]) for n, labels in enumerate(labels_N) if au in (stated := labels.action_units or {})]
        active_N = np.array([active for _, active in told], dtype=bool)
        least = min(int(active_N.sum()), int((~active_N).sum()))
        if least < 2:
            untaught.append(f"AU{au}: {int(active_N.sum())} of {len(told)} faces show it")
        else:
            units[au] = _unit(states_NF[[n for n, _ in told]], active_N, least, seed)
    affect = {}
    for name in ("valence", "arousal"):
        known = [(n, value) for n, labels in enumerate(labels_N) if (value := getattr(labels, name)) is not None]
        if len(known) < 2:
            untaught.append(f"{name}: {len(known)} faces carry it")
            continue
        affect[name] = RidgeCV(PENALTIES).fit(states_NF[[n for n, _ in known]], [value for _, value in known])
    return FaceProbe(scaler, expression, units, affect, tuple(untaught))


def _unit(states_NF: NDArray[np.float32], active_N: NDArray[np.bool_], least: int, seed: int) -> Any:
    """Return a logistic regression, its penalty by the log loss and its threshold by F1, both cross-validated."""
    folds = StratifiedKFold(min(FOLDS, least), shuffle=True, random_state=seed)
    strengths = STRENGTHS[::2]  # there are 17 of these searches
    search = GridSearchCV(LogisticRegression(max_iter=STEPS), {"C": strengths}, cv=folds, scoring="neg_log_loss")
    search.fit(states_NF, active_N)
    return TunedThresholdClassifierCV(search.best_estimator_, scoring="f1", cv=folds).fit(states_NF, active_N)

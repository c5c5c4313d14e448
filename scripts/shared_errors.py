"""What the other frames of a film are worth where an annotator errs alike in all of them: two ways to smooth.

    python scripts/shared_errors.py [films=600] [seed=0]          seconds on one core; no picture

One action unit, 12 frames of 3 seconds, a Markov chain as `generator.smooth` has it (over_time.py), its rates known.
The annotator sees x = 1.5 where it is active, else 0, plus an error of variance 1 of which `share` is the same in all
frames of a film. Each frame's belief is the exact one given that frame alone, so that a gain is due to the others.
    power     the other frames' evidence counts to a power, the best of all (what generator.smooth chooses from)
    offset    the film's error is an unknown offset of its evidence, its share known, summed over (film_offset.py)
`half`: every second frame was asked nothing. Gains are in nats a frame over each frame by itself, all of them asked.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from scipy.stats import norm

from seke.core.label_prior import Array
from seke.generation.calibration.film_offset import Chains, chain_beliefs
from seke.generation.calibration.over_time import markov_messages

FRAMES: Final = 12
SECONDS: Final = 0.25
"""Between frames."""
ACTIVE, RATE, SEEN = 0.2, 0.8, 1.5
"""Base rate, changes a second, and by how much activity moves what the annotator sees, in standard deviations."""
POWERS: Final = (0.0, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0)
SHARES: Final = (0.0, 0.25, 0.5, 0.75)
BASE_2: Final = np.array([1 - ACTIVE, ACTIVE])


def films(count: int, share: float, seed: int) -> tuple[Array, Array]:
    """Return what is true of each frame (N, T) and what the annotator sees of it (N, T)."""
    rng = np.random.default_rng(seed)
    kept = np.exp(-RATE * SECONDS)
    state_NT = (rng.random((count, FRAMES)) < ACTIVE).astype(int)
    stays_NT = rng.random((count, FRAMES)) < kept
    for t in range(1, FRAMES):
        state_NT[:, t] = np.where(stays_NT[:, t], state_NT[:, t - 1], state_NT[:, t])
    of_film_N1, own_NT = rng.normal(size=(count, 1)), rng.normal(size=(count, FRAMES))
    return state_NT, SEEN * state_NT + np.sqrt(share) * of_film_N1 + np.sqrt(1 - share) * own_NT


def evidence(seen_NT: Array, spread: float = 1.0) -> Array:
    """Return the likelihood of what is seen, inactive and active, (N, T, 2)."""
    return np.stack([norm.pdf(seen_NT / spread), norm.pdf((seen_NT - SEEN) / spread)], axis=2) / spread


def smoothed(own_NT2: Array, others_NT2: Array) -> Array:
    """Return P(active) of each frame, (N, T), by its own evidence and what the others' says of it."""
    base_N2, rate_N = np.tile(BASE_2, (len(own_NT2), 1)), np.full(len(own_NT2), RATE)
    messages_TN2 = markov_messages(others_NT2.transpose(1, 0, 2), base_N2, rate_N, np.full(FRAMES, SECONDS))
    joint_NT2 = BASE_2 * own_NT2 * messages_TN2.transpose(1, 0, 2)
    return joint_NT2[:, :, 1] / joint_NT2.sum(axis=2)


def by_power(seen_NT: Array, asked_T: Array, power: float) -> Array:
    """Return P(active) where the other frames count to a power; frames that were not asked say nothing."""
    own_NT2 = np.where(asked_T[:, None], evidence(seen_NT), 1.0)
    return smoothed(own_NT2, own_NT2**power)


def by_offset(seen_NT: Array, asked_T: Array, share: float) -> Array:
    """Return P(active) where a film's error is summed over (film_offset.py), all films side by side."""
    own_TN2 = (BASE_2 * evidence(seen_NT)).transpose(1, 0, 2)
    own_TN2 = np.where(asked_T[:, None, None], own_TN2 / own_TN2.sum(axis=2, keepdims=True), BASE_2)
    films = len(seen_NT)
    nobody = np.broadcast_to(BASE_2, own_TN2.shape), np.zeros_like(own_TN2), np.zeros((FRAMES, films), dtype=bool)
    chain = np.tile(BASE_2, (films, 1)), np.full(films, RATE), np.full(FRAMES, SECONDS)
    # Log-odds are normal with variance 2 v, and mean v where it is active, else -v.
    chains = Chains(share, np.full(films, SEEN**2 / 2))
    return chain_beliefs(own_TN2, *nobody, *chain, 1.0, chains)[:, :, 1].T


def loss(active_NT: Array, state_NT: Array) -> float:
    """Return the mean log loss of a frame."""
    p_NT = np.clip(active_NT, 1e-6, 1 - 1e-6)
    return float(-np.where(state_NT == 1, np.log(p_NT), np.log(1 - p_NT)).mean())


def gains(count: int, share: float, seed: int) -> tuple[float, float, float, float, float]:
    """Return the loss of frames by themselves, and the gains of power and offset, then with half the frames asked."""
    state_NT, seen_NT = films(count, share, seed)
    every_T = np.ones(FRAMES, bool)
    half_T = np.arange(FRAMES) % 2 == 0
    alone = loss(by_power(seen_NT, every_T, 0.0), state_NT)
    found = []
    for asked_T in (every_T, half_T):
        powers = [alone - loss(by_power(seen_NT, asked_T, power), state_NT) for power in POWERS]
        found += [max(powers), alone - loss(by_offset(seen_NT, asked_T, share), state_NT)]
    return alone, found[0], found[1], found[2], found[3]


def rows(count: int, seed: int) -> Iterator[str]:
    """Yield the lines of the Markdown table."""
    yield "| share of errors that a film's frames have alike | alone | power | offset | half, power | half, offset |"
    yield "|---|---:|---:|---:|---:|---:|"
    for share in SHARES:
        alone, *others = gains(count, share, seed)
        yield f"| {share:g} | {alone:.3f} | {' | '.join(f'{gain:+.3f}' for gain in others)} |"


def main(words: Sequence[str]) -> None:
    """Print the table."""
    settings = {"films": "600", "seed": "0"} | dict(word.split("=", 1) for word in words if "=" in word)
    if set(settings) != {"films", "seed"} or not all("=" in word for word in words):
        raise SystemExit(__doc__)
    print("\n".join(rows(int(settings["films"]), int(settings["seed"]))))


if __name__ == "__main__":
    main(sys.argv[1:])

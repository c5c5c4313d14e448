"""The latent model behind a drawn film of one face: what it shows at every moment.

A face rests, and from time to time it makes an expression: it rises (onset), is held for long or let go at once (apex)
and falls (offset), as film of spontaneous expressions is coded. Each action unit does so a little earlier or later than
the others. Between and during all that the face blinks, and the head sways. Everything is a function of time, so that a
film can be drawn at any rate and in any order.

Durations are chosen by us within what is reported of spontaneous expressions, 0.5 to 4 s (Ekman 2003), and of blinks,
0.2 to 0.4 s, about 17 a minute (Bentivoglio et al. 1997).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal, NamedTuple, get_args

from seke.core.affect import ACTION_UNITS
from seke.sources.synthetic.face_model import Face, draw_face
from seke.sources.synthetic.face_renderer import Scene
from seke.sources.synthetic.worlds import DRAWN, World

Seconds = float
Movement = Literal["onset", "offset", "held", "fleeting"]
MOVEMENTS: Final[tuple[Movement, ...]] = get_args(Movement)

RISE: Final = (0.3, 0.9)
HELD: Final = (1.0, 3.0)
FLEETING: Final = (0.05, 0.4)
FALL: Final = (0.5, 1.5)
REST: Final = (0.3, 1.5)
"""Ranges of durations, in seconds."""
HELD_SHARE: Final = 0.5
"""Of the expressions; the others are fleeting."""
LAG: Final = 0.12
"""An action unit is ahead of the others, or behind, by up to so many seconds."""
APPARENT: Final = 0.4
"""Share of its way to the apex from which a face is said to show the expression."""
BLINKS: Final = 17 / 60
"""A second."""
BLINK: Final = 0.3
"""Seconds that a blink takes."""
SWAY: Final = (0.08, math.radians(3), 0.012)
"""Amplitudes: yaw and roll in radians, and the shift as a share of the picture's size."""
LEVEL: Final = (0.5, 0.75)
"""Of the way to the apex, the range in which the middle of a clip lies: what the face shows there is well seen, and
there is as much to come as there was before."""


class Wave(NamedTuple):
    """Two sines: something that goes to and fro and does not repeat soon."""

    amplitude: float
    hertz: tuple[float, float]
    phase: tuple[float, float]

    def at(self, time: Seconds) -> float:
        """Return its value, within plus and minus the amplitude."""
        sines = (math.sin(math.tau * hertz * time + phase) for hertz, phase in zip(self.hertz, self.phase, strict=True))
        return self.amplitude * math.fsum(sines) / 2


@dataclass(frozen=True)
class Episode:
    """One expression: rise, hold, fall."""

    apex: Face
    begin: Seconds
    rise: Seconds
    hold: Seconds
    fall: Seconds

    @property
    def end(self) -> Seconds:
        """When the face is at rest again."""
        return self.begin + self.rise + self.hold + self.fall

    def share(self, time: Seconds) -> float:
        """Return how far the face is on its way to the apex, in [0, 1].

        >>> apex = Face("fear", {}, 0.0, 0.0)
        >>> [round(Episode(apex, 1.0, 0.5, 1.0, 1.0).share(time), 2) for time in (0.5, 1.25, 2.0, 3.0, 4.0)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
        """
        past = time - self.begin
        if past < self.rise:
            return minimum_jerk(past / self.rise)
        return 1 - minimum_jerk((past - self.rise - self.hold) / self.fall)


@dataclass(frozen=True)
class Film:
    """One face over time."""

    rest: Face
    """What it shows between expressions."""
    episodes: tuple[Episode, ...]
    """In their order; none begins before the last one has ended."""
    lags: Mapping[int, Seconds]
    """Of each action unit."""
    blinks: tuple[Seconds, ...]
    """When the eyes are shut."""
    sway: tuple[Wave, Wave, Wave, Wave]
    """Of yaw, roll and the two shifts."""
    scene: Scene
    """At rest."""

    def face(self, time: Seconds) -> Face:
        """Return what the face truly shows: of each AU, and of valence and arousal, a mean of rest and apex."""
        episode = next((each for each in self.episodes if time < each.end + LAG), None)
        if episode is None:
            return self.rest
        share = episode.share(time)

        def between(a: float, b: float, by: float) -> float:
            return a + by * (b - a)

        apex, rest = episode.apex, self.rest
        intensity = {
            au: between(rest.au_intensity[au], apex.au_intensity[au], episode.share(time - self.lags[au]))
            for au in ACTION_UNITS
        }
        return Face(
            expression=apex.expression if share >= APPARENT else rest.expression,
            au_intensity={au: round(value, 2) for au, value in intensity.items()},
            valence=between(rest.valence, apex.valence, share),
            arousal=between(rest.arousal, apex.arousal, share),
        )

    def closed(self, time: Seconds) -> float:
        """Return how far a blink has shut the eyes, in [0, 1]."""
        nearest = min((abs(time - blink) for blink in self.blinks), default=BLINK)
        return minimum_jerk(1 - 2 * nearest / BLINK)

    def taken(self, time: Seconds, frame: int) -> Scene:
        """Return how the picture of a frame is taken: the head sways, and the sensor's noise is another."""
        yaw, roll, right, down = (wave.at(time) for wave in self.sway)
        at_rest = self.scene
        return replace(
            at_rest,
            yaw=at_rest.yaw + yaw,
            roll=at_rest.roll + roll,
            shift=(at_rest.shift[0] + right, at_rest.shift[1] + down),
            noise_seed=(at_rest.noise_seed + frame) % 2**32,
        )


def minimum_jerk(share: float) -> float:
    """Return how far a movement is at this share of its time, both in [0, 1] (Flash & Hogan 1985).

    >>> [round(minimum_jerk(share), 3) for share in (-1.0, 0.25, 0.5, 1.0, 2.0)]
    [0.0, 0.104, 0.5, 1.0, 1.0]
    """
    x = min(max(share, 0.0), 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)


def draw_film(
    rng: Random, seconds: Seconds, expressions: Mapping[str, float], scene: Scene, world: World = DRAWN
) -> Film:
    """Draw a film of this length; `expressions` gives how often each is made, neutral ones apart.

    The first expression may have begun before the film does.
    """
    made = {name: often for name, often in expressions.items() if name != "neutral"}
    episodes: list[Episode] = []
    end = -rng.uniform(0, RISE[1] + HELD[1])
    while end < seconds:
        apex = draw_face(rng, rng.choices(list(made), list(made.values()))[0], world)
        hold = rng.uniform(*(HELD if rng.random() < HELD_SHARE else FLEETING))
        episodes.append(Episode(apex, end + rng.uniform(*REST), rng.uniform(*RISE), hold, rng.uniform(*FALL)))
        end = episodes[-1].end
    return Film(draw_face(rng, "neutral", world), tuple(episodes), *_beside(rng, -1.0, seconds + 1.0), scene)


class Clip(NamedTuple):
    """A few frames around one picture, and how the face moves there."""

    film: Film
    times: tuple[Seconds, ...]
    """Of the frames, in the order in which they are shown; 0 is the picture's."""


def draw_clip(
    rng: Random, movement: Movement, frames: int, rate: float, expression: str, scene: Scene, world: World = DRAWN
) -> Clip:
    """Draw a clip of `frames` pictures, `rate` a second; by the same `rng` all movements have the same middle.

    At time 0 the face is on some part of the way to the apex. In an onset it comes from rest and goes on to the apex;
    an offset is the same frames the other way round, so that their order alone tells one from the other; a held
    expression stays as it is, and a fleeting one comes from rest and returns to it.
    """
    half = (frames - 1) / 2 / rate
    apex, rest, level = draw_face(rng, expression, world), draw_face(rng, "neutral", world), rng.uniform(*LEVEL)
    lags, blinks, sway = _beside(rng, -half, half)
    together = dict.fromkeys(lags, 0.0)  # so that the middle is the same, whatever the movement
    film = Film(rest, (_at_level(apex, rest, level, half, movement),), together, blinks, sway, scene)
    times = tuple((place - (frames - 1) / 2) / rate for place in range(frames))
    return Clip(film, times[::-1] if movement == "offset" else times)


def _at_level(apex: Face, rest: Face, level: float, half: Seconds, movement: Movement) -> Episode:
    """Return the episode that is at `level` of its way at time 0."""
    if movement in ("onset", "offset"):
        # The share of its time at which a movement has come so far, by bisection: it grows.
        low, high = 0.0, 1.0
        for _ in range(50):
            mean = (low + high) / 2
            low, high = (mean, high) if minimum_jerk(mean) < level else (low, mean)
        rise = 2 * half
        return Episode(apex, -low * rise, rise, 4 * half, half)

    def between(a: float, b: float) -> float:
        return a + level * (b - a)

    lower = Face(
        apex.expression if level >= APPARENT else rest.expression,
        {au: between(rest.au_intensity[au], apex.au_intensity[au]) for au in ACTION_UNITS},
        between(rest.valence, apex.valence),
        between(rest.arousal, apex.arousal),
    )
    if movement == "held":
        return Episode(lower, -4 * half, half, 8 * half, half)
    return Episode(lower, -half, half, 0.0, half)


def _beside(
    rng: Random, begin: Seconds, end: Seconds
) -> tuple[dict[int, Seconds], tuple[Seconds, ...], tuple[Wave, Wave, Wave, Wave]]:
    """Return what has nothing to do with the expression: lags, blinks and sway."""
    lags = {au: rng.uniform(-LAG, LAG) for au in ACTION_UNITS}
    blinks, time = [], begin
    while (time := time + BLINK + rng.expovariate(BLINKS)) < end:
        blinks.append(time)
    yaw, roll, shift = SWAY

    def wave(amplitude: float) -> Wave:
        return Wave(
            amplitude * rng.uniform(0.3, 1.0),
            (rng.uniform(0.05, 0.2), rng.uniform(0.2, 0.5)),
            (rng.uniform(0, math.tau), rng.uniform(0, math.tau)),
        )

    return lags, tuple(blinks), (wave(yaw), wave(roll), wave(shift), wave(shift))

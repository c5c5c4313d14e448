"""The estimate of what a generation would cost: the generator runs with made-up annotators (`seke.core.dry_run`)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from seke.core import dry_run as estimates
from seke.core.dry_run import Estimate, MadeUp, counted, sampled, table
from seke.core.records import ImageRecord
from seke.core.vlm import Recording, layers
from seke.generation.emovit.captioners import through
from seke.generation.outcome import Adaptive, Face, Generator, planned

Opened = Callable[[ImageRecord], Face | None]


class Played(NamedTuple):
    """What a generator would ask each of its made-up annotators."""

    whole: list[Estimate]
    pilot: list[Estimate]
    """Of these, before the first record."""


def play(generator: Generator, made_up: Sequence[MadeUp], records: Sequence[ImageRecord], opened: Opened) -> Played:
    """Return what `generator` would ask each of `made_up`: the pilot whole, the records from a sample of them.

    What a pilot says of a made-up annotator is nothing: it is supposed to be worth asking.
    """
    with TemporaryDirectory() as folder:
        generator.learn(records, opened, Path(folder))
    if isinstance(generator, Adaptive):
        generator.suppose_asked(any(each.worst for each in made_up))
    pilots = [counted(each) for each in made_up]
    played = [records[place] for place in sampled([record.id for record in records])]
    faces = [face for record in played if (face := opened(record)) is not None]
    for _ in generator.generate(faces):
        pass
    share = len(records) / max(len(played), 1)
    whole = [
        Estimate(*(before + (after - before) * share for before, after in zip(pilot, counted(each), strict=True)))
        for pilot, each in zip(pilots, made_up, strict=True)
    ]
    return Played(whole, pilots)


def estimate(
    generator: Generator, made_up: Sequence[MadeUp], records: Sequence[ImageRecord], opened: Opened
) -> list[Estimate]:
    """Return what `generator` would ask each of `made_up` (`play`)."""
    return play(generator, made_up, records, opened).whole


def dry_run(
    generator: Callable[..., Generator],
    records: Sequence[ImageRecord],
    opened: Opened,
    annotator: object,
    fallback: object = None,
    second: object = None,
) -> str:
    """Return what annotating `records` would cost; nobody is asked.

    Args:
        generator: makes one that asks the given annotator, and the one given as `second` if there is to be one.
        records: what is to be annotated.
        opened: gives a record's face, None where its image cannot be read.
        annotator: the backend that would be asked; only its model and its prices are looked at.
        fallback: a second one, which would be asked about what the first declines: nothing is expected of it, and at
            worst everything.
        second: another annotator of stopping=value: the pilot asks it, too, and at worst all records do.
    """

    def two(of: MadeUp, other: MadeUp) -> Generator:
        return generator(of) if second is None else generator(of, second=other)

    entries, found, captioner = planned(two(MadeUp(), MadeUp()), records), list[Played](), None
    kept = any(isinstance(layer, Recording) and layer.ledger is not None for layer in layers(annotator))
    for worst in (False, True):
        asked = [MadeUp(worst, kept), MadeUp(worst), MadeUp(worst, kept)]
        made = two(asked[0], asked[2])
        captioner = through(made, lambda _, writer=asked[1]: writer) or captioner  # type: ignore[misc]
        found.append(play(made, asked, entries, opened))
    (expected, captions, others), (worst_case, worst_captions, worst_others) = (each.whole for each in found)
    parts = [estimates.asked("annotator", annotator, expected, worst_case)]
    if second is not None:
        parts.append(estimates.asked("second annotator, the pilot and at worst all", second, others, worst_others))
    if captioner is not None:
        parts.append(estimates.asked("captioner", captioner, captions, worst_captions))
    if fallback is not None:
        parts.append(estimates.asked("fallback, at worst asked about all", fallback, Estimate(), worst_case))
    return table(len(entries), parts) + _of_the_pilot(found[0].pilot[0]) + (_OF_TWO if second is not None else "")


_OF_TWO = (
    "\nwhom the records ask is decided after both pilots: their draws cost what stopping.usd says, on average; "
    "budget.usd is the limit that holds"
)


def _of_the_pilot(asked: Estimate) -> str:
    """Return the line that says what is asked before the first record; none where nothing is."""
    if not asked.requests:
        return ""
    return (
        f"\nthe pilot is {asked.requests:,.0f} of these requests and {asked.input_tokens:,.0f} of the input tokens; "
        "where labels are known it may ask with and without them\nwhere it finds that the annotator adds nothing to "
        "known labels, the records' own requests fall away; at worst each needs two prompts"
    )

"""Captioners: captions by the annotator itself, by a captioning model of its own, or from a file.

A caption is asked for in free text: `Request.schema` is None, which no other request of these generators has.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from seke.core.errors import UserError
from seke.core.records import read_jsonl
from seke.core.vlm import VLM, Choice, Message, Reply, Request
from seke.generation.outcome import Face
from seke.generation.seke.sampling import Bill, Dialogue, insist
from seke.generation.seke.schema import Unusable


class Captioner(Protocol):
    """Anything that gives captions."""

    vlm: VLM | None
    """Who is asked; None: the annotator that is asked for everything else, too."""

    def caption(self, face: Face, question: str, seed: int, bill: Bill) -> Dialogue[str]:
        """Describe one picture in a sentence or two.

        Raises:
            Unusable: if there is no caption.
        """
        ...


class Asked:
    """Asks a vision LLM: the annotator, or `vlm`. One greedy answer; a refusal is asked for again."""

    def __init__(self, vlm: VLM | None = None, max_tokens: int = 96, temperature: float = 0.0) -> None:
        if max_tokens < 1:
            raise UserError("captioner.max_tokens", max_tokens, "no room for a caption", "set for example 96")
        self.vlm, self.max_tokens, self.temperature = vlm, max_tokens, temperature

    def caption(self, face: Face, question: str, seed: int, bill: Bill) -> Dialogue[str]:
        """Ask for the caption."""

        def ask(n: int, draw: int, again: bool) -> Request:
            message = Message("user", (question, face.image))
            return Request((message,), None, self.temperature, n, self.max_tokens, seed, draw)

        return insist(ask, _caption, bill)


class Caption(BaseModel):
    """One row of a file of captions."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: str
    """A record's."""
    caption: str


class Given:
    """Takes captions from a JSON Lines file of {"id", "caption"}, else from the record's `attributes.caption`."""

    vlm: VLM | None = None

    def __init__(self, file: str | None = None) -> None:
        if file is not None and not Path(file).is_file():
            raise UserError(
                "captioner.file", file, "no such file", "give a .jsonl file with id and caption in each row"
            )
        self.file = file

    def caption(self, face: Face, question: str, seed: int, bill: Bill) -> Dialogue[str]:
        """Look the caption up; nobody is asked."""
        yield from ()
        # An entry of a plan is called after its record and its kind.
        names = (face.record.id, face.record.id.rpartition("/")[0])
        listed = next((self._captions[name] for name in names if name in self._captions), None)
        caption = listed or face.record.attributes.get("caption")
        if not isinstance(caption, str) or not caption.strip():
            raise Unusable("no caption", "neither captioner.file nor attributes.caption has one")
        return " ".join(caption.split())

    @cached_property
    def _captions(self) -> dict[str, str]:
        rows = read_jsonl(self.file, Caption) if self.file is not None else ()
        return {row.id: row.caption for row in rows}


@runtime_checkable
class Captioned(Protocol):
    """A generator that has pictures described first."""

    captioner: Captioner


def through(generator: object, wrap: Callable[[VLM], VLM]) -> VLM | None:
    """Wrap the model that writes a generator's captions, if it has one for these alone; return what was wrapped.

    So whoever meters or replaces the generator's annotator does not overlook the second one that it pays.
    """
    if not isinstance(generator, Captioned) or (vlm := generator.captioner.vlm) is None:
        return None
    generator.captioner.vlm = wrap(vlm)
    return vlm


class CaptionRouter:
    """A `VLM` of two: `captions` writes the captions, `vlm` answers everything else.

    Two entries about one picture ask for the same caption, and in the same round: it is paid for once.
    """

    def __init__(self, vlm: VLM, captions: VLM | None) -> None:
        self.vlm, self.captions = vlm, captions

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply), captions first."""
        captions: dict[str, list[int]] = {}
        wanted, others = list[Request](), list[tuple[int, Request]]()
        for index, request in enumerate(requests):
            if request.schema is not None:
                others.append((index, request))
            elif request.key in captions:
                captions[request.key].append(index)
            else:
                captions[request.key] = [index]
                wanted.append(request)
        yield from self._captioned(wanted, captions)
        for place, reply in self.vlm.reply([request for _, request in others]) if others else ():
            yield others[place][0], reply

    def _captioned(self, wanted: Sequence[Request], places: dict[str, list[int]]) -> Iterator[tuple[int, Reply]]:
        for number, reply in (self.captions or self.vlm).reply(wanted) if wanted else ():
            yield from ((index, reply) for index in places[wanted[number].key])


def _caption(choice: Choice) -> str:
    if choice.status != "ok":
        raise Unusable(choice.status, choice.text[:200])
    if not choice.text.strip():
        raise Unusable("incomplete", "an empty caption")
    return " ".join(choice.text.split())

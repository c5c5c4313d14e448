"""EmoVIT: instructions about the emotion that a scene evokes, of three kinds (Xie et al., CVPR 2024; facts 2.1).

The emotion is what the settings say: `attribute` may be any attribute of the records that has classes, such as the type
of scene, and `classes` are its own.

    records -> plan: per class so many entries of each kind -> [ caption -> instruction ] -> instructions, rejections

    categorical      which of the classes is it?            the class of the record, no call (unless `ask_class`)
    conversation     three to five questions and answers    one call, about a caption and the scene's attributes
    reasoning        one question that asks for reasons      one call, with examples in its context

Where the authors have a model write prose and cut it up by regular expressions, answers here are JSON by a schema.

How a backend tells the requests apart, by what it must send back:

    caption          `schema` is None; one user message: the template `caption`, then the picture
    class            `schema["properties"]` is {attribute}, one of the classes; the first wording of `categorical`,
                     then the picture. Only with `ask_class`
    conversation     `schema["properties"]` is {"conversation"}: a list of {"question", "answer"}
    reasoning        `schema["properties"]` is {"question", "answer"}

The last two have a system message (template `conversation` or `reasoning`) and a user message, template `scene`: the
caption between <caption> tags and, between <attributes> tags, one line each of the class, `emotion: awe`, and of
`brightness: 0.4`, `colorfulness: 0.61`, `scene_type: beach`, `object: Tree, Lake`, `facial_expression: happy`,
`human_action: running`, as far as wanted (`tell`) and known (`scene_attributes`). It ends with the picture where
`show_image` is on.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final, NamedTuple

from seke.core.errors import UserError
from seke.core.prompts import SLOT, Prompts
from seke.core.records import ImageRecord, InstructionRecord, Labels, Origins, Rejection, Turn, Uncertainty
from seke.core.vlm import VLM, Choice, Message, Request
from seke.generation.emovit.captioners import Captioner, CaptionRouter
from seke.generation.emovit.checks import Said, categorical_flags, text_flags
from seke.generation.emovit.plan import KINDS, Wanted, allotted
from seke.generation.emovit.scene_attributes import SCENE, TOLD, lines, told
from seke.generation.outcome import Face, Outcome
from seke.generation.seke.rows import instruction, trace
from seke.generation.seke.sampling import Bill, Dialogue, in_rounds, insist
from seke.generation.seke.schema import Unusable, closed_object, read_object
from seke.generation.statistics import CLASS, KIND, OF

log = logging.getLogger(__name__)

SLOTS: Final = {
    "caption": set[str](),
    "scene": {"caption", "attributes"},
    "conversation": {"fewest", "most"},
    "reasoning": {"examples"},
    "reasoning_example": set[str](),
    "again": set[str](),
    "categorical": {"classes"},
    "categorical_answer": {"class"},
}
ATTRIBUTE: Final = "attribute"
"""A slot that every template may have: what its class is a class of, in words, such as "scene type"."""
EARLIER_SLOTS: Final = {"classes": "emotions", "class": "emotion"}
"""What templates about emotions may call a slot, as all did once."""
NOBODY: Final = "no model"
"""The annotator of an instruction that took no call."""
PAIR: Final = closed_object({"question": {"type": "string"}, "answer": {"type": "string"}})
CONVERSATION: Final = closed_object({"conversation": {"type": "array", "items": PAIR}})
SCHEMAS: Final = {"conversation": CONVERSATION, "reasoning": PAIR}


class Made(NamedTuple):
    """One instruction before it is a row."""

    said: Sequence[Said]
    of_class: str
    """What it says that the picture is."""
    told: Mapping[str, Any]
    """What the model that wrote it was told, beside the class."""
    flags: Sequence[str]


class Emovit:
    """The generator. `plan` says what is made of which picture, `generate` makes it.

    Args:
        vlm: writes conversations and reasoning, and captions if `captioner` says so.
        prompts: see `SLOTS`.
        captioner: who describes a picture first.
        classes: of `attribute`, each with the beginnings of the words that name it.
        counts: pictures of every class for each kind; None is all that the other kinds leave.
        counts_of: what of that is different for a class.
        pairs: how few and how many questions a conversation may have.
        attribute: of the records, which has one of `classes`. Records that lack it are left out, and their number said.
        ask_class: whether the annotator is asked for the class (one more call a picture) and believed, as where nobody
            has annotated it. The records' own then only say which pictures are drawn; where the two differ the row has
            the flag `class_differs`.
        tell: the attributes that the model is told beside the class, as far as known.
        scene_type: false takes the type of scene out of these, as the authors' script does.
        show_image: whether it is shown the picture, too.

    Raises:
        UserError: for a setting out of range, or prompts that lack a slot.
    """

    spare: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        vlm: VLM,
        prompts: Prompts,
        captioner: Captioner,
        classes: Mapping[str, Sequence[str]],
        counts: Mapping[str, int | None],
        counts_of: Mapping[str, Mapping[str, int | None]] | None = None,
        attribute: str = CLASS,
        ask_class: bool = False,
        pairs: tuple[int, int] = (3, 5),
        tell: Sequence[str] = TOLD,
        scene_type: bool = True,
        show_image: bool = False,
        temperature: float = 1.0,
        max_tokens: int = 1024,
        seed: int = 0,
    ) -> None:
        prompts.require(**_slots(prompts))
        if not 0 <= temperature <= 2:
            raise UserError("generator.temperature", temperature, "out of range", "set a number from 0 to 2")
        if len(pairs) != 2 or not 1 <= pairs[0] <= pairs[1]:
            raise UserError("generator.pairs", pairs, "not a number and one no smaller", "set for example [3,5]")
        self.wanted = _wanted(classes, counts, counts_of or {})
        if not attribute.strip() or attribute in (KIND, OF):
            raise UserError("generator.attribute", attribute, "names no attribute", "set one of the records' own")
        if attribute in tell:
            problem, remedy = "the model is told the class anyway", f"take {attribute} out of it"
            raise UserError("generator.tell", list(tell), problem, remedy)
        self.vlm, self.prompts, self.captioner, self.classes = vlm, prompts, captioner, classes
        self.attribute, self.ask_class = attribute, ask_class
        self.tell = tuple(name for name in tell if scene_type or name != SCENE)
        self.pairs, self.show_image = (pairs[0], pairs[1]), show_image
        self.temperature, self.max_tokens, self.seed = temperature, max_tokens, seed
        variants = range(prompts.variants("reasoning_example"))
        examples = "\n\n".join(self._words("reasoning_example", variant) for variant in variants)
        self._system = {
            "conversation": self._words("conversation", fewest=str(pairs[0]), most=str(pairs[1])),
            "reasoning": self._words("reasoning", examples=examples),
        }
        self._makers: Mapping[str, Callable[[Face, Bill], Dialogue[Made]]] = {
            "categorical": self._classify,
            "conversation": self._converse,
            "reasoning": self._reason,
        }

    def plan(self, records: Sequence[ImageRecord]) -> list[ImageRecord]:
        """Return one entry per instruction: by kind, by class, by id. The records' order changes nothing.

        Raises:
            UserError: if a record's class is none of the classes, no record has one, or nothing is left to do.
        """
        pictures: dict[str, dict[str, ImageRecord]] = {name: {} for name in self.classes}
        unknown = 0
        for record in records:
            of_class = record.attributes.get(self.attribute)
            if of_class is None:
                unknown += 1
                continue
            if of_class not in pictures:
                remedy = f"use scenes with one of {', '.join(pictures)}, as source=emoset gives them"
                raise UserError("records", record.id, f"its attributes.{self.attribute} is {of_class!r}", remedy)
            pictures[of_class][record.id] = record
        if unknown == len(records):
            problem = f"none of {unknown} records has attributes.{self.attribute}"
            raise UserError("generator.attribute", self.attribute, problem, "use records that were annotated with it")
        if unknown:
            log.warning("left out: %d of %d records have no attributes.%s", unknown, len(records), self.attribute)
        drawn = {of_class: allotted(of, self.wanted[of_class], self.seed) for of_class, of in pictures.items()}
        self._warn_of_shortage(drawn)
        entries = [
            self._entry(pictures[of_class][name], kind)
            for kind in KINDS
            for of_class in pictures
            for name in sorted(drawn[of_class][kind])
        ]
        if not entries:
            raise UserError("generator.counts", 0, "no instruction is wanted of these records", "ask for some")
        return entries

    def learn(self, records: Sequence[ImageRecord], opened: Callable[[ImageRecord], Face | None], folder: Path) -> None:
        """Learn nothing: there is nothing here that a pilot could tell."""

    def generate(self, faces: Sequence[Face]) -> Iterator[Outcome]:
        """Yield one outcome per entry, in order; all their requests share the rounds."""
        yield from in_rounds([self.instruct(face) for face in faces], CaptionRouter(self.vlm, self.captioner.vlm))

    def instruct(self, face: Face) -> Dialogue[Outcome]:
        """Make one instruction: the caption first, then the text about it; a categorical one takes neither."""
        bill = Bill()
        row: InstructionRecord | Rejection
        try:
            made = yield from self._makers[face.record.attributes[KIND]](face, bill)
            row = self._instruction(face, made, bill)
        except Unusable as unusable:
            row = Rejection(id=face.record.id, reason=unusable.reason, detail=unusable.detail)
        return Outcome(row, trace(face.record.id, Labels(), (), None, bill), bill)

    def _classify(self, face: Face, bill: Bill) -> Dialogue[Made]:
        of_class = yield from self._class(face, bill)
        variant = Random(f"{self.seed}/{face.record.id}/question").randrange(self.prompts.variants("categorical"))
        said = [Said(self._question(variant), self._words("categorical_answer", **{"class": of_class}))]
        return Made(said, of_class, {}, categorical_flags(said, of_class, self.classes))

    def _class(self, face: Face, bill: Bill) -> Dialogue[str]:
        """Return what class the picture is of: its record's, or what the annotator says.

        Raises:
            Unusable: if the annotator names none of the classes.
        """
        if not self.ask_class:
            return str(face.record.attributes[self.attribute])
        schema = closed_object({self.attribute: {"type": "string", "enum": list(self.classes)}})

        def ask(n: int, draw: int, again: bool) -> Request:
            message = Message("user", (self._question(0), face.image))
            return Request((message,), schema, 0.0, n, self.max_tokens, self.seed, draw)

        return (yield from insist(ask, self._read_class, bill))

    def _read_class(self, choice: Choice) -> str:
        said = read_object(choice).get(self.attribute)
        if said not in self.classes:
            raise Unusable("invalid", f"no class: {choice.text[:200]}")
        return str(said)

    def _question(self, variant: int) -> str:
        return self._words("categorical", variant, classes=_listed(list(self.classes)))

    def _words(self, template: str, variant: int = 0, /, **values: str) -> str:
        earlier = {EARLIER_SLOTS[slot]: value for slot, value in values.items() if slot in EARLIER_SLOTS}
        attribute = {ATTRIBUTE: self.attribute.replace("_", " ")}
        return self.prompts.render(template, variant, **values, **earlier, **attribute)

    def _converse(self, face: Face, bill: Bill) -> Dialogue[Made]:
        return (yield from self._write("conversation", face, bill, read_conversation, self.pairs))

    def _reason(self, face: Face, bill: Bill) -> Dialogue[Made]:
        return (yield from self._write("reasoning", face, bill, read_reasoning, (1, 1)))

    def _write(
        self, kind: str, face: Face, bill: Bill, read: Callable[[Choice], Sequence[Said]], pairs: tuple[int, int]
    ) -> Dialogue[Made]:
        of_class = yield from self._class(face, bill)
        caption = yield from self.captioner.caption(face, self._words("caption"), self.seed, bill)
        facts = told(face.record.attributes, face.image.read, self.tell)
        text = self._words("scene", caption=caption, attributes=lines({self.attribute: of_class, **facts}))

        def ask(n: int, draw: int, again: bool) -> Request:
            words = (text, self._words("again")) if again else (text,)
            parts = (*words, face.image) if self.show_image else words
            messages = (Message("system", (self._system[kind],)), Message("user", parts))
            return Request(messages, SCHEMAS[kind], self.temperature, n, self.max_tokens, self.seed, draw)

        said = yield from insist(ask, read, bill)
        flags = text_flags(said, self.attribute, of_class, self.classes, pairs)
        return Made(said, of_class, {**facts, "caption": caption}, flags)

    def _entry(self, record: ImageRecord, kind: str) -> ImageRecord:
        attributes = {KIND: kind, **self._of, **record.attributes}
        return record.model_copy(update={"id": f"{record.id}/{kind}", "attributes": attributes})

    def _instruction(self, face: Face, made: Made, bill: Bill) -> InstructionRecord:
        own = face.record.attributes
        differs = ["class_differs"] if made.of_class != own[self.attribute] else []
        blind = ["blind"] if bill.blind else []
        attributes = {KIND: own[KIND], **self._of, self.attribute: made.of_class, **made.told}
        return instruction(
            face,
            _turns(made.said),
            bill,
            (*made.flags, *differs, *blind),
            labels=Labels(),
            origin=Origins(),
            uncertainty=Uncertainty(),
            samples=0,
            nobody=NOBODY,
            attributes=attributes,
        )

    @property
    def _of(self) -> dict[str, str]:
        """What rows say of the attribute; nothing where it is the emotion."""
        return {} if self.attribute == CLASS else {OF: self.attribute}

    def _warn_of_shortage(self, drawn: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        asked, found = Counter[str](), Counter[str]()
        for of_class, kinds in drawn.items():
            for kind, number in self.wanted[of_class]._asdict().items():
                found[kind] += len(kinds[kind])
                asked[kind] += len(kinds[kind]) if number is None else number
        if short := [f"{found[kind]} of {asked[kind]} {kind}" for kind in KINDS if found[kind] < asked[kind]]:
            log.warning("too few pictures for generator.counts: the kinds share them, %s", ", ".join(short))


def read_conversation(choice: Choice) -> list[Said]:
    """Return the questions and answers of a conversation.

    Raises:
        Unusable: with reason refusal, filtered, truncated, invalid (no JSON of the schema's form) or incomplete
            (nothing said, or an empty question or answer).
    """
    turns = read_object(choice).get("conversation")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise Unusable("invalid", f"no conversation: {choice.text[:200]}")
    if not turns:
        raise Unusable("incomplete", "a conversation without a question")
    return [_pair(turn, choice) for turn in turns]


def read_reasoning(choice: Choice) -> list[Said]:
    """Return the one question and its answer.

    Raises:
        Unusable: as for a conversation.
    """
    return [_pair(read_object(choice), choice)]


def _pair(turn: Mapping[str, Any], choice: Choice) -> Said:
    texts = [turn.get(name) for name in ("question", "answer")]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise Unusable("incomplete", f"no question or no answer: {choice.text[:200]}")
    # A picture's placeholder in the text would be taken for a second picture.
    return Said(*(" ".join(str(text).replace("<image>", "").split()) for text in texts))


def _turns(said: Sequence[Said]) -> list[Turn]:
    turns: list[Turn] = []
    for number, (question, answer) in enumerate(said):
        picture = "" if number else "<image>\n"
        turns += [Turn(speaker="human", value=picture + question), Turn(speaker="gpt", value=answer)]
    return turns


def _slots(prompts: Prompts) -> dict[str, set[str]]:
    """Return the slots of each template: `SLOTS`, by their earlier names and with {attribute} where it has these."""
    taken: dict[str, set[str]] = {}
    for name, slots in SLOTS.items():
        used = {slot for text in prompts.templates.get(name, ()) for slot in SLOT.findall(text)}
        named = {EARLIER_SLOTS[slot] if EARLIER_SLOTS.get(slot) in used else slot for slot in slots}
        taken[name] = named | (used & {ATTRIBUTE})
    return taken


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _wanted(
    classes: Mapping[str, Sequence[str]],
    counts: Mapping[str, int | None],
    counts_of: Mapping[str, Mapping[str, int | None]],
) -> dict[str, Wanted]:
    """Return what is wanted of each class.

    Raises:
        UserError: for an unknown class or kind, or a number that is none.
    """
    if len(classes) < 2:
        raise UserError("generator.classes", list(classes), "fewer than two classes", "name them all")
    if unknown := [name for name in counts_of if name not in classes]:
        raise UserError("generator.counts_of", unknown[0], "no such class", f"use {', '.join(classes)}")
    found = {}
    for of_class in classes:
        numbers = {**counts, **counts_of.get(of_class, {})}
        if set(numbers) != set(KINDS):
            raise UserError("generator.counts", sorted(numbers), "other kinds", f"use {', '.join(KINDS)}")
        for kind, number in numbers.items():
            if number is not None and (type(number) is not int or number < 0):
                raise UserError(
                    f"generator.counts.{kind}", number, "not a number of pictures", "set 0 or more, or null"
                )
        found[of_class] = Wanted(**numbers)
    return found

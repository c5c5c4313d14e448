"""Learning before the first record: a pilot is asked, arms are chosen on it, and stopping rules are fitted to it."""

import copy
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np

from seke.core.files import write_text
from seke.core.label_prior import Couplings, couplings, tabulate
from seke.core.records import ImageRecord, Labels
from seke.generation.asked import fields
from seke.generation.calibration import arms, calibration_file, held_out, pilot
from seke.generation.calibration import smoother as smoothing
from seke.generation.calibration.annotator_model import Annotator, Heard, Masked
from seke.generation.calibration.arms import Arm, Calibration, prompts_of
from seke.generation.calibration.change_rates import videos_of
from seke.generation.calibration.fit import fit
from seke.generation.calibration.informants import Informant
from seke.generation.calibration.patterns import Demand, Pattern, demands
from seke.generation.calibration.smoother import Smoother
from seke.generation.calibration.study import HIDDEN, SHOWN, Links, Settings, Study
from seke.generation.calibration.whom import AGAIN, FIRST, NOBODY_YET, SECOND, Whom
from seke.generation.calibration.whom import fit as fit_whom
from seke.generation.calibration.witnesses import Witness, witnesses_of
from seke.generation.outcome import Face
from seke.generation.seke.by_value import ASKING, ByValue, note, took, usd_of
from seke.generation.seke.sampling import Bill, total
from seke.generation.seke.stopping import StoppingRule
from seke.generation.witnesses import tables

log = logging.getLogger(__name__)

WITNESSES: Final = "witnesses"
"""The flag of a row of which a witness beside the annotator was heard."""


@runtime_checkable
class Learner(Protocol):
    """A stopping rule that is fitted to a pilot before it is used."""

    def learn(self, annotator: Annotator, pilot: Sequence[Masked], couplings: Couplings) -> None:
        """Take from the pilot what the rule needs."""


@dataclass(frozen=True)
class Learnt:
    """What a pilot has taught."""

    calibration: Calibration
    rules: Mapping[tuple[Pattern, str], StoppingRule]
    """The stopping rule of each pattern and prompt, where rules learn."""
    groups: Collection[str]
    """The pilot's subjects."""
    witnessed: Mapping[str, Sequence[Heard]] = field(default_factory=dict)
    """What each witness says of each record, by its id."""
    whom: Whom | None = None
    """Decides between two annotators, where there are two."""
    smoother: Smoother | None = None
    """Lets frames of a video inform each other, where that is wanted."""

    def heard(self, record: str, arms_of: Mapping[str, Arm]) -> tuple[str, ...]:
        """Return the names of the witnesses that say anything of a record and that any of these arms hears."""
        named = zip(self.calibration.witnesses, self.witnessed.get(record, ()), strict=False)
        return tuple(
            witness.name
            for number, (witness, said) in enumerate(named)
            if any(arm.powers[number] for arm in arms_of.values())
            and (said.votes_NE.any() or said.active_NA.any() or np.isfinite(said.sd_ND).any())
        )

    def supposing_asked(self, draws: int, twice: bool) -> "Learnt":
        """Return the same if the annotator were worth asking everywhere, as estimates suppose (`arms.looking`)."""
        return replace(self, calibration=arms.looking(self.calibration, draws, twice))


Ask = Callable[[Sequence[pilot.Question], list[Bill]], Sequence[tuple[Labels, ...]]]
"""Asks for all draws that a record may ever get; bills are added to its list."""


class Second(NamedTuple):
    """A second annotator, asked where that is worth its price."""

    rule: ByValue
    ask: Ask
    price: Mapping[str, tuple[float, float]]
    """USD per token of input and output, of each annotator."""


def learn(
    records: Sequence[ImageRecord],
    opened: Callable[[ImageRecord], Face | None],
    ask: Ask | None,
    folder: Path,
    *,
    size: int,
    seed: int,
    hide: Sequence[str],
    draws: int,
    show: bool,
    choose: bool,
    rule: Learner | None,
    witnesses: Sequence[tables.Entry] = (),
    second: Second | None = None,
    reuse: Path | None = None,
    every: int | None = None,
) -> Learnt:
    """Ask a pilot, or read the one in `folder`; write calibration.json there and say what the user should know.

    Args:
        records: those to annotate.
        opened: gives a record's face, None where its image cannot be read.
        ask: asks the annotator. None: nobody is asked about anything, and witnesses alone are heard.
        folder: the run's.
        size: of the pilot.
        seed: of the pilot's choice.
        hide: descriptions that are hidden of the records.
        draws: the most that a record may get.
        show: whether what is known is shown and used at all (`generator.use_prior`).
        choose: whether arms are chosen: prompts, numbers of draws, whether anybody is asked. Else all draws are
            taken, with known labels shown.
        rule: a stopping rule that learns.
        witnesses: tables of what others say about the records.
        second: another annotator, which the pilot asks, too.
        reuse: the calibration.json of a run whose draws are heard again; nobody is asked anything beside them.
        every: of how many frames of a video one is to be asked about, where labels are smoothed over time; None: they
            are not.

    Raises:
        UserError: if too few records carry human labels, or if a witness speaks of none of the records.
    """
    found_of = [tables.matched(entry, records) for entry in witnesses]
    tasks = pilot.pick(records, size, seed, hide, together=every is not None)
    both = {FIRST: ask, **({SECOND: second.ask} if second is not None else {})}
    if ask is None:
        rows = pilot.unasked(tasks)
    else:
        pilots = [_asked(tasks, opened, each, who, folder, show, choose, second) for who, each in both.items() if each]
        rows = pilots[0]
    # The pilot of an earlier version, which was not asked pattern by pattern, is read as that version did.
    earlier = any(row.pattern is None for row in rows)
    groups = {pilot.group(task.record) for task in tasks}
    if earlier or not {row.subject for row in rows} <= groups:  # an update keeps the pilot of other records
        groups = {row.subject for row in rows}
    unseen = fields(hide)
    demand = demands(record.labels.model_copy(update=dict.fromkeys(unseen)) for record in records)
    # The pilot's own labels teach, too: its subjects are never scored, and with `hide` nobody else shows them.
    own = [record for record in records if pilot.group(record) in groups]
    links = links_of(own, pilot.others(records, groups, hide))
    heard = witnesses_of(found_of, records, _teachable(records, groups, hide)) if found_of and not earlier else []
    for line in (remark for witness in heard for remark in witness.remarks()):
        log.warning(line)
    heard = [witness for witness in heard if not witness.mute]
    smoother = None
    if earlier:
        found = arms.single(fit(rows, links(())), demand, draws)
    elif second is not None:
        whom = _whom(pilots, demand, links, heard, folder, draws, show, seed, second)
        return Learnt(whom.calibrations[NOBODY_YET], {}, groups, _witnessed(heard, records), whom)
    else:
        numbers = [n for n in (1, 3) if n < draws] if choose else []
        prompts = () if ask is None else (SHOWN, HIDDEN) if choose and show else (SHOWN,)
        paid = calibration_file.draws_in(reuse) if reuse is not None else None
        settings = Settings([*numbers, draws], prompts, may_skip=choose, paid=paid)
        study = Study(arms.answered(rows, prompts), links, settings, heard)
        found = arms.chosen(study, demand, heard)
        write_text(folder / calibration_file.FILE, calibration_file.content(found))
        for remark in calibration_file.remarks(found):
            log.warning(remark)
        if every is not None:
            found, smoother = _smoother(study, found, records, _teachable(records, groups, hide), every)
            write_text(folder / smoothing.FILE, smoother.facts())
            for remark in smoother.remarks():
                log.warning(remark)
    rules = _rules(rule, found, rows, links(())) if rule is not None else {}
    return Learnt(found, rules, groups, _witnessed(heard, records), smoother=smoother)


def _smoother(
    study: Study, found: Calibration, records: Sequence[ImageRecord], labels: Mapping[str, Labels], every: int
) -> tuple[Calibration, Smoother]:
    """Return the smoother of the records' videos, and the calibration with thresholds for smoothed AUs."""
    videos = videos_of(records)
    untimed = sum(record.clip is not None for record in records) - sum(len(video.ids) for video in videos)
    asked, unasked = held_out.beliefs_of(study, found)
    smoother, active_NA = smoothing.fit(study, asked, unasked, videos, labels, study.links(()), every, untimed)
    return replace(found, thresholds=arms.thresholds_of(study, active_NA, found.demand)), smoother


def _asked(
    tasks: Sequence[pilot.Task],
    opened: Callable[[ImageRecord], Face | None],
    ask: Ask,
    who: str,
    folder: Path,
    show: bool,
    twice: bool,
    second: Second | None,
) -> list[Masked]:
    """Return an annotator's answers about the pilot; note what they took, and what a question took on average."""
    file, cost = (pilot.FILE, pilot.COST) if who == FIRST else (pilot.SECOND_FILE, pilot.SECOND_COST)

    def noted(questions: Sequence[pilot.Question]) -> Sequence[tuple[Labels, ...]]:
        bills: list[Bill] = []
        found = ask(questions, bills)
        # Before the answers are kept: where these are there, nobody is asked again.
        write_text(folder / cost, json.dumps(total(bills), indent=2) + "\n")
        if second is not None:
            write_text(folder / ASKING[who], json.dumps(took(questions, bills, second.price[who]), indent=2) + "\n")
        return found

    return pilot.asked(tasks, opened, noted, folder, show, twice, file)


def _whom(
    pilots: Sequence[Sequence[Masked]],
    demand: Mapping[Pattern, Demand],
    links: Links,
    heard: Sequence[Witness],
    folder: Path,
    draws: int,
    show: bool,
    seed: int,
    second: Second,
) -> Whom:
    """Fit whom to ask about whom to both annotators' answers about the pilot; say and write what was found."""
    rows = [*_both(*pilots)]
    prompts = (SHOWN, HIDDEN) if show else (SHOWN,)
    informants = {}
    for who, own in zip((FIRST, SECOND), zip(*rows, strict=True), strict=True):
        alone = arms.choose(own, demand, links, Settings([draws], prompts, may_skip=False), heard)
        write_text(folder / f"{who}_{calibration_file.FILE}", calibration_file.content(alone))
        informants[who] = Informant(who, own, alone.arms, links, draws)
    informants[AGAIN] = informants[FIRST]
    informants[FIRST] = replace(informants[FIRST], draws=min(second.rule.stages[0], draws))
    asking = {who: json.loads((folder / ASKING[who]).read_text(encoding="utf-8")) for who in (FIRST, SECOND)}
    usd = usd_of(asking, informants, demand, draws)
    first, other = zip(*rows, strict=True)
    budget = second.rule.budget(demand, usd)
    whom = fit_whom(
        first, other, informants, demand, links, usd, budget, second.rule.rule, seed, heard, second.rule.weights
    )
    note(folder, whom)
    for remark in whom.remarks:
        log.warning(remark)
    return whom


def _both(first: Sequence[Masked], second: Sequence[Masked]) -> Iterable[tuple[Masked, Masked]]:
    """Yield the pilot's rows that both annotators have answered, by whatever prompt it takes."""

    def key(row: Masked) -> tuple[str, str | None, str]:
        return row.id, row.pattern, row.truth.model_dump_json()

    def whole(row: Masked) -> bool:
        return bool(row.draws) and (row.known.empty or bool(row.hidden_draws))

    others = {key(row): row for row in second if whole(row)}
    return ((row, others[key(row)]) for row in first if whole(row) and key(row) in others)


def _teachable(records: Sequence[ImageRecord], groups: Collection[str], hide: Sequence[str]) -> dict[str, Labels]:
    """Return the human labels that may teach what answers mean: the pilot's, and what is not hidden of others'."""
    unseen = dict.fromkeys(fields(hide))
    return {
        record.id: record.labels if pilot.group(record) in groups else record.labels.model_copy(update=unseen)
        for record in records
    }


def _witnessed(witnesses: Sequence[Witness], records: Sequence[ImageRecord]) -> dict[str, Sequence[Heard]]:
    """Return what each witness says of each record, a row each, by channels that all labels have taught."""
    ids = [record.id for record in records]
    heard = [witness.heard(ids) for witness in witnesses]
    return (
        {name: [Heard(*(column[row : row + 1] for column in each)) for each in heard] for row, name in enumerate(ids)}
        if heard
        else {}
    )


def links_of(own: Sequence[ImageRecord], others: Iterable[Labels]) -> Links:
    """Return what gives the couplings of all labels that may teach, but those of some of the pilot's subjects."""
    table = tabulate([*(record.labels for record in own), *others])
    groups = [pilot.group(record) for record in own]

    def links(without: Collection[str]) -> Couplings:
        kept_N = np.ones(len(table.va_ND), dtype=bool)
        kept_N[: len(groups)] = [group not in without for group in groups]
        return couplings(table.where(kept_N))

    return links


def _rules(
    learner: Learner, calibration: Calibration, rows: Sequence[Masked], links: Couplings
) -> dict[tuple[Pattern, str], StoppingRule]:
    """Fit a stopping rule for each pattern and prompt: a copy each, since what it learns it keeps."""
    rules = {}
    for pattern, chosen in calibration.arms.items():
        for prompt in prompts_of(chosen):
            annotator = next(arm.annotator for arm in chosen.values() if arm.option.prompt == prompt)
            rule: Any = copy.deepcopy(learner)
            rule.learn(annotator, arms.taught(rows, pattern, prompt), links)
            rules[pattern, prompt] = rule
    return rules

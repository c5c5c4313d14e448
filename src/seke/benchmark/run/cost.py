"""Cost of an evaluation: a model's answers, and the judges that are models themselves, under one budget.

backend, judge -> Spending.metered -> the same, counted and held by the budget -> cost.json
-> dry_run       -> what all of it would cost; nobody is asked
"""

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import Judging, ready
from seke.benchmark.protocol import Benchmark, Pays, Wrap, predicted, question
from seke.benchmark.run import label_tables, labelling, predict
from seke.benchmark.run.labelling import Unlabelled
from seke.benchmark.run.plan import Task
from seke.core import dry_run as estimates
from seke.core import runs
from seke.core.budget import Budget, Metered, Spent
from seke.core.dry_run import Estimate, MadeUp, counted, sampled, table
from seke.core.files import write_text
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import VLM, Remarking

ANSWERS: Final = "answers"
"""The role of the model under test."""
COST: Final = "cost.json"


def replace_backends(parts: Sequence[Any], wrap: Wrap) -> None:
    """Replace every backend that the parts of an evaluation ask."""
    for part in parts:
        if isinstance(part, Pays):
            part.through(wrap)


class Spending:
    """The budget of one command, and what it pays each model.

    Args:
        budget: of the command; each of several ranks has its share.
        process: which of the ranks this is.
    """

    def __init__(self, budget: Budget, process: predict.Process = predict.Process()) -> None:  # noqa: B008  (immutable)
        self.budget = budget if process.ranks == 1 else budget.share(Spent(), process.ranks)
        self.spent, self.meters, self.process = Spent(), dict[str, Metered](), process

    def metered(self, role: str, vlm: VLM, kept: bool = True) -> Metered:
        """Return a meter around a backend; `kept`: every reply is kept as it comes, whether or not in a ledger."""
        self.meters[role] = Metered(vlm, self.budget, self.spent, kept)
        return self.meters[role]

    def answers(
        self,
        task: Task,
        benchmark: Benchmark,
        judging: Judging,
        backend: VLM | None,
        images_below: str | None,
        run: Path,
    ) -> Mapping[str, Answer] | None:
        """Return the answers, given or asked for now, by record id; from here on all that is asked is metered.

        None to every rank but the first.
        """
        replace_backends((judging, benchmark), self.metered)
        if task.answers is not None:
            return task.answers
        assert backend is not None, "without answers there is somebody to ask"
        root = runs.image_root(task.inputs["records"], images_below)
        return predict.ask_all(
            task.records, self.metered(ANSWERS, backend), question(benchmark), root, run, self.process
        )

    def labels(
        self,
        task: Unlabelled,
        benchmark: Benchmark,
        judging: Judging,
        backend: VLM | None,
        images_below: str | None,
        run: Path,
    ) -> dict[str, Any] | None:
        """Label new pictures, and return facts for the manifest; None to every rank but the first."""
        replace_backends((judging, benchmark), self.metered)
        if isinstance(backend, Remarking):
            task = task._replace(remarks=(*task.remarks, *backend.remarks))
        vlm = None if backend is None else self.metered(ANSWERS, backend, kept=False)
        root = runs.image_root(task.files[0], images_below)
        return labelling.label(task, benchmark, judging, vlm, root, run, self.process)

    @contextmanager
    def recorded(self, run: Path) -> Iterator[None]:
        """Write cost.json at the end, and at a pause, into the run's directory; the first rank does.

        A failure before anything was asked writes nothing, so that the name stays free.
        """
        idle = False
        try:
            yield
        except BaseException:
            idle = not any(self.cost(run)[count] for count in ("requests", "sent", "recalled"))
            raise
        finally:
            if self.process.rank == 0 and not idle:
                write_text(run / COST, json.dumps(self.cost(run), indent=2) + "\n")
                if self.spent.requests or self.spent.recalled:
                    print(f"{run / COST}: this command: {self.spent.line()}")

    def cost(self, run: Path) -> dict[str, Any]:
        """Return the content of cost.json: what the run has cost in all, whenever that was paid, by role.

        The answers' cost is kept beside each of them; a judge's replies come anew, those from its ledger with what they
        cost then.
        """
        of_role = {role: meter.worth for role, meter in self.meters.items() if role != ANSWERS}
        if answered := predict.costs(run) or label_tables.paid(run):
            of_role = {ANSWERS: answered, **of_role}
        total = Spent()
        for spent in of_role.values():
            total.plus(spent)
        return {**total.facts(), "by": {role: spent.facts() for role, spent in of_role.items()}}


def dry_run(
    task: Task | Unlabelled, benchmark: Benchmark, judging: Judging, backend: VLM | None, images_below: str | None
) -> str:
    """Return what an evaluation would cost; nobody is asked, and no name is claimed.

    Args:
        task: the records, and the answers if they are given; or the pictures to label.
        benchmark: whose questions are asked.
        judging: who reads the answers.
        backend: the model under test; None where its answers are given.
        images_below: the folder of the pictures; None: the one that the records' manifest names.
    """
    if isinstance(task, Unlabelled):
        return _dry_run_of_labels(task, benchmark, judging, backend, images_below)
    root = Path() if not task.inputs else runs.image_root(task.inputs["records"], images_below)
    return _estimated(task, benchmark, judging, backend, root)


def _dry_run_of_labels(
    task: Unlabelled, benchmark: Benchmark, judging: Judging, backend: VLM | None, images_below: str | None
) -> str:
    root, sample = runs.image_root(task.files[0], images_below), task.sample(estimates.SAMPLE)

    def rehearsed(worst: bool) -> Mapping[str, Estimate]:
        made: dict[str, MadeUp] = {}

        def stand_in(role: str, _: Any) -> VLM:
            made[role] = MadeUp(worst)
            return made[role]

        replace_backends((judging, benchmark), stand_in)
        with contextlib.redirect_stderr(io.StringIO()):
            vlm = stand_in(ANSWERS, None)
            labelling.labelled(sample, benchmark, judging, vlm, root, task.draws, task.answers)
        return {role: counted(vlm).times(task.total / max(len(sample), 1)) for role, vlm in made.items()}

    return _table(task.total, benchmark, judging, backend, rehearsed)


def dry_run_of_one(path: Path, backend: VLM | None, benchmark: Benchmark, judging: Judging) -> str:
    """Return what asking about one picture would cost.

    Raises:
        UserError: if it cannot be read.
    """
    predict.one_picture(path)
    record = ImageRecord(
        id=path.name, image=path.name, sha256=None, source="image", subject=None, split="test", labels=Labels()
    )
    return _estimated(Task([record], {}, None, {}, ()), benchmark, judging, backend, path.parent)


def _estimated(task: Task, benchmark: Benchmark, judging: Judging, backend: VLM | None, root: Path) -> str:
    return _table(len(task.records), benchmark, judging, backend, partial(_rehearsed, task, benchmark, judging, root))


def _table(
    count: int,
    benchmark: Benchmark,
    judging: Judging,
    backend: VLM | None,
    rehearsed: Callable[[bool], Mapping[str, Estimate]],
) -> str:
    """Return the estimate of what `rehearsed` says, expected and worst, of each model that is asked."""
    payees: dict[str, VLM] = {} if backend is None else {ANSWERS: backend}

    def add_payee(role: str, vlm: VLM) -> VLM:
        payees[role] = vlm
        return vlm

    replace_backends((judging, benchmark), add_payee)
    expected, worst = map(rehearsed, (False, True))
    parts = [
        estimates.asked(role, vlm, expected.get(role, Estimate()), worst.get(role, Estimate()))
        for role, vlm in payees.items()
    ]
    if not parts:
        return f"{count} records; no model is asked: it costs nothing"
    return table(count, parts)


def _rehearsed(task: Task, benchmark: Benchmark, judging: Judging, root: Path, worst: bool) -> Mapping[str, Estimate]:
    """Return by role what made-up models are asked when the evaluation is played through, a sample standing for all."""
    made: dict[str, MadeUp] = {}

    def stand_in(role: str, _: Any) -> VLM:
        made[role] = MadeUp(worst)
        return made[role]

    replace_backends((judging, benchmark), stand_in)
    records = [task.records[place] for place in sampled([record.id for record in task.records])]
    share, read = len(task.records) / max(len(records), 1), 1.0
    answers = task.answers
    with contextlib.redirect_stderr(io.StringIO()):  # bars of what is no progress
        if answers is None:
            read = share
            with TemporaryDirectory() as folder:
                vlm, out = stand_in(ANSWERS, None), Path(folder) / predict.FILE
                answers = predict.ask(records, vlm, question(benchmark), root, out)
        judge = ready(judging, answers)
        before = {role: counted(vlm).times(read) for role, vlm in made.items()}
        apart = {role: counted(vlm) for role, vlm in made.items()}
        pays = isinstance(benchmark, Pays)
        if pays:
            predicted(benchmark, records, answers, judge.read)
    after = {role: counted(vlm) for role, vlm in made.items()}
    return {
        role: Estimate(
            *(
                first + (now - then) * share
                for first, then, now in zip(before[role], apart[role], after[role], strict=True)
            )
        )
        for role in made
    }

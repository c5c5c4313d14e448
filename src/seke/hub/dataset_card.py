"""The card of a dataset: README.md with the YAML front matter that the Hub reads, for instruction data and for exports.

    outputs/generate/<name>/README.md             beside the rows, and
    outputs/<command>/<name>/parquet/README.md    with what an export adds: columns and their types

What is written here stands in data_card.md.jinja, and what model cards say likewise in intended_use.md.jinja. Values
from a run, a model or a user become text, never markup.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple

import jinja2

from seke.core.escape import markdown, visible
from seke.core.provenance import Evaluation, GenerationSummary
from seke.core.records import NOBODY, WITNESS
from seke.core.text_tables import markdown_table
from seke.hub.licences import licence

ANNOTATOR = "annotator"
"""The label under which `Content.provenance` counts models."""
SIMULATED: Final = "simulated"
"""The label under which `Content.provenance` counts those models again that are simulations of one."""
UNKNOWN: Final = "unknown"


class Content(NamedTuple):
    """What a dataset holds, as far as its card tells it."""

    name: str
    title: str
    task: str
    """The Hub's task category."""
    rows: Mapping[str, Counter[str]]
    """How many rows of each source a split has; only splits that have rows."""
    provenance: Counter[tuple[str, str]]
    """How many labels have which origin, by (label, origin), and how many rows are whose, by (ANNOTATOR, model), and by
    (SIMULATED, model) again; empty where every label is its source's own."""
    pictures: str
    """What of the pictures is drawn: "faces", whose `source` then names the dataset that each imitates, "scenes" or
    "nothing"."""
    embedded: bool
    made: Mapping[str, str | None]
    """The command and the commit of the program."""
    generation: GenerationSummary | None = None
    """How a model completed the labels; None where every label is its source's own."""
    files: Mapping[str, str] | None = None
    """The file of each split; None: parquet files below data/."""

    @property
    def sources(self) -> list[str]:
        """Every source that occurs, sorted."""
        return sorted({source for counts in self.rows.values() for source in counts})

    @property
    def drawn(self) -> bool:
        """Whether the pictures are synthetic."""
        return self.pictures != "nothing"

    @property
    def imitated(self) -> list[str]:
        """Which sources drawn faces imitate; empty where the pictures are no imitation."""
        return self.sources if self.pictures == "faces" else []

    @property
    def annotators(self) -> dict[str, int]:
        """How many rows each model wrote."""
        return {who: rows for (what, who), rows in sorted(self.provenance.items()) if what == ANNOTATOR}

    @property
    def inferred(self) -> bool:
        """Whether no row's labels are of an annotator that was asked."""
        return set(self.annotators) == {NOBODY}

    @property
    def witnessed(self) -> bool:
        """Whether nobody was asked, and tables of what other tools say of the pictures were read instead."""
        return bool(self.annotators) and all(who == NOBODY or who.startswith(WITNESS) for who in self.annotators)

    @property
    def origins(self) -> list[tuple[str, str, int]]:
        """How many labels have which origin."""
        of_rows = (ANNOTATOR, SIMULATED)
        return [(*key, number) for key, number in sorted(self.provenance.items()) if key[0] not in of_rows]

    @property
    def subject(self) -> str:
        """The Hub's tag for what is described: faces, or scenes, whose instructions carry no label of a face."""
        return "visual-emotion" if self.annotators and not self.origins else "facial-expression"

    @property
    def simulated(self) -> int:
        """How many rows are of an annotator that is no vision model."""
        return sum(rows for (what, _), rows in self.provenance.items() if what == SIMULATED)

    @property
    def simulated_wholly(self) -> bool:
        """Whether no row is of a vision model."""
        return 0 < self.simulated == sum(self.annotators.values())


def card(content: Content, features: Any = None, meanings: Mapping[str, str] | None = None) -> str:
    """Return the card; `features` are the `datasets.Features` of the columns that `meanings` explains, if there are."""
    splits = list(content.rows)
    counts = [(source, *(content.rows[split][source] for split in splits)) for source in content.sources]
    return rendered(
        "data_card.md.jinja",
        front=_front_matter(content, features),
        content=content,
        splits=splits,
        counts=[*counts, ("all", *(content.rows[split].total() for split in splits))],
        columns=[(name, _kind(features[name]), meaning) for name, meaning in (meanings or {}).items()],
    )


def rendered(template: str, **content: Any) -> str:
    """Return a card from one of the templates beside this file; trailing blank lines are one."""
    return _environment().get_template(template).render(content).rstrip("\n") + "\n"


def as_markdown(value: object, nothing: str = UNKNOWN) -> str:
    r"""Return a value as Markdown text on one line, in which nothing is markup; `nothing` stands for None.

    >>> as_markdown("a | <b>\n*c*") == r"a \| \<b\> \*c\*", as_markdown(None), as_markdown(True)
    (True, 'unknown', 'true')
    >>> as_markdown(0.25), as_markdown(["a", "b"])
    ('0.25', 'a, b')
    """
    if value is None or isinstance(value, bool):
        return nothing if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{as_markdown(key)} {as_markdown(inner, nothing)}" for key, inner in value.items()) or nothing
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(as_markdown(inner, nothing) for inner in value) or "none"
    return markdown(str(value))


def table(header: Sequence[str], rows: Iterable[Sequence[object]], nothing: str = UNKNOWN) -> str:
    """Return a Markdown table; `nothing` stands for None."""
    return markdown_table(header, [[as_markdown(value, nothing) for value in row] for row in rows])


def fenced(text: str) -> str:
    """Return `text` as a block of code which it cannot leave."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{visible(text)}\n{fence}"


def measured(evaluations: Iterable[Evaluation]) -> str:
    """Return the numbers of evaluations as one Markdown table."""
    return table(
        ("evaluation", "benchmark", "task", "metric", "value", "95 % interval", "n", "unanswered"),
        [
            (
                run.name,
                run.benchmark,
                number.task,
                number.metric,
                _rounded(number.value),
                _between(number.interval),
                number.n,
                number.unanswered,
            )
            for run in evaluations
            for number in run.numbers
        ],
    )


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _between(interval: tuple[float, float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (files("seke.hub") / name).read_text(encoding="utf-8")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, not HTML: `as_markdown` escapes
    )
    environment.filters.update(as_markdown=as_markdown, fenced=fenced)
    environment.globals.update(table=table, measured=measured, licence=licence)
    return environment


def _front_matter(content: Content, features: Any) -> str:
    from huggingface_hub import DatasetCardData

    places = content.files or {split: f"data/{split}-*" for split in content.rows}
    tags = ["affective-computing", content.subject, *(["synthetic"] if content.drawn else [])]
    data = DatasetCardData(
        pretty_name=f"{content.title}: {content.name}",
        language="en",
        license="other",
        task_categories=[content.task],
        annotations_creators=["machine-generated"] if content.annotators else None,
        tags=[*tags, *(["simulated-annotator"] if content.simulated else [])],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": path} for split, path in places.items()],
            }
        ],
    )
    if features is not None:
        from datasets import DatasetInfo
        from datasets.info import DatasetInfosDict

        DatasetInfosDict({"default": DatasetInfo(features=features)}).to_dataset_card_data(data)
    text: str = data.to_yaml()
    return text


def _kind(feature: Any) -> str:
    """Return the type of a column in a word."""
    from datasets import Value

    if isinstance(feature, dict):
        return "struct"
    return str(feature.dtype) if isinstance(feature, Value) else type(feature).__name__

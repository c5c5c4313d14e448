"""The dataset card of an export: README.md with the YAML front matter that `datasets` and the Hub read."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from seke.licences import licence

ANNOTATOR = "annotator"
"""The label under which `Content.provenance` counts models."""


class Content(NamedTuple):
    """What an export holds, as far as its card tells it."""

    name: str
    title: str
    task: str
    """The Hub's task category."""
    rows: Mapping[str, Counter[str]]
    """How many rows of each source a split has; only splits that have rows."""
    provenance: Counter[tuple[str, str]]
    """How many labels have which origin, by (label, origin), and how many rows are whose, by (ANNOTATOR, model); empty
    where every label is its source's own."""
    drawn: bool
    """Whether the faces are synthetic; `source` then names the dataset that a face imitates."""
    embedded: bool
    command: str

    @property
    def sources(self) -> list[str]:
        """Every source that occurs, sorted."""
        return sorted({source for counts in self.rows.values() for source in counts})


def card(content: Content, features: Any, meanings: Mapping[str, str]) -> str:
    """Return the card; `features` are the `datasets.Features` of the columns that `meanings` explains."""
    columns = [(f"`{name}`", _kind(features[name]), meaning) for name, meaning in meanings.items()]
    parts = [
        f"---\n{_front_matter(content, features)}\n---",
        f"# {content.title}: {content.name}",
        f"Made by\n\n```\n{content.command}\n```",
        "Unknown is null everywhere; an action unit that nobody annotated is null, never false.",
        "## Rows",
        _counts(content),
        "## Where the labels come from",
        *_provenance(content),
        "## Images",
        _images(content),
        "## Licences",
        *_licences(content),
        "## Columns",
        _table(("column", "type", "meaning"), columns),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(content: Content, features: Any) -> str:
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    files = [{"split": split, "path": f"data/{split}-*"} for split in content.rows]
    data = DatasetCardData(
        pretty_name=f"{content.title}: {content.name}",
        license="other",
        task_categories=[content.task],
        configs=[{"config_name": "default", "data_files": files}],
    )
    DatasetInfosDict({"default": DatasetInfo(features=features)}).to_dataset_card_data(data)
    text: str = data.to_yaml()
    return text


def _counts(content: Content) -> str:
    splits = list(content.rows)
    body = [(source, *(content.rows[split][source] for split in splits)) for source in content.sources]
    return _table(("source", *splits), [*body, ("all", *(content.rows[split].total() for split in splits))])


def _provenance(content: Content) -> Iterable[str]:
    if content.drawn:
        yield "The faces are drawn, and their sources' labels are known from the drawing: a simulation, not human data."
    if not content.provenance:
        if not content.drawn:
            yield "Every label is its source's own; nothing was completed by a model."
        return
    annotators = ", ".join(f"{who} ({rows} rows)" for (what, who), rows in _made(content) if what == ANNOTATOR)
    yield (
        "`origin` says of each label whether it is manual (its source's own) or generated, that is, written by a "
        f"model, as is the text of every answer. The models: {annotators}."
    )
    if "simulated" in annotators:
        yield "**The annotator is simulated:** no vision model looked at these faces, and the texts are no findings."
    body = [(what, origin, number) for (what, origin), number in _made(content) if what != ANNOTATOR]
    yield _table(("label", "origin", "number"), body)


def _made(content: Content) -> Sequence[tuple[tuple[str, str], int]]:
    return sorted(content.provenance.items())


def _images(content: Content) -> str:
    if content.embedded:
        return "The image files are embedded as they were found. Pass them on only where the licences below allow it."
    if content.drawn:
        return "The images are not embedded: `image` opens on the machine that drew them; `prepare.py` draws them anew."
    return (
        "The images are not embedded, since licences forbid to pass them on: `image` opens on the machine that made "
        "this export only. Elsewhere, get the datasets from their owners (below), then join `file` to the folder in "
        "which they are unpacked, or prepare and export them again."
    )


def _licences(content: Content) -> Iterable[str]:
    yield "Summaries in our own words, no legal advice: what binds is the agreement with the owners. Ask them."
    if content.drawn:
        imitated = ", ".join(licence(source).title for source in content.sources)
        yield f"`source` names what a drawn face imitates ({imitated}); nothing of those datasets is in here."
    for source in ["synthetic"] if content.drawn else content.sources:
        title, terms, ask, citation = licence(source)
        yield f"**{title}** (`{source}`). {terms} Ask: {ask}. Cite: {citation}."


def _kind(feature: Any) -> str:
    """Return the type of a column in a word."""
    from datasets import Value

    if isinstance(feature, dict):
        return "struct"
    return str(feature.dtype) if isinstance(feature, Value) else type(feature).__name__


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)

"""Set up the project at Weights & Biases: a workspace with a section a stage, and a report that explains it.

    python scripts/wandb_dashboard.py entity=my-team                needs WANDB_API_KEY (or `wandb login`)
    python scripts/wandb_dashboard.py entity=my-team dry_run=true   says what it would create, asks nobody

`pip install -e '.[dashboard]'`. The runs themselves come from `wandb=online` at any command, or from `wandb sync`.
Without a key or a network it prints what it would create and ends with exit code 2. Each call makes both anew.
"""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

SETTINGS = {"entity": "", "project": "seke", "dry_run": "false"}


class Plot(NamedTuple):
    """One panel: `lines` of numbers that a stage logs while it goes on, `bars` of its results, or `parallel` axes."""

    kind: str
    title: str
    of: tuple[str, ...]
    """Names in a run's history or summary; "config:" leads a setting."""


class Part(NamedTuple):
    """What one question is answered by."""

    title: str
    what: str
    stage: str | None
    plots: tuple[Plot, ...]


PARTS = (
    Part(
        "How right are the models?",
        "FEAB, and the reliability of generated labels: the runs of evaluate.py.",
        "evaluate",
        (
            Plot("bars", "Expression", ("expression/accuracy", "expression/f1_macro")),
            Plot("bars", "Action units, mean F1 of 14", ("action_units/f1_mean_14",)),
            Plot("bars", "Valence and arousal, MAE", ("valence/mae", "arousal/mae")),
            Plot("tables", "Answered images", ("predictions",)),
            Plot(
                "parallel",
                "A sweep's settings against its scores",
                ("config:sweep_cell", "config:seed", "expression/f1_macro", "action_units/f1_mean_14", "valence/mae"),
            ),
        ),
    ),
    Part(
        "What do the annotations cost?",
        "Draws, calls and money: the runs of generate.py.",
        "generate",
        (
            Plot("lines", "Records done", ("records",)),
            Plot("lines", "Dollars spent", ("usd",)),
            Plot("tables", "Instruction records", ("instructions",)),
            Plot(
                "parallel",
                "N of Algorithm 1 against its cost",
                ("config:sweep_generator_max_samples", "mean_samples", "requests", "output_tokens"),
            ),
        ),
    ),
    Part(
        "How does training go?",
        "Loss, pace, and the same few faces answered again and again: the runs of train.py.",
        "train",
        (
            Plot("lines", "Loss", ("loss", "validation_loss")),
            Plot("lines", "Tokens a second", ("tokens_per_s",)),
            Plot("tables", "Answered while it learns", ("answered",)),
            Plot("parallel", "Learning rate against loss", ("config:sweep_model_lr", "loss", "validation_loss")),
        ),
    ),
    Part(
        "Which faces?",
        "What was read, split and left out: the runs of prepare.py.",
        "prepare",
        (
            Plot("bars", "Images", ("counts/train", "counts/validation", "counts/test", "counts/rejected")),
            Plot("tables", "Records", ("records",)),
        ),
    ),
)


def described() -> str:
    """Return what would be created, for a terminal."""
    lines = ["a workspace with a section each, and a report with a heading each, grouped by experiment and stage:"]
    for part in PARTS:
        lines.append(f"  {part.title} ({part.what.rstrip('.')})")
        lines += [f"    {plot.kind:8} {plot.title}: {', '.join(plot.of)}" for plot in part.plots]
    return "\n".join(lines)


def workspace(entity: str, project: str) -> Any:
    """Return the workspace, unsaved."""
    import wandb_workspaces.workspaces as ws

    sections = [ws.Section(name=part.title, panels=_panels(part), is_open=True) for part in PARTS]
    runs = ws.RunsetSettings(groupby=[ws.Metric("Group"), ws.Metric("JobType")])
    return ws.Workspace(entity=entity, project=project, name="SEKE", sections=sections, runset_settings=runs)


def report(entity: str, project: str) -> Any:
    """Return the report, unsaved; each part shows the runs of its own stage."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = [wr.TableOfContents()]
    for part in PARTS:
        runs = wr.Runset(entity=entity, project=project, name=part.title, filters=f"JobType == '{part.stage}'")
        runs.groupby = ["Group"]
        blocks += [wr.H2(part.title), wr.P(part.what), wr.PanelGrid(runsets=[runs], panels=_panels(part))]
    lineage = f"https://wandb.ai/{entity}/{project}/artifacts"
    blocks += [wr.H2("Where does a number come from?"), wr.P(["records, instructions, checkpoint, metrics: ", lineage])]
    what = "Reliable labels, fine-tuned models, and what each cost"
    return wr.Report(entity=entity, project=project, title="SEKE", description=what, blocks=blocks)


def _panels(part: Part) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    def axis(name: str) -> Any:
        key = name.removeprefix("config:")
        metric = wr.Config(key) if name != key else wr.SummaryMetric(key)
        return wr.ParallelCoordinatesPlotColumn(metric, display_name=key.removeprefix("sweep_"))

    made = {
        "lines": lambda plot: wr.LinePlot(title=plot.title, y=list(plot.of)),
        "bars": lambda plot: wr.BarPlot(title=plot.title, metrics=list(plot.of)),
        "tables": lambda plot: wr.WeavePanelSummaryTable(table_name=plot.of[0]),
        "parallel": lambda plot: wr.ParallelCoordinatesPlot(title=plot.title, columns=[axis(name) for name in plot.of]),
    }
    return [made[plot.kind](plot) for plot in part.plots]


def settings(words: Sequence[str]) -> dict[str, str]:
    """Return the command line's settings over the defaults; ends the program where one is unknown."""
    given = dict(word.partition("=")[::2] for word in words)
    if unknown := given.keys() - SETTINGS.keys():
        raise SystemExit(_refused(f"{', '.join(sorted(unknown))}: no such setting; use {', '.join(SETTINGS)}"))
    return {**SETTINGS, **given}


def main() -> None:
    """Create both, or say what would be created."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(__doc__.strip())
        return
    chosen = settings(sys.argv[1:])
    if chosen["dry_run"] == "true":
        print(described())
        return
    import wandb

    try:
        if not chosen["entity"] or not wandb.login(prompt=False):
            print(f"Nothing was created. It would be {described()}")
            raise SystemExit(_refused("no entity= or no key; set WANDB_API_KEY, or dry_run=true to see this only"))
        shown = [make(chosen["entity"], chosen["project"]).save() for make in (workspace, report)]
    except ImportError as error:
        raise SystemExit(_refused(f"{error.name} is missing; pip install -e '.[dashboard]'")) from None
    except Exception as error:  # W&B's own errors, those of the network, and plain ones
        print(f"Not everything was created. It would be {described()}")
        raise SystemExit(_refused(f"entity={chosen['entity']}: {error}; see the key, the network, the name")) from None
    print(*(made.url for made in shown), sep="\n")


def _refused(problem: str) -> int:
    print("error: " + " ".join(problem.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()

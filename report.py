"""Gather finished runs into tables, figures and one page that opens from disk.

    python report.py name=demo                  every finished run called demo or demo-...
    python report.py name=all runs='*/*'        every finished run
    python report.py name=table4 experiment=table4    a table or figure of the paper, beside its numbers
    python report.py name=board leaderboard=results   rows of evaluate.py results=results: ranks, pairs, cost, filters

Writes outputs/report/<name>/{index.html,predictions/,tables/,figures/}. A report is a view of other runs and costs
seconds: it is made anew each time.
"""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from seke.cli import next_step
from seke.cli.command import build, command


@command
def report(cfg: DictConfig) -> None:
    """Write the report and print its main table and the path of its page."""
    from seke.reporting.data.picture_folder import remembered
    from seke.reporting.data.tables import to_terminal
    from seke.reporting.page.gallery import GallerySettings
    from seke.reporting.report import Settings, write_report
    from seke.reporting.studies.orders import Comparisons

    if cfg.leaderboard is not None:
        leaderboard(cfg)
        return
    chosen = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(chosen, dict)
    outputs = Path(cfg.paths.outputs)
    images = remembered(outputs / "report" / str(cfg.name), cfg.paths.images)
    if images is not None and cfg.paths.images is None:
        print(f"pictures: {images}, as paths.images= said when this report was last made")
    settings = Settings(
        wording=chosen["wording"],
        focus=cfg.focus,
        ceiling=cfg.ceiling,
        baselines=chosen["baselines"],
        cases_run=cfg.cases.run,
        cases_count=cfg.cases.count,
        commands=chosen["commands"],
        images=images,
        gallery=GallerySettings(**chosen["gallery"], seed=cfg.seed) if cfg.gallery else None,
    )
    study = build(cfg.study) if cfg.study else None
    compare = Comparisons(build(cfg.compare), build(cfg.compare_scenes), build(cfg.compare_general))
    written = write_report(outputs, str(cfg.name), cfg.runs, settings, study, compare)
    if written.study:
        print(f"\n{written.study.terminal}")
    for table in () if written.study else written.main:
        print(f"\n{table.title}", to_terminal(table), *filter(None, [table.made_of]), sep="\n")
    for note in written.notes:
        print(f"note: {note}")
    print(f"\n{written.page}")
    next_step.tell(cfg, "report")


def leaderboard(cfg: DictConfig) -> None:
    """Write the page of a folder of results, and print its tables and path."""
    from seke.reporting.data.tables import to_terminal
    from seke.reporting.leaderboard.report import write_leaderboard

    written = write_leaderboard(Path(cfg.paths.outputs), str(cfg.name), Path(cfg.leaderboard))
    for table in written.main:
        print(f"\n{table.title}", to_terminal(table), sep="\n")
    for note in written.notes:
        print(f"note: {note}")
    print(f"\n{written.page}")


if __name__ == "__main__":
    report()

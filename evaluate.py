"""Ask a vision LLM the benchmark's question about every record, or score answers made elsewhere.

python evaluate.py model.path=demo-seke name=demo-seke          a checkpoint: a train run, a directory or a Hub id
python evaluate.py system=gpt_4o name=gpt-4o records=feid       a row of Table 2; backend=openai|vllm|... for any other
python evaluate.py predictions=theirs.csv predictions_fields="{id: file, text: response}" name=theirs
python evaluate.py model.path=demo-seke name=b compare=demo-base groups="[attributes.glasses]" judge=llm
python evaluate.py image=face.jpg model.path=demo-seke          one picture: prints the answer and what is read from it
python evaluate.py records=new model.path=demo-seke name=new    new pictures: labels.csv, labels.xlsx, with confidence
python evaluate.py compare=[gpt,qwen] name=gpt-qwen             how far runs agree, truth or not: agreement.md
-> outputs/evaluate/<name>/{answers.jsonl, predictions.jsonl, metrics.json, table.md}
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from seke.benchmark.judging import judge
from seke.benchmark.protocol import Benchmark
from seke.benchmark.run import annotators, cost, labelling, plan, predict, result, single_image
from seke.cli import next_step
from seke.cli.command import build, command, finished, open_run, plain
from seke.core import budget, provenance, small_data, vlm
from seke.hub import model_results


@command
def evaluate(cfg: DictConfig) -> None:
    """Answer, judge, score, or label; every step leaves its file, mistakes are reported before anything is asked."""
    outputs, settings, process, model = Path(cfg.paths.outputs), plain(cfg), predict.Process.of(os.environ), None
    if held := annotators.listed(settings["compare"], outputs):
        compare(cfg, held)
        return
    benchmark, judging = build(cfg.benchmark), build(cfg.judge)
    spending = cost.Spending(budget.Budget(**cfg.budget), process)
    if cfg.predictions is None and isinstance(cfg.backend.get("model"), DictConfig):  # not a name on a server
        cfg.backend.model.path = model = predict.checkpoint(str(cfg.backend.model.path), outputs)
    if cfg.image is not None:
        payer = None if cfg.dry_run else spending
        print(single_image.report(Path(cfg.image), build(cfg.backend), benchmark, judging, payer))
        size = small_data.size_of(predict.weights(model).values()) if model else 0
        if advice := small_data.drawings_only(size, "nothing"):
            print(f"note: {advice}", file=sys.stderr)
        return
    new = labelling.planned(benchmark, outputs, settings, model)
    task = plan.check(benchmark, outputs, settings, model) if new is None else new
    # A mistaken setting is reported while the name is still free, and an earlier run of that name still there.
    idle = task.answers is not None or (finished(cfg, "evaluate") and not cfg.dry_run)
    backend = None if idle else build(cfg.backend)
    if cfg.dry_run:
        print(cost.dry_run(task, benchmark, judging, backend, cfg.paths.images))
        next_step.tell_after_dry_run(cfg, priced=True)
        return
    process.enter(outputs / "evaluate" / cfg.name, cfg.overwrite)
    run = open_run(cfg, "evaluate", task.inputs)
    if run.finished:
        print(f"{run.path} is finished; overwrite=true does it again")
        tell_of_row(cfg, run.path, benchmark, task)
        next_step.tell(cfg, "evaluate")
        return
    if isinstance(task, labelling.Unlabelled):
        with spending.recorded(run.path):
            labels = spending.labels(task, benchmark, judging, backend, cfg.paths.images, run.path)
        if labels is not None:  # else another of several processes writes them
            run.finish(**labels, **annotators.beside(run.path, task.others, cfg.seed), made=provenance.made(sys.argv))
            labelling.clear(run.path)
            next_step.tell(cfg, "evaluate")
        return
    with spending.recorded(run.path):
        answers = spending.answers(task, benchmark, judging, backend, cfg.paths.images, run.path)
        if answers is None:
            return  # of several processes the first one has all answers, and scores
        predict.check_any(answers, cfg.name)
        ready = judge.ready(judging, answers)
        from seke.benchmark.scoring.score import score  # torchmetrics brings torch

        of_backend = backend.remarks if isinstance(backend, vlm.Remarking) else ()
        how = {**task.scoring, "remarks": [*task.remarks, *of_backend, *ready.remarks]}
        facts = score(run.path, benchmark, task.records, answers, ready.read, task.inputs["records"], cfg.seed, **how)
    from seke.benchmark.tasks.general import lost  # only now: nothing else here needs it

    if model is not None and (card := model_results.fill(run, model, facts["notes"], lost)):
        print(f"{card}: the model's card with these results")
    run.finish(**facts, made=provenance.made(sys.argv))
    tell_of_row(cfg, run.path, benchmark, task)
    next_step.tell(cfg, "evaluate")


def tell_of_row(cfg: DictConfig, run: Path, benchmark: Benchmark, task: plan.Task | labelling.Unlabelled) -> None:
    """Write the leaderboard's row of a finished run, and say where it is if results= names a folder."""
    folder = None if cfg.results is None else Path(cfg.results)
    if isinstance(task, plan.Task) and (file := result.write(run, benchmark, task.records, folder)):
        print(f"{file}: the leaderboard's row; python report.py leaderboard={folder}")


def compare(cfg: DictConfig, held: Sequence[annotators.Annotator]) -> None:
    """Hold finished runs against each other; nobody is asked, and nobody need know what is right."""
    if cfg.dry_run:
        print(f"{len(held)} runs are compared; no model is asked: it costs nothing")
        return
    run = open_run(cfg, "evaluate", annotators.inputs(held))
    if run.finished:
        print(f"{run.path} is finished; overwrite=true does it again")
    else:
        run.finish(**annotators.compare(held, run.path, cfg.seed), made=provenance.made(sys.argv))
    next_step.tell(cfg, "evaluate")


if __name__ == "__main__":
    evaluate()

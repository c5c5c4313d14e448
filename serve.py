"""A page on this machine on which one tries a model: drop a picture or use the camera, and see what the model says.

    python serve.py                                      the demo's model, or else the tiny base: http://127.0.0.1:7860/
    python serve.py model=llava_ov model.path=mine       a checkpoint: a train run, a directory or a Hub id
    python serve.py backend=openai backend.model=gpt-4o  a model behind an API; budget.usd=1 is a limit

Pictures are looked at in memory and kept nowhere. Ctrl-C ends it. Also prints how vLLM serves the same checkpoint.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig

from seke.benchmark.run import cost, labelling, predict, single_image
from seke.cli.command import build, command, plain
from seke.core import budget, runs, vlm
from seke.serving import page, vllm


@command
def serve(cfg: DictConfig) -> None:
    """Serve the page until it is told to end."""
    benchmark, judging, draws = build(cfg.benchmark), build(cfg.judge), labelling.checked_draws(cfg.draws)
    settings = page.Settings(**plain(cfg.page))
    single_image.check(benchmark, "benchmark", type(benchmark).__name__)
    path, note = _checkpoint(cfg)
    with ExitStack() as opened:
        if "ledger" in cfg.backend:  # what a paid service says of a face is kept no longer than this runs
            cfg.backend.ledger = str(Path(opened.enter_context(TemporaryDirectory())) / "ledger.sqlite")
        backend = build(cfg.backend)
        name = vllm.name_of(path) if path else budget.model_of(backend) or "the model"
        print(
            f"model: {path or name}",
            *(vllm.command(path) if path else ()),
            *([f"note: {note}"] if note else []),
            sep="\n",
        )
        if settings.warning:
            print(f"warning: {settings.warning}", file=sys.stderr)
        if cfg.dry_run:
            print(f"page: {settings.address}; nothing was loaded, and nothing is served")
            return
        from seke.reporting.render.circumplex import circumplex  # matplotlib takes a second

        if isinstance(backend, vlm.Loading):
            backend.load()
        asked = opened.enter_context(vlm.closing(cost.Spending(budget.Budget(**cfg.budget)).metered("page", backend)))

        def see(data: bytes) -> page.Seen:
            found = single_image.look(data, asked, benchmark, judging, draws)
            answer, *others = ((said.get("valence"), said.get("arousal")) for said in (found.labels, *found.draws))
            drawing = circumplex(answer, others) if "valence" in found.labels else ""
            return page.Seen(found.row.text, found.row.status, found.labels, found.confidences, drawing)

        page.run(see, page.Facts(name, draws, note), settings)


def _checkpoint(cfg: DictConfig) -> tuple[str, str]:
    """Return the checkpoint to serve, which `cfg` then names, and what a user must know of it; of an API neither."""
    if not isinstance(cfg.backend.get("model"), DictConfig):  # a name on a server
        return "", ""
    outputs, model, note = Path(cfg.paths.outputs), cfg.backend.model, ""
    if str(model.path) == cfg.demo.instead_of:
        made = cfg.demo.run is not None and runs.is_finished(outputs / "train" / str(cfg.demo.run))
        model.path, note = (cfg.demo.run, cfg.demo.note) if made else (model.path, cfg.demo.untuned)
    model.path = predict.checkpoint(str(model.path), outputs)
    return model.path, note


if __name__ == "__main__":
    serve()

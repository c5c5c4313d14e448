"""Table of earlier `_target_` paths: where classes and functions that a configuration names are today.

Settings files of earlier versions, and runs begun with them, name the earlier paths; both go on for one release.
"""

from collections.abc import Mapping
from typing import Any, Final

TARGET: Final = "_target_"
MOVED: Final[dict[str, str]] = {
    "seke.backends.local": "seke.backends.transformers.tuned",
    "seke.backends.openai": "seke.backends.openai.client",
    "seke.backends.openai_batch": "seke.backends.openai_batch.batch",
    "seke.backends.simulated": "seke.backends.simulated.faces",
    "seke.backends.simulated_scenes": "seke.backends.simulated.scenes",
    "seke.benchmark.emoset": "seke.benchmark.tasks.emoset",
    "seke.benchmark.feab": "seke.benchmark.tasks.feab",
    "seke.benchmark.feab_mikels": "seke.benchmark.tasks.feab_mikels",
    "seke.benchmark.judge": "seke.benchmark.judging.judge",
    "seke.benchmark.llm_judge": "seke.benchmark.judging.llm",
    "seke.benchmark.reasoning": "seke.benchmark.tasks.reasoning",
    "seke.benchmark.reliability": "seke.benchmark.tasks.reliability",
    "seke.benchmark.rubric": "seke.benchmark.judging.rubric",
    "seke.benchmark.significance": "seke.benchmark.scoring.significance",
    "seke.generation.captioning": "seke.generation.emovit.captioners",
    "seke.generation.emovit": "seke.generation.emovit.generator",
    "seke.generation.empirical_bayes": "seke.generation.seke.empirical_bayes",
    "seke.generation.seke": "seke.generation.seke.generator",
    "seke.generation.stopping": "seke.generation.seke.stopping",
    "seke.models.any_vlm": "seke.backends.transformers.any_model",
    "seke.models.captions": "seke.backends.transformers.captioner",
    "seke.prompts": "seke.core.prompts",
    "seke.reporting.studies": "seke.reporting.studies.study",
    "seke.reporting.study_faces": "seke.reporting.studies.faces",
    "seke.reporting.study_figures": "seke.reporting.studies.figures",
    "seke.reporting.study_groups": "seke.reporting.studies.groups",
    "seke.reporting.study_masked": "seke.reporting.studies.masked",
    "seke.sources.aff_wild2": "seke.sources.faces_datasets.aff_wild2",
    "seke.sources.affectnet": "seke.sources.faces_datasets.affectnet",
    "seke.sources.bp4d": "seke.sources.faces_datasets.bp4d",
    "seke.sources.ck_plus": "seke.sources.faces_datasets.ck_plus",
    "seke.sources.class_folders": "seke.sources.faces_datasets.class_folders",
    "seke.sources.disfa": "seke.sources.faces_datasets.disfa",
    "seke.sources.emoset": "seke.sources.scene_datasets.emoset",
    "seke.sources.emotion6": "seke.sources.scene_datasets.emotion6",
    "seke.sources.feid_raw": "seke.sources.faces_datasets.feid_raw",
    "seke.sources.fi": "seke.sources.scene_datasets.fi",
    "seke.sources.folder": "seke.sources.faces_datasets.folder",
    "seke.sources.raf_db": "seke.sources.faces_datasets.raf_db",
    "seke.sources.synthetic": "seke.sources.synthetic.faces",
    "seke.sources.synthetic_scenes": "seke.sources.synthetic.scenes",
    "seke.sources.webemo": "seke.sources.scene_datasets.webemo",
    "seke.tuning.data": "seke.training.data.mixture",
    "seke.tuning.fit": "seke.training.train",
    "seke.tuning.fit.Training": "seke.training.settings.Training",
    "seke.tuning.loggers": "seke.training.loggers",
    "seke.tuning.optimizers": "seke.training.optimizers",
    "seke.tuning.rows.emovit": "seke.training.readers.emovit",
    "seke.tuning.rows.faba": "seke.training.readers.faba",
    "seke.tuning.rows.fea_20k": "seke.training.readers.fea_20k",
    "seke.tuning.rows.feid_release": "seke.training.readers.feid_release",
    "seke.tuning.rows.llava": "seke.training.readers.llava",
    "seke.tuning.rows.mafw": "seke.training.readers.mafw",
    "seke.tuning.rows.merr_fine": "seke.training.readers.merr_fine",
    "seke.tuning.strategy": "seke.training.deepspeed_cpu",
}
"""Earlier path of a module -> its path now, and, where a class or function was renamed, its earlier path -> its own."""


def current(target: str, moves: Mapping[str, str] = MOVED) -> str:
    """Return the path of today of the class or function that `target` names; any other path as it stands.

    Only a module's whole path counts, as a package may be called like the module that it has taken the place of.

    >>> moves = {"seke.tuning.fit": "seke.training.train", "seke.tuning.fit.Training": "seke.training.settings.Trainer"}
    >>> current("seke.tuning.fit.fit", moves), current("seke.tuning.fit.Training", moves)
    ('seke.training.train.fit', 'seke.training.settings.Trainer')
    >>> current("my.tuning.fit.Training", moves)
    'my.tuning.fit.Training'
    """
    module, _, name = target.rpartition(".")
    return moves.get(target) or (f"{moves[module]}.{name}" if module in moves else target)


def with_current_targets(tree: Any) -> Any:
    """Return a configuration of plain dictionaries and lists with the path of today in every `_target_`."""
    if isinstance(tree, Mapping):
        return {
            key: current(value) if key == TARGET and isinstance(value, str) else with_current_targets(value)
            for key, value in tree.items()
        }
    return [with_current_targets(value) for value in tree] if isinstance(tree, list) else tree

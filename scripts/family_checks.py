"""Make the table in docs/training.md of which check holds for which model family: by running the tests, not by hand.

    python scripts/family_checks.py           the quick checks: about two minutes
    python scripts/family_checks.py --slow    training on two ranks, too
    python scripts/family_checks.py a.xml b.xml    of tests that have been run: reports by pytest's --junitxml

Columns are the families that tests/trees/tried.py knows, a user's own among them.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

ROOT: Final = Path(__file__).resolve().parent.parent
TABLE: Final = ROOT / "docs" / "training.md"
BEGIN: Final = "<!-- families: scripts/family_checks.py -->"
END: Final = "<!-- end of families -->"
FILES: Final = ("tests/contracts/test_models.py", "tests/models/test_families.py")
SLOW: Final = "tests/training/test_several_ranks.py"
OVER: Final = "test_losses_and_weights_of_two_ranks_against_ddp"
"""Of the tiny LLaVA-OneVision alone."""
CHECKS: Final = {
    "tokens without pixels equal the processor's": ("test_tokens_without_pixels_equal_the_processors",),
    "label mask equals the family's chat template": ("test_label_masks_equal_the_chat_template",),
    "special tokens spelt out in a text stay text": ("test_special_tokens_in_a_text_are_text",),
    "logits and greedy answers of plain transformers": ("test_logits_and_answers_against_plain_transformers",),
    "packed loss and gradients = padded = transformers' own, 1e-6": (
        "test_packed_loss_and_gradients_equal_padded_ones_and_transformers",
    ),
    "samples of a pack do not see each other, bit for bit": ("test_samples_of_a_pack_do_not_see_each_other",),
    "answers do not depend on their batch": ("test_an_answer_depends_on_its_own_conversation_alone",),
    "every trained parameter has a gradient, without pictures, too": ("test_every_trained_parameter_has_a_gradient",),
    "frozen tower: states from disk train alike": ("test_states_of_a_frozen_tower_on_disk_train_alike",),
    "LoRA: adapters alone learn, and are merged": ("test_adapters_alone_learn_and_are_merged_when_saved",),
    "export reloads here with equal answers": ("test_what_it_saves_answers_alike_and_has_the_same_fingerprint",),
    "export reloads in transformers and `pipeline` with equal logits": (
        "test_an_export_reloads_in_transformers_with_equal_logits_and_answers",
    ),
    "FLOPs of each part equal torch's counter": ("test_forward_flops_against_torchs_counter",),
    "a checkpoint without its parts is one line": ("test_a_checkpoint_without_its_parts_is_one_line",),
    **{
        f"{name} on two CPU ranks equals DDP": (f"test_two_ranks_of_each_family_against_ddp[{way}]", f"{OVER}[{way}]")
        for name, way in (("ZeRO-2", "2"), ("ZeRO-3", "3"), ("FSDP2", "fsdp2"))
    },
}
"""What a check is called, and the tests that make it, in brackets one of their parameters; a family counts as held if
all of its own passed."""


class Result(NamedTuple):
    """One test of a report."""

    test: str
    parameters: tuple[str, ...]
    passed: bool


def results(report: Path) -> Iterable[Result]:
    """Yield the tests of a JUnit report that were not skipped."""
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        name, _, inside = str(case.get("name")).partition("[")
        if "skipped" not in kinds:
            yield Result(name, tuple(inside.removesuffix("]").split("-")), not kinds & {"failure", "error"})


def table(found: Iterable[Result]) -> str:
    """Return the table in Markdown: rows are checks, columns families; `yes`, `NO`, or `-` where no test is.

    A check that was made of no family is left out.
    """
    found = list(found)
    [everywhere] = CHECKS["answers do not depend on their batch"]
    known = {result.parameters[-1] for result in found if result.test == everywhere}
    families = sorted(known, key=lambda option: (not option.startswith("llava"), option))
    named = [f"`{option.removesuffix('_tiny')}`" for option in families]
    lines = [f"| check | {' | '.join(named)} |"]
    lines.append("|---" * (len(families) + 1) + "|")
    for check, tests in CHECKS.items():
        cells = []
        for family in families:
            own = [
                result.passed
                for result in found
                if {result.test, *(f"{result.test}[{given}]" for given in result.parameters)} & set(tests)
                and (family in result.parameters or (family == "llava_ov_tiny" and result.test == OVER))
            ]
            cells.append(("yes" if all(own) else "NO") if own else "-")
        if set(cells) != {"-"}:
            lines.append(f"| {check} | {' | '.join(cells)} |")
    return "\n".join(lines)


def run(slow: bool) -> list[Result]:
    """Run the tests and return what came of them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        files = [*FILES, *([SLOW] if slow else [])]
        chosen = ["-k", "not torchrun and not fit and not leave_one"] if slow else ["-m", "not slow"]
        command = [sys.executable, "-m", "pytest", "-q", *files, *chosen, f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, check=False)
        return list(results(report))


def main() -> None:
    """Run the tests and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slow", action="store_true", help="train on two ranks, too")
    parser.add_argument("report", nargs="*", type=Path, help="of tests that have been run; none: run them now")
    asked = parser.parse_args()
    found = [result for report in asked.report for result in results(report)] or run(asked.slow)
    made = table(found)
    page = TABLE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    TABLE.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")
    print(made)
    raise SystemExit(not all(result.passed for result in found))


if __name__ == "__main__":
    main()

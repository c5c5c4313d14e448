"""scripts/quick.py: which tests a change calls for."""

import doctest
import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_its_examples_are_true_and_every_contract_is_there() -> None:
    spec = importlib.util.spec_from_file_location("quick", ROOT / "scripts" / "quick.py")
    quick = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quick)
    failed, tried = doctest.testmod(quick)
    assert failed == 0
    assert tried > 0
    for kind in quick.EXTENSIBLE.values():
        assert (ROOT / "tests" / "contracts" / f"test_{kind}.py").is_file()
    for group in quick.EXTENSIBLE:
        assert (ROOT / "conf" / group).is_dir()

"""The table of model families and checks in docs/training.md, of reports that pytest has written."""

import pytest

CASE = '<testcase classname="x" name="{}">{}</testcase>'


@pytest.fixture
def checks(monkeypatch, tmp_path):
    from .conftest import ROOT

    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import family_checks

    page = tmp_path / "page.md"
    page.write_text(f"Before.\n{family_checks.BEGIN}\nold\n{family_checks.END}\nAfter.\n")
    monkeypatch.setattr(family_checks, "TABLE", page)
    return family_checks


def report(file, **cases):
    told = "".join(CASE.format(name.replace("__", "[") + "]", inside) for name, inside in cases.items())
    file.write_text(f"<testsuites><testsuite>{told}</testsuite></testsuites>")
    return str(file)


def test_reports_are_put_together_into_the_page(checks, monkeypatch, tmp_path, capsys):
    answers, ranks = "test_an_answer_depends_on_its_own_conversation_alone", "test_two_ranks_of_each_family_against_ddp"
    one = report(
        tmp_path / "a.xml", **{f"{answers}__llava_ov_tiny": "", f"{answers}__smolvlm": "", f"{answers}__x": ""}
    )
    two = report(tmp_path / "b.xml", **{f"{ranks}__2-smolvlm": "<failure/>", f"{ranks}__3-smolvlm": "<skipped/>",
                                        f"{ranks}__fsdp2-smolvlm": ""})  # fmt: skip
    monkeypatch.setattr("sys.argv", ["family_checks.py", one, two])
    with pytest.raises(SystemExit) as stop:
        checks.main()
    assert stop.value.code == 1, "a test failed"
    lines = checks.TABLE.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("Before.", "After.")
    assert lines[2:-2] == capsys.readouterr().out.splitlines() == [
        "| check | `llava_ov` | `smolvlm` | `x` |",
        "|---|---|---|---|",
        "| answers do not depend on their batch | yes | yes | yes |",
        "| ZeRO-2 on two CPU ranks equals DDP | - | NO | - |",
        "| FSDP2 on two CPU ranks equals DDP | - | yes | - |",
    ]  # fmt: skip


def test_tests_that_are_named_are_there(checks):
    files = [*checks.FILES, checks.SLOW]
    text = "".join((checks.ROOT / file).read_text(encoding="utf-8") for file in files)
    assert [
        name for names in checks.CHECKS.values() for name in names if f"def {name.split('[')[0]}(" not in text
    ] == []

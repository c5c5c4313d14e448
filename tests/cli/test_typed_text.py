"""Names and paths are what the shell passes as one word; a comma in a sweep needs quotes, and the error shows which."""

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st

from seke.cli.command import composed
from seke.cli.settings import written
from seke.cli.typed_text import mapping, parser, quoted
from seke.core.errors import UserError

from .test_settings import ROOT

NAMES = [
    "/a b", "/Fotos ä", "/a,b", "/a#b", "/a~b", "a~1", "/a=b", "/a[1]", "[2024] x", "/a (1)", "it's", 'say "x"', "{a}",
    "C:\\x\\", "a\\'b", "$HOME", "a:b", "  lead", "a;b&c", "照片/张三", "100%", "!x", "a|b", "@x", "'", "\\", "-x",
    "+x", "1e5", "true", "007", "a, b", "choice", "x\\\\", "Ünï, #~= [x] (y)",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_hydra_reads_a_path_as_the_shell_passed_it(name):
    assert parser().parse_override(f"source.root={quoted('source.root', name)}").value() == name


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).filter(lambda t: t != "null"))
def test_so_it_does_with_any_text(text):
    value = parser().parse_override(f"paths.data={quoted('paths.data', text)}").value()
    if text[0] in "'\"[{~" or "(" in text:  # quoted by its user, a list, a home, or calculated by Hydra
        return
    assert value == text


@given(st.lists(st.sampled_from(NAMES).filter(lambda n: "," not in n and n[0] not in "'\"[{"), min_size=2, max_size=4))
def test_in_a_sweep_each_part_is_read_so(names):
    names = [name for name in names if "'" not in name and '"' not in name] or ["a", "b"]
    sweep = parser().parse_override("model.path=" + quoted("model.path", ",".join(names), sweeping=True))
    if len(names) > 1:
        assert [getattr(part, "text", part) for part in sweep.value().list] == names


def test_a_home_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert quoted("source.root", "~/fotos") == f"{tmp_path}/fotos"
    assert quoted("name", "x~/y") == "'x~/y'"


@pytest.mark.parametrize(
    "value", ["[a,b]", "'a, b'", '"a"', "null", "choice(a,b)", "${paths.data}/x", "{path: x}", "*/demo*"]
)
def test_what_hydra_is_to_read_stays(value):
    assert quoted("runs", value) == value


@pytest.mark.parametrize(("key", "value"), [("size", "3"), ("limit", "1,2"), ("size", "[1"), ("a", "${b}")])
def test_other_settings_are_hydras(key, value):
    assert quoted(key, value) == value


def test_text_that_hydra_cannot_read_is_text_in_any_setting():
    assert parser().parse_override("a=" + quoted("a", "Gefühl #1")).value() == "Gefühl #1"


def test_a_path_with_a_comma_in_a_sweep_is_told_how_to_quote_it(tmp_path):
    (tmp_path / "a, b").mkdir()
    path = str(tmp_path / "a, b")
    with pytest.raises(UserError) as caught:
        quoted("source.root", path, sweeping=True)
    word = str(caught.value).partition("quote it within the word: ")[2].strip("'")
    assert word == f'source.root="{path}"'
    assert (
        parser().parse_override(quoted("source.root", word.partition("=")[2], sweeping=True) and word).value() == path
    )


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("source.columns={image: Bild, arousal: null, AU1: Ä}", {"image": "Bild", "arousal": None, "AU1": "Ä"}),
        ("source.columns={image: 图片, subject: 被试}", {"image": "图片", "subject": "被试"}),
        ('source.columns={subject: No, image: "Bild, Datei"}', {"subject": "No", "image": "Bild, Datei"}),
        ("source.columns={image: Bild}", {"image": "Bild"}),
        ("source.classes={Ärger: anger, 高兴: happiness}", {"Ärger": "anger", "高兴": "happiness"}),
        ("source.columns.expression=Gefühl", {"expression": "Gefühl"}),
    ],
)  # fmt: skip
def test_titles_and_words_of_other_languages_are_read(word, expected):
    cfg = composed("prepare", ["source=folder", word])
    key = word.partition("=")[0].split(".")[1]
    assert dict(cfg.source[key]) == expected


def test_what_is_no_mapping_is_one_line():
    with pytest.raises(UserError, match=r"source\.columns=\{ä: \[1\]\}: no mapping of words"):
        mapping("source.columns", "{ä: [1]}")


def test_names_reach_the_configuration(tmp_path):
    words = written(
        [f"paths.outputs={tmp_path}/a, #b", "name=1e5", "source=folder", "source.root=/Fotos [1]"],
        ROOT / "conf",
        "prepare",
    )
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("prepare", words)
    assert (cfg.paths.outputs, cfg.name, cfg.source.root) == (f"{tmp_path}/a, #b", "1e5", "/Fotos [1]")


def test_a_comma_without_a_sweep_is_told_of(cli, tmp_path):
    done = cli("generate", "records=a,b", f"paths.outputs={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.startswith("error: records=a,b: neither a file") and done.stderr.endswith(
        "(to take a, b in turn, add -m)\n"
    )

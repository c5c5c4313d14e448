"""The whole report on miniature runs: the page stands alone, escapes everything, and repeats itself exactly."""

import base64
import dataclasses
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

import pytest

from seke.core import escape
from seke.core.errors import UserError
from seke.reporting.report import Settings, write_report

HOSTILE = '</p><script>alert(1)</script>"><img src=x onerror=alert(2)><svg onload=alert(3)> fear $x_{'

WORDS_ON = {  # beside the page's own two grounds
    "ink": ("right-tint", "wrong-tint", "manual-tint", "heat"), "faint": (), "blue": (),
    "right": ("right-tint",), "wrong": ("wrong-tint",),
}  # fmt: skip


class Dom(HTMLParser):
    """Every element with its attributes, and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.scripts, self._in_script = "", [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts.append(data)
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_words_are_read_on_every_ground_in_light_and_in_dark() -> None:
    style = (files("seke.reporting.page") / "page.css.jinja").read_text(encoding="utf-8")
    blocks = re.findall(r":root {([^}]*)}", style)
    light, dark = filter(None, (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks))
    for palette in (light, dark):
        for word, grounds in WORDS_ON.items():
            for ground in ("paper", "sheet", *grounds):
                low, high = sorted(map(luminance, (palette[word], palette[ground])))
                assert (high + 0.05) / (low + 0.05) >= 4.5, f"WCAG 2.2, 1.4.3: {word} on {ground}"


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def lean(outputs: Path) -> None:
    """Leave one generation and what it was made from: enough to show cases, quick to draw."""
    for stage in ("train", "evaluate"):
        shutil.rmtree(outputs / stage)
    for name in ("single", "truth"):
        shutil.rmtree(outputs / "generate" / f"demo-{name}")


def test_two_reports_on_the_same_runs_are_equal_byte_for_byte(outputs: Path, settings: Settings) -> None:
    written = write_report(outputs, "demo", None, settings)
    folder = written.page.parent
    first = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "tables" / "stale.md").write_text("of a run that is gone")
    write_report(outputs, "demo", None, settings)
    again = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert sorted(again) == sorted(first)
    assert [path for path in first if first[path] != again[path]] == []
    page = first[Path("index.html")].decode()
    _stands_alone(Dom(page), folder)
    _holds_every_part(page, Dom(page), first)
    for file in (folder / "predictions").iterdir():
        _stands_alone(Dom(file.read_text(encoding="utf-8")), file.parent)


def _stands_alone(dom: Dom, folder: Path) -> None:
    """Hold a page in `folder` to: nothing comes from elsewhere, and what a link leads to is there."""
    for tag, attributes in dom.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (tag, key)
            if key in ("src", "href", "xlink:href", "srcset", "data", "action"):
                assert value, (tag, key)
                led = tag == "a" and (folder / unquote(value.partition("#")[0])).exists()
                assert led or value.startswith(("#", "data:image/")), (tag, key, value)
            assert "http:" not in (value or "") and "https:" not in (value or ""), (tag, key)
            assert "url(" not in (value or "") or re.search(r"url\(#", value or ""), (tag, key, value)
    assert not dom.of("link") and not dom.of("iframe") and not dom.of("object")
    ids = [attributes["id"] for _, attributes in dom.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {
        attributes["href"][1:] for _, attributes in dom.elements if (attributes.get("href") or "").startswith("#")
    }
    assert targets <= set(ids)
    script = dom.scripts[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(meta["content"] for meta in dom.of("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy and f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy


def _holds_every_part(page: str, dom: Dom, files: dict[Path, bytes]) -> None:
    for section in ("scores", "reliability", "cost", "cases", "training", "own", "provenance"):
        assert f'<section id="{section}"' in page
    assert "Synthetic faces, simulated annotator" in page
    assert "no finished run for" not in page
    assert len(dom.of("article")) == 12
    assert all(image["alt"] and image["src"].startswith("data:image/webp") for image in dom.of("img"))
    assert len(dom.of("img")) == 12
    assert all(header.get("scope") in ("col", "row", "colgroup") for header in dom.of("th"))
    address = "predictions/demo-seke.html#expression.accuracy"
    best = rf'<b><a class="number" href="{address}">75.7</a></b>\s*<small>72.7–78.7</small>'
    assert re.search(best, page)  # SEKE's accuracy: the best of those that compete
    assert ">85.0</a></b>" not in page  # the upper bound does not
    assert "89 % of truth" in page
    stems = {path.stem for path in files if path.parts[0] == "figures"}
    assert all(files.get(Path("figures") / f"{stem}.{kind}") for stem in stems for kind in ("png", "svg"))
    assert {path.name for path in files if path.parts[0] == "tables"} == {
        f"{name}.{kind}"
        for name in ("feab", "action_units", "reliability", "cost", "trust")
        for kind in ("md", "csv", "tex")
    }
    table = files[Path("tables/feab.md")].decode()
    assert "| Tuned on SEKE's annotations | **75.7** [72.7–78.7] |" in table
    assert table.endswith("Every row: synthetic faces.\n")
    costs = files[Path("tables/cost.md")].decode()
    assert costs.endswith("Every row: synthetic faces, simulated annotator.\n")


def test_a_hostile_answer_is_text_and_nothing_else(outputs: Path, settings: Settings, rewrite) -> None:
    lean(outputs)
    generated = outputs / "generate" / "demo-seke"
    kept = generated / "instructions.jsonl"
    kept.write_text(kept.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")

    def poison(row):
        row["conversations"][0]["value"] = "<image>\n" + HOSTILE
        row["conversations"][1]["value"] = HOSTILE
        row |= {
            "source": HOSTILE,
            "subject": HOSTILE + "\x1b[31m\u202e",
            "annotator": HOSTILE,
            "flags": [HOSTILE],
            "image": HOSTILE,
        }
        row["id"] = HOSTILE

    rewrite(kept, poison)
    manifest = json.loads((generated / "manifest.json").read_text(encoding="utf-8"))
    manifest["config"]["extra"] = {HOSTILE: HOSTILE}
    (generated / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    generated.rename(generated.with_name('demo-<script>alert(1)<!--" onx="'))
    page = write_report(outputs, "demo", None, settings).page.read_text(encoding="utf-8")
    dom = Dom(page)
    _stands_alone(dom, outputs / "report" / "demo")
    assert len(dom.of("script")) == 1
    assert not dom.of("img")  # the picture's path leads nowhere, so there is a placeholder
    assert page.count("alert(1)") == page.count("&lt;script&gt;alert(1)") > 5
    assert "onerror=alert(2)" in dom.text
    assert not escape.CONTROLS.search(page) and r"\x1b[31m\u202e" in dom.text


def test_runs_that_are_missing_are_said_and_never_zero(outputs: Path, settings: Settings) -> None:
    shutil.rmtree(outputs / "evaluate" / "demo-truth")
    shutil.rmtree(outputs / "train")
    (outputs / "train" / "demo-seke").mkdir(parents=True)
    metrics = outputs / "evaluate" / "demo-single" / "metrics.json"
    content = json.loads(metrics.read_text())
    content["valence"], content["warnings"] = None, ["arousal is 0.10 in all 24 answers"]
    metrics.write_text(json.dumps(content))
    shutil.rmtree(outputs / "prepare")  # and with it truth and pictures
    written = write_report(outputs, "demo", None, settings)
    assert written.notes == (
        "train/demo-seke left out, not finished: no manifest.json",
        "no finished run for: Tuned on the truth (upper bound)",
        "Tuned on single-pass annotations: arousal is 0.10 in all 24 answers",
    )
    table = (written.page.parent / "tables" / "feab.csv").read_text(encoding="utf-8")
    assert "truth" not in table
    [single] = [row for row in written.main[0].rows if row.run == "demo-single"]
    assert single.cells.get("valence.mae") is None
    page = written.page.read_text(encoding="utf-8")
    assert '<section id="training"' not in page
    assert "no picture: the records this run was made from are gone" in page
    assert "truth unknown" in page
    assert written.nature == "simulated annotator"


def test_the_page_says_by_which_command_and_commit_a_run_was_made(outputs: Path, settings: Settings) -> None:
    lean(outputs)
    shutil.rmtree(outputs / "generate")
    manifest = outputs / "prepare" / "demo" / "manifest.json"
    content = json.loads(manifest.read_text())
    page = write_report(outputs, "demo", None, settings).page.read_text(encoding="utf-8")
    assert "command not recorded<br>commit not recorded" in page
    assert '<td class="machine">not recorded' in page
    content["made"] = {"command": "python prepare.py 'name=<demo>'", "commit": "0123456789abcdef0123+changes"}
    manifest.write_text(json.dumps(content))
    page = write_report(outputs, "demo", None, settings).page.read_text(encoding="utf-8")
    assert "python prepare.py &#39;name=&lt;demo&gt;&#39;" in page
    assert "commit <code>0123456789ab+changes</code>, which changes not recorded" in page
    gpus = {"python": "3.11.7", "os": "Linux", "cpu": "<EPYC>", "cores": 8, "gpus": ["H200", "H200"], "driver": "570"}
    content["made"] |= {"diff": "fedcba9876543210", "machine": gpus}
    content["packages"] = {"torch": "2.13"}
    manifest.write_text(json.dumps(content))
    page = write_report(outputs, "demo", None, settings).page.read_text(encoding="utf-8")
    assert "commit <code>0123456789ab+changes</code>, changes <code>fedcba987654</code>" in page
    told = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", page[page.index('class="machine"') :]))
    assert told == {
        "Python": "3.11.7", "System": "Linux", "Processor": "&lt;EPYC&gt;, 8 cores", "GPU": "2 × H200", "Driver": "570",
        "torch": "2.13",
    }  # fmt: skip


DAMAGED = {
    "prepare/demo/truth.jsonl": "not UTF-8",
    "generate/demo-single/instructions.jsonl": "not UTF-8",
    "evaluate/demo-seke/metrics.json": "not readable",
    "evaluate/demo-base/metrics.json": "not readable",
}


def test_damaged_runs_are_left_out_and_named_and_cost_the_others_nothing(outputs: Path, settings: Settings) -> None:
    shutil.rmtree(outputs / "train")
    for name in ("truth", "labels-seke", "labels-single"):
        shutil.rmtree(outputs / "evaluate" / f"demo-{name}")
    for file in DAMAGED:
        (outputs / file).write_bytes(b'{"a": \xff')
    (outputs / "evaluate/demo-single/predictions.jsonl").write_bytes(b"\xff")
    written = write_report(outputs, "demo", None, settings)
    for file, problem in DAMAGED.items():
        stage, run, inner = file.split("/", 2)
        assert any(note.startswith(f"{stage}/{run} left out, {inner}: {problem}") for note in written.notes), file
    [damaged] = [note for note in written.notes if "damaged" in note]
    assert damaged.startswith("evaluate/demo-single: predictions.jsonl is damaged (not UTF-8 text")
    table = (written.page.parent / "tables" / "feab.csv").read_text(encoding="utf-8")
    assert "demo-single" in table and "demo-seke" not in table and "demo-base" not in table
    assert "the records this run was made from are gone" in written.page.read_text(encoding="utf-8")


def test_a_report_that_fails_leaves_the_last_one_as_it_was(outputs: Path, settings: Settings) -> None:
    lean(outputs)
    folder = write_report(outputs, "demo", None, settings).page.parent
    (folder / "review.json").write_text("{}")  # somebody's, and no part of the report
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(TypeError):
        write_report(outputs, "demo", None, dataclasses.replace(settings, commands=3))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    write_report(outputs, "demo", None, settings)
    assert (folder / "review.json").is_file()
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]


def test_unreadable_pictures_leave_a_placeholder_that_says_why(outputs: Path, settings: Settings) -> None:
    lean(outputs)
    for picture in (outputs / "prepare" / "demo" / "images").iterdir():
        picture.write_bytes(picture.read_bytes()[:60])
    page = write_report(outputs, "demo", None, dataclasses.replace(settings, cases_count=1)).page.read_text()
    assert "not a whole, readable image" in page
    assert not Dom(page).of("img")


def test_a_negative_count_of_cases_is_refused(outputs: Path, settings: Settings) -> None:
    with pytest.raises(UserError, match=r"^cases\.count=-1: "):
        write_report(outputs, "demo", None, dataclasses.replace(settings, cases_count=-1))


def test_the_command_prints_the_main_table_and_the_path_of_the_page(outputs: Path, cli) -> None:
    lean(outputs)
    done = cli("report", "name=demo", f"paths.outputs={outputs}")
    assert done.returncode == 0, done.stderr
    assert "Every row: synthetic faces, simulated annotator." in done.stdout
    assert "SEKE: prior and self-verification" in done.stdout
    assert done.stdout.splitlines()[-1] == str(outputs / "report" / "demo" / "index.html")
    nothing = cli("report", "name=other", f"paths.outputs={outputs}")
    assert nothing.returncode == 2
    assert nothing.stderr.startswith("error: name=other: no finished run below")
    assert not (outputs / "report" / "other").exists()

"""The same command again notices pictures that are new, changed or gone since its run was finished."""

import os
import shutil

import pytest

from seke.core.errors import UserError
from seke.sources.faces_datasets.disfa import DISFA
from seke.sources.faces_datasets.folder import Folder
from seke.sources.faces_datasets.raf_db import RAFDB
from seke.sources.prepare import inventory, prepare

from ...trees import disfa, raf_db
from ...trees.pictures import picture, save


@pytest.fixture
def finished(tmp_path):
    """A folder of pictures and a run that has read it."""
    root, run = tmp_path / "pictures", tmp_path / "run"
    run.mkdir()
    for name in ("a.png", "b/c.png", "d.jpg"):
        save(root / name, name)
    (root / "notes.txt").write_text("no picture")
    prepare.write(Folder(str(root)), run, near_duplicate=None)
    return root, run


def check(root, run):
    inventory.check(Folder(str(root)), run)


def test_what_is_the_same_is_not_told(finished):
    root, run = finished
    check(root, run)
    os.utime(root / "a.png", ns=(1, 1))
    shutil.copy(root / "d.jpg", root / "copy.tmp")
    os.replace(root / "copy.tmp", root / "d.jpg")
    (root / "notes.txt").write_text("other words")
    check(root, run)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda root: save(root / "new.png", "new"), r"1 new \(new\.png\)"),
        (lambda root: (root / "b" / "c.png").unlink(), r"1 gone \(b/c\.png\)"),
        (lambda root: save(root / "a.png", "another"), r"1 changed \(a\.png\)"),
        (lambda root: (root / "a.png").rename(root / "z.png"), r"1 new \(z\.png\), 1 gone \(a\.png\)"),
        (
            lambda root: [save(root / f"n{k}.png", str(k)) for k in range(5)],
            r"5 new \(n0\.png, n1\.png, n2\.png, \.\.\.\)",
        ),
    ],
)
def test_a_new_a_changed_and_a_lost_picture_are_named(finished, change, told):
    root, run = finished
    change(root)
    with pytest.raises(UserError, match=rf"of its pictures now are {told}; say update=true"):
        check(root, run)


def test_another_picture_of_the_same_size_and_time_is_noticed(finished):
    root, run = finished
    file = root / "a.png"
    before, data = file.stat(), bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UserError, match=r"1 changed \(a\.png\)"):
        check(root, run)


def test_frames_that_a_run_draws_itself_are_none_of_its_inputs(tmp_path):
    pytest.importorskip("av")
    disfa.make(tmp_path / "data", layout="videos", subjects=disfa.SUBJECTS[:2])
    run = tmp_path / "run"
    run.mkdir()
    source = DISFA(str(tmp_path / "data"))
    prepare.write(source, run, 3, near_duplicate=None)
    inventory.check(source, run)
    other = tmp_path / "other"
    other.mkdir()
    prepare.write(DISFA(str(tmp_path / "data")), other, near_duplicate=None)
    inventory.check(DISFA(str(tmp_path / "data")), run)
    next((tmp_path / "data").rglob("*.avi")).unlink()
    with pytest.raises(UserError, match=r"1 gone \(.*\.avi\)"):
        inventory.check(source, run)


def test_links_and_names_that_are_not_utf8_are_rejected_whatever_the_source(tmp_path):
    raf_db.make(tmp_path / "data", original=False)
    (tmp_path / "data" / "more").symlink_to(tmp_path)
    try:
        picture("x").save(os.fsencode(tmp_path / "data/basic/Image/aligned") + b"/b\xff.png", "PNG")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    run = tmp_path / "run"
    run.mkdir()
    prepare.write(RAFDB(str(tmp_path / "data")), run, near_duplicate=None)
    text = (run / "rejected.jsonl").read_text()
    assert '{"id":"more","reason":"link"' in text
    assert 'b\\\\xff.png","reason":"bad name"' in text


def test_results_that_lie_among_the_pictures_are_none_of_them(cli, tmp_path):
    for name in ("happy/a.png", "sad/b.png"):
        save(tmp_path / name)
    for source, more in (("class_folders", "source.root={}"), ("folder", "source.labels=null")):
        words = ("prepare", f"source={source}", f"source.root={tmp_path}", f"paths.outputs={tmp_path / 'out'}", more)
        words = (*words[:4], f"name={source}", *(more,) * ("{}" not in more))
        first = cli(*words)
        assert first.returncode == 0 and "2 train" in first.stdout, first.stderr
        assert "finished already" in cli(*words).stdout


def test_folders_in_folders_without_end_are_listed_not_followed(tmp_path):
    save(tmp_path / "a.png")
    deep = tmp_path / "/".join("d" * 300)
    deep.mkdir(parents=True)
    save(deep / "b.png")
    run = tmp_path / "out" / "prepare" / "x"
    run.mkdir(parents=True)
    counts = prepare.write(Folder(str(tmp_path)), run, near_duplicate=None)
    assert (counts["train"], counts["rejected"]) == (1, 1)
    assert '"reason":"too deep"' in (run / "rejected.jsonl").read_text()


def test_a_damaged_inventory_is_named(finished):
    root, run = finished
    (run / inventory.FILE).write_text("[1]\n")
    with pytest.raises(UserError, match=r"pictures\.jsonl: line 1 is damaged"):
        check(root, run)


def test_through_the_command(cli, tmp_path):
    save(tmp_path / "pictures" / "a.png")
    words = ("prepare", "source=folder", f"source.root={tmp_path / 'pictures'}", f"paths.outputs={tmp_path}", "name=x")
    assert cli(*words).returncode == 0
    assert "finished already" in cli(*words).stdout
    save(tmp_path / "pictures" / "b.png")
    again = cli(*words)
    assert again.returncode == 2
    assert again.stderr.startswith("error: name=x: it is finished, but of its pictures now are 1 new (b.png); ")
    assert cli(*words, "overwrite=true").returncode == 0

import json

from PIL import Image

from seke.core.images import sha256
from seke.sources.prepare import image_check as module
from seke.sources.prepare.image_check import ImageChecks, check_image

from ...trees.pictures import save


def test_a_whole_picture_gives_its_digest_and_a_hash(tmp_path):
    save(tmp_path / "a.jpg")
    seen = check_image(tmp_path, "a.jpg")
    assert (seen.sha256, seen.problem) == (sha256((tmp_path / "a.jpg").read_bytes()), "")
    assert len(seen.phash) == 64


def test_what_is_no_whole_picture_inside_the_root_says_why(tmp_path):
    root = tmp_path / "root"
    save(root / "cut.jpg")
    (root / "cut.jpg").write_bytes((root / "cut.jpg").read_bytes()[:300])
    (root / "empty.png").touch()
    save(tmp_path / "secret.png")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    Image.new("1", (10_000, 6_000)).save(root / "bomb.png")
    Image.new("RGB", (3, 3)).save(root / "speck.png")
    problems = {
        name: check_image(root, name).problem for name in ("cut.jpg", "empty.png", "link.png", "bomb.png", "speck.png")
    }
    assert "whole" in problems["cut.jpg"]
    assert "whole" in problems["empty.png"]
    assert "leads out" in problems["link.png"]
    assert "too large" in problems["bomb.png"]
    assert "too small" in problems["speck.png"]
    assert "leads out" in check_image(root, "../secret.png").problem
    assert "no such file" in check_image(root, "gone.png").problem
    assert check_image(root, "a\0b.png").problem


def test_the_turn_that_exif_asks_for_is_part_of_what_is_seen(tmp_path):
    upright = Image.new("RGB", (40, 20), "red")
    upright.paste("blue", (0, 0, 10, 20))
    upright.save(tmp_path / "upright.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=turned)
    assert check_image(tmp_path, "turned.png").phash == check_image(tmp_path, "upright.png").phash


def test_a_file_is_opened_again_only_when_it_changed(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(module, "check_image", lambda root, image: opened.append(image) or check_image(root, image))
    save(tmp_path / "a.png", "first")
    save(tmp_path / "b.png")
    first = ImageChecks(tmp_path, tmp_path / "cache", workers=1).at(["a.png", "b.png"])
    with (tmp_path / "cache").open("a") as cache:
        cache.write(json.dumps(["c.png", "1/1", "cut short"])[:-4])
    save(tmp_path / "a.png", "second, and of another size", (64, 64))
    second = ImageChecks(tmp_path, tmp_path / "cache", workers=1).at(["a.png", "b.png"])
    assert opened == ["a.png", "b.png", "a.png"]
    assert second["b.png"] == first["b.png"]
    assert second["a.png"].sha256 != first["a.png"].sha256


def test_processes_see_what_one_process_sees(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ONE_PROCESS", 10)
    monkeypatch.setattr(module, "CHUNK", 7)
    names = [f"{n}.png" for n in range(30)]
    for name in names[:-1]:
        save(tmp_path / name, size=(20, 20))
    many = ImageChecks(tmp_path, tmp_path / "many", workers=2).at(names)
    assert many == {name: check_image(tmp_path, name) for name in names}
    assert many["29.png"].problem

"""Checkpoints on disk: which one a resume takes, what it holds, what stays, and who may read it."""

import pytest
import torch

from seke.core.errors import UserError
from seke.training.callbacks.checkpoints import MARK, newest, prune, read_mark, resumable, write_mark


def checkpoint(folder, step, complete=True, world=1):
    path = folder / f"step-{step:08}"
    (path / "state").mkdir(parents=True)
    (path / "state" / "shard.pt").write_bytes(b"x" * (10 + step))
    if complete:
        write_mark(path, step, 0, world, "DDPStrategy")
    return path


def test_a_mark_reads_as_it_was_written(tmp_path):
    mark = read_mark(checkpoint(tmp_path, 3, world=4))
    assert mark._replace(files={}) == (3, 0, 4, "DDPStrategy", {})
    assert mark.files == {"state/shard.pt": 13}


@pytest.mark.parametrize("damage", ["no mark", "half a mark", "a shorter file", "a missing file"])
def test_a_damaged_checkpoint_is_not_complete(tmp_path, damage):
    path = checkpoint(tmp_path, 3)
    if damage == "no mark":
        (path / MARK).rename(path / f"{MARK}.draft")
    elif damage == "half a mark":
        (path / MARK).write_bytes((path / MARK).read_bytes()[:20])
    elif damage == "a shorter file":
        (path / "state" / "shard.pt").write_bytes(b"xx")
    else:
        (path / "state" / "shard.pt").unlink()
    assert read_mark(path) is None


def test_a_half_written_checkpoint_is_skipped_with_one_line(tmp_path, capsys):
    whole = checkpoint(tmp_path, 9)
    half = checkpoint(tmp_path, 10, complete=False)
    assert newest(tmp_path) == (whole, [half])
    assert resumable(tmp_path, ranks=1) == whole
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ") and str(half) in line and "step 9" in line


def test_nothing_but_a_half_written_checkpoint_means_the_start(tmp_path, capsys):
    checkpoint(tmp_path, 10, complete=False)
    assert resumable(tmp_path, ranks=1) is None
    assert "the start" in capsys.readouterr().err


def test_no_checkpoint_is_no_reason_to_warn(tmp_path, capsys):
    assert resumable(tmp_path / "none", ranks=1) is None
    assert not capsys.readouterr().err


def test_another_number_of_ranks_is_refused_by_both_numbers(tmp_path):
    checkpoint(tmp_path, 9, world=4)
    with pytest.raises(UserError, match=r"^trainer.devices=3: .* 4 rank\(s\), this run has 3; resume on 4"):
        resumable(tmp_path, ranks=3)


def test_two_complete_checkpoints_stay_and_no_incomplete_one(tmp_path):
    for step in (1, 2, 3, 5):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 4, complete=False)
    prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000005"]


def test_a_killed_deletion_leaves_nothing_that_looks_complete(tmp_path, monkeypatch):
    for step in (1, 2, 3):
        checkpoint(tmp_path, step)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("seke.training.callbacks.checkpoints.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        prune(tmp_path)
    assert read_mark(tmp_path / "step-00000001") is None
    assert newest(tmp_path) == (tmp_path / "step-00000003", [])


def test_a_checkpoint_holds_only_what_trained_and_no_pickled_code(sft, tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    sft.stop_before(step=3)
    watched = {"validation": str(sft.base / "watched.jsonl")}
    with pytest.raises(sft.PowerCut):
        sft.train(tmp_path / "run", data=watched, checkpoint_every=1, log_every=1, validate_every=1)
    state = torch.load(newest(folder)[0] / "state", weights_only=True)
    # The names of their classes in earlier versions: a run that was begun by one of these goes on.
    assert set(state["callbacks"]) == {"Best", "Pace"}
    assert state["callbacks"]["Best"]["loss"] > 0 and state["callbacks"]["Pace"]["latest"]["loss"] > 0
    assert state["state_dict"] and not any("vision_tower" in name for name in state["state_dict"])
    assert any("language_model" in name for name in state["state_dict"])


def test_weights_that_do_not_fit_those_that_train_are_refused(sft, tmp_path):
    sft.stop_before(step=3)
    with pytest.raises(sft.PowerCut):
        sft.train(tmp_path / "run", checkpoint_every=1)
    sft.go_on()
    with pytest.raises(UserError, match=r"^ckpt=last: .*holds other weights"):
        sft.train(tmp_path / "run", trainable=["projector", "vision_tower"])

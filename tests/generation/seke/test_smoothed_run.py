"""generate.py with generator.smooth=true on drawn films: every second frame asked, labels by its neighbours."""

import json

from seke.core.records import InstructionRecord, read_jsonl

from ...users.terminal import Terminal


def test_frames_left_out_are_labelled_by_their_neighbours_and_the_run_says_so(cli, tmp_path):
    run = Terminal(cli, tmp_path)
    run("prepare", "source=synthetic_clips", "name=films", "source.images=600", "source.frames=12", "source.rate=4")
    asking = ("generator.aggregate=calibrated", "generator.pilot=200", "stopping=fixed", "generator.max_samples=2")
    run("generate", "records=films", "name=half", *asking, "generator.smooth=true", "generator.ask_every=2")
    facts = json.loads(run.read("generate", "half", "smoothing.json"))
    assert set(facts["descriptions"]["au"]) >= {"power", "offset", "rate_factor", "shared_by_a_video", "refused"}
    rows = list(read_jsonl(tmp_path / "generate" / "half" / "instructions.jsonl", InstructionRecord))
    assert rows and all(row.labels.complete for row in rows)
    smoothed = {source for source in facts["rates_per_second"] for each in facts["descriptions"].values()
                if each["power"] is not None and source not in each["refused"]}  # fmt: skip
    assert {row.source for row in rows if "smoothed" in row.flags} <= smoothed

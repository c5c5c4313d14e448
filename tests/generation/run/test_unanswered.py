from seke.core.records import ImageRecord, Labels
from seke.core.vlm import Choice
from seke.generation.run.generate import DECLINED
from seke.generation.run.unanswered import unanswered


def record(index, source="s", subject="a", expression=None):
    return ImageRecord(
        id=str(index),
        image="x",
        sha256="x",
        source=source,
        subject=subject,
        split="train",
        labels=Labels(expression=expression),
    )


def test_rates_by_source_expression_and_subject():
    records = [record(0, expression="fear"), record(1, expression="fear"), record(2, "t", None), record(3, "t", "b")]
    page = unanswered(records, {"0": "refusal", "2": "filtered", "3": "refusal"})
    assert "3 of 4 records" in page
    assert "| s | 2 | 50.0% | 0 | 1 |" in page
    assert "| t | 2 | 100.0% | 1 | 1 |" in page
    assert "| fear | 2 | 50.0% | 0 | 1 |" in page
    assert "| unknown | 2 | 100.0% | 1 | 1 |" in page
    assert "| t/b | 1 | 100.0% | 0 | 1 |" in page


def test_nobody_left_out_is_said_too():
    assert "None of 1 records" in unanswered([record(0)], {})


def test_a_declined_face_goes_to_the_fallback_with_both_bills(make_seke, scripted, data, tmp_path):
    from seke.generation.run import generate

    declining = scripted(lambda request, number: Choice("I'm sorry", "refusal"))
    records = data.records[:6]
    done = generate.generate(records, data.folder / "images", make_seke(declining), tmp_path, 4, fallback=make_seke())
    assert (done.instructions, done.rejected) == (6, 0)
    assert "simulated" in (tmp_path / "instructions.jsonl").read_text()
    alone = tmp_path / "alone"
    alone.mkdir()
    generate.generate(records, data.folder / "images", make_seke(), alone, 4)
    assert len(declining.asked) + requests(alone) == requests(tmp_path)


def requests(folder):
    import json

    return json.loads((folder / "cost.json").read_text())["requests"]


def test_without_a_fallback_refusals_are_rejected_and_tabled(make_seke, scripted, data, tmp_path):
    from seke.generation.run import generate

    declining = scripted(lambda request, number: Choice("I'm sorry", "refusal"))
    done = generate.generate(data.records[:6], data.folder / "images", make_seke(declining), tmp_path, 4)
    assert (done.instructions, done.rejected) == (0, 6)
    assert "6 of 6 records" in (tmp_path / "unanswered.md").read_text()
    assert "refusal" in DECLINED

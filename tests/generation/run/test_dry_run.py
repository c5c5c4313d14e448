import json
from types import SimpleNamespace

import pytest

from seke.core.dry_run import Asked, Estimate, MadeUp, table
from seke.generation.calibration.patterns import asked_of
from seke.generation.run.dry_run import dry_run, estimate, play
from seke.generation.seke.stopping import fixed, uamc


def opened(data):
    faces = {face.record.id: face for face in data.faces}
    return lambda record: faces[record.id]


def test_calls_and_prompts_of_a_fixed_number_of_draws_are_exact(make_seke, data):
    made_up = MadeUp()
    generator = make_seke(made_up, stopping=fixed(3))
    [found] = estimate(generator, [made_up], data.records, opened(data))
    real = make_seke(stopping=fixed(3))
    traces = [outcome.trace for outcome in real.generate(data.faces)]
    assert found.requests == sum(trace.requests for trace in traces) == 2 * len(data.records)
    assert found.input_tokens == pytest.approx(sum(trace.input_tokens for trace in traces), rel=0.1)


def test_the_worst_case_takes_every_draw_and_every_token(make_seke, data):
    expected, worst = MadeUp(), MadeUp(worst=True)
    found = [
        estimate(make_seke(vlm, stopping=uamc(5)), [vlm], data.records, opened(data))[0] for vlm in (expected, worst)
    ]
    assert found[0].requests < found[1].requests
    assert found[0].output_tokens < found[1].output_tokens
    assert found[1].output_tokens >= 4 * 512 * len(data.records)


def test_a_sample_stands_for_all(make_seke, data, monkeypatch):
    monkeypatch.setattr("seke.core.dry_run.SAMPLE", 10)
    made_up = MadeUp()
    [found] = estimate(make_seke(made_up, stopping=fixed(3)), [made_up], data.records, opened(data))
    assert found.requests == 2 * len(data.records)
    assert made_up.requests == 20


def test_the_pilot_is_counted_once_and_whole(make_seke, data, monkeypatch):
    monkeypatch.setattr("seke.generation.calibration.pilot.FEWEST", 5)
    monkeypatch.setattr("seke.core.dry_run.SAMPLE", 10)
    made_up = MadeUp()
    generator = make_seke(made_up, stopping=fixed(3), aggregate="calibrated", pilot=8)
    [found] = estimate(generator, [made_up], data.records, opened(data))
    pilot = made_up.requests - 20
    assert pilot >= 8
    assert found.requests == pilot + 2 * len(data.records)


@pytest.mark.parametrize("sample", [10, 300])
def test_first_draws_that_normalise_a_ledger_holds_when_the_records_turn_comes(make_seke, data, monkeypatch, sample):
    """Algorithm 1 begins with the very two draws that normalise=empirical has asked for already."""
    monkeypatch.setattr("seke.core.dry_run.SAMPLE", sample)
    calls = {}
    for normalise in ("theoretical", "empirical"):
        for recalls in (False, True):
            made_up = MadeUp(worst=True, recalls=recalls)
            generator = make_seke(made_up, stopping=uamc(2), normalise=normalise, pilot=len(data.records))
            calls[normalise, recalls] = estimate(generator, [made_up], data.records, opened(data))[0].requests
    assert calls["empirical", False] == calls["theoretical", False] + len(data.records)
    assert calls["empirical", True] == calls["theoretical", True] == calls["theoretical", False]


@pytest.mark.parametrize(("ledger", "more"), [("ledger.sqlite", 0), (None, 40)])
def test_the_estimate_recalls_only_where_the_annotator_keeps_a_ledger(make_seke, data, ledger, more):
    def made(vlm):
        return make_seke(vlm, stopping=uamc(2), normalise="empirical", pilot=len(data.records))

    text = dry_run(made, data.records, opened(data), SimpleNamespace(prices={"a": [2.5, 10]}, ledger=ledger))
    requests = next(line for line in text.splitlines() if line.startswith("requests"))
    assert requests.split()[1:] == [f"{2 * len(data.records) + more}"] * 2


def test_dollars_by_hand():
    assert Estimate(1, 2_000_000, 100_000).usd([2.5, 10.0, 1.25]) == 6.0
    assert Estimate(1, 1, 1).usd([None, 10.0]) is None


def test_the_table_names_every_model(make_seke, data):
    annotator = SimpleNamespace(prices={"a": [2.5, 10], "b": [None, None]})
    text = dry_run(lambda vlm: make_seke(vlm), data.records, opened(data), annotator)
    assert f"{len(data.records)} records; nothing was asked" in text
    assert "$" in next(line for line in text.splitlines() if line.startswith("a "))
    assert "unknown" in next(line for line in text.splitlines() if line.startswith("b "))
    assert "no price is known" in table(3, [Asked("annotator", "", {}, Estimate(1), Estimate(1))])
    assert "nobody is asked" in table(3, [Asked("annotator", "", {}, Estimate(), Estimate())])


def test_a_dry_run_writes_nothing(cli, data, tmp_path):
    records = f"records={data.folder / 'train.jsonl'}"
    done = cli("generate", f"paths.outputs={tmp_path}", records, "name=g", "backend=openai", "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "gpt-4o " in done.stdout
    assert not (tmp_path / "generate").exists()
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_spent_budget_ends_with_exit_code_3_and_the_same_command_goes_on(cli, data, tmp_path):
    records = (f"paths.outputs={tmp_path}", f"records={data.folder / 'train.jsonl'}", "limit=16")
    priced = (*records, "backend.usd_per_million=[2.5,10]")
    whole = cli("generate", *priced, "name=whole")
    assert whole.returncode == 0, whole.stderr
    usd = json.loads((tmp_path / "generate" / "whole" / "cost.json").read_text())["usd"]
    budget = f"budget.usd={usd / 2.5:.4f}"
    done = [cli("generate", *priced, "name=g", "chunk=2", "wandb=offline", budget) for _ in range(3)]
    assert [each.returncode for each in done] == [3, 3, 0], done[-1].stderr
    assert f"paused: {budget} is spent" in done[0].stderr
    runs = [tmp_path / "generate" / name / "instructions.jsonl" for name in ("whole", "g")]
    assert runs[0].read_bytes() == runs[1].read_bytes()
    assert list((tmp_path / "generate" / "g").glob("wandb/offline-run-*/run-*.wandb"))
    assert json.loads((tmp_path / "generate" / "g" / "cost.json").read_text())["usd"] == pytest.approx(usd)


def test_the_estimate_supposes_an_annotator_worth_asking_and_tells_the_pilot(make_seke, data, monkeypatch):
    monkeypatch.setattr("seke.generation.calibration.pilot.FEWEST", 5)

    def made(vlm):
        return make_seke(vlm, stopping=fixed(3), aggregate="calibrated", pilot=8)

    expected, worst = MadeUp(), MadeUp(worst=True)
    several = sum(len(asked_of(record.labels)) > 1 for record in data.records)
    for made_up, second in ((expected, 0), (worst, several)):
        found = play(made(made_up), [made_up], data.records, opened(data))
        bulk = found.whole[0].requests - found.pilot[0].requests
        assert bulk == 2 * len(data.records) + second, "draws and a description, at worst draws by a second prompt"
    text = dry_run(made, data.records, opened(data), SimpleNamespace(prices={"a": [2.5, 10]}))
    assert f"the pilot is {found.pilot[0].requests:.0f} of these requests" in text

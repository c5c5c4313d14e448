"""Witnesses: what they are worth in worlds where it is known, what is refused, and how tables find their records."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from seke.core.affect import AUS_OF_SOURCE, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.label_prior import AUS, couplings, tabulate
from seke.core.records import ImageRecord, Labels
from seke.generation.asked import missing
from seke.generation.blind import Blind
from seke.generation.calibration.annotator_model import Heard, Masked, nothing_heard
from seke.generation.calibration.arms import choose
from seke.generation.calibration.calibration_file import FILE, content, draws_in, located, remarks
from seke.generation.calibration.patterns import Demand, Pattern
from seke.generation.calibration.study import NOBODY, SHOWN, Settings
from seke.generation.calibration.witnesses import Witness, fit_shares, fit_units, together, witnesses_of
from seke.generation.outcome import Face
from seke.generation.seke.stopping import fixed
from seke.generation.witnesses.said import Answer, as_arrays
from seke.generation.witnesses.tables import Matched, entries, inputs, matched

UNITS = AUS_OF_SOURCE["bp4d"]
KNOWN_EXPRESSION = Pattern(True, False, False)


def faces(size, seed, subjects=60):
    """Faces of which people named the expression and half have AUs, a little dependent on it."""
    rng = np.random.default_rng(seed)
    p_EA = np.random.default_rng(99).uniform(0.1, 0.5, (len(EXPRESSIONS), len(UNITS)))
    found = []
    for number, e in enumerate(rng.integers(0, len(EXPRESSIONS), size)):
        units = dict(zip(UNITS, map(bool, rng.random(len(UNITS)) < p_EA[e]), strict=True))
        labels = Labels(expression=EXPRESSIONS[e], action_units=units)
        found.append(
            ImageRecord(
                id=f"r{number}",
                image=f"{number}.png",
                sha256="0" * 64,
                source="s",
                subject=f"p{number % subjects}",
                split="train",
                labels=labels,
            )
        )
    return found


def specialist(records, strength, seed=1, shuffled=False):
    """AU scores: normal, `strength` standard deviations higher where the AU is active."""
    rng = np.random.default_rng(seed)
    answers = [
        Answer(units={au: float(strength * on + rng.normal()) for au, on in record.labels.action_units.items()})
        for record in records
    ]
    if shuffled:
        rng.shuffle(answers)
    return answers


def witness(records, answers, name="w"):
    found = Matched(name, as_arrays(answers), len(records), 0, 0)
    return witnesses_of([found], records, {record.id: record.labels for record in records})[0]


def pilot(records, right, seed=2, copy=None):
    """AUs are masked; the annotator calls each as it is so often, the same in all draws of an image."""
    rng = np.random.default_rng(seed)
    rows = []
    for record in records:
        truth = record.labels.action_units
        said = copy[record.id] if copy else {au: bool(on == (rng.random() < right)) for au, on in truth.items()}
        rows.append(
            Masked(
                id=record.id,
                subject=f"s/{record.subject}",
                truth=Labels(action_units=truth),
                known=Labels(expression=record.labels.expression),
                draws=(Labels(action_units=said),) * 2,
                pattern=KNOWN_EXPRESSION.name,
            )
        )
    return rows


def chosen(rows, witnesses, prompts=(SHOWN,), paid=None):
    taught = couplings(tabulate(record.labels for record in faces(600, 5)))
    demand = {KNOWN_EXPRESSION: Demand(1000, {"au": 1000})}
    return choose(rows, demand, lambda without: taught, Settings((2,), prompts, paid=paid), witnesses)


RECORDS = faces(160, 0)


def test_a_specialist_is_heard_and_lowers_the_loss():
    rows = pilot(RECORDS, 0.75)
    alone, beside = (
        chosen(rows, each).arms[KNOWN_EXPRESSION]["au"] for each in ([], [witness(RECORDS, specialist(RECORDS, 2.0))])
    )
    assert beside.loss < alone.loss - 0.05
    assert beside.powers[0] > 0.7
    assert beside.losses[NOBODY] < alone.losses[NOBODY] - 0.05, "heard where nobody is asked, too"


def test_a_table_dealt_out_at_random_is_refused_and_said_so():
    found = chosen(pilot(RECORDS, 0.75), [witness(RECORDS, specialist(RECORDS, 2.0, shuffled=True), "dice")])
    assert found.arms[KNOWN_EXPRESSION]["au"].powers == (0.0,)
    assert any("witness dice adds nothing about action units" in line for line in remarks(found))
    page = json.loads(content(found))
    assert page["patterns"][KNOWN_EXPRESSION.name]["arms"]["au"]["witnesses"] == {"dice": 0.0}
    assert page["witnesses"]["dice"]["human_labels"] == {"expression": 0, "va": 0, "au": 160}


def test_a_copy_of_the_annotator_gains_nothing():
    rng = np.random.default_rng(3)
    said = {r.id: {au: bool(on == (rng.random() < 0.8)) for au, on in r.labels.action_units.items()} for r in RECORDS}
    copies = [Answer(units={au: float(on) for au, on in said[record.id].items()}) for record in RECORDS]
    rows = pilot(RECORDS, 0.8, copy=said)
    alone, beside = (chosen(rows, each).arms[KNOWN_EXPRESSION]["au"] for each in ([], [witness(RECORDS, copies)]))
    assert beside.loss > alone.loss - 0.01
    assert beside.losses[NOBODY] == pytest.approx(alone.loss, abs=0.01), "a copy for nothing is worth as much"


def test_draws_that_are_there_are_read_beside_a_witness_that_makes_asking_needless():
    rows, told = pilot(RECORDS, 0.65), witness(RECORDS, specialist(RECORDS, 3.0))
    asking = chosen(rows, [told]).arms[KNOWN_EXPRESSION]["au"]
    assert not asking.looks, "what it adds to the witness is not worth a request"
    paid = chosen(rows, [told], paid={KNOWN_EXPRESSION: {SHOWN: 2}}).arms[KNOWN_EXPRESSION]["au"]
    assert paid.looks
    assert paid.loss < asking.loss


def test_nobody_is_asked_where_no_draws_are_there():
    good = pilot(RECORDS, 0.95)
    assert chosen(good, []).arms[KNOWN_EXPRESSION]["au"].looks
    assert not chosen(good, [], paid={}).arms[KNOWN_EXPRESSION]["au"].looks
    assert not chosen(good, [], paid={KNOWN_EXPRESSION: {}}).arms[KNOWN_EXPRESSION]["au"].looks


def test_draws_that_say_nothing_count_for_little_though_they_are_paid():
    found = chosen(pilot(RECORDS, 0.5), [], paid={KNOWN_EXPRESSION: {SHOWN: 2}}).arms[KNOWN_EXPRESSION]["au"]
    assert found.loss < found.losses[NOBODY] + 0.01


def test_a_run_says_which_draws_there_are(tmp_path):
    found = chosen(pilot(RECORDS, 0.95), [])
    (tmp_path / FILE).write_text(content(found))
    assert draws_in(located(str(tmp_path), tmp_path)) == {KNOWN_EXPRESSION: {SHOWN: 2}}
    assert located(None, tmp_path) is None


@pytest.mark.parametrize("text", ["no JSON", "{}", '{"patterns": {"au": {"arms": {"va": {"prompt": "shown"}}}}}'])
def test_a_broken_calibration_of_a_run_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=r"generator\.reuse"):
        draws_in(tmp_path / FILE)
    with pytest.raises(UserError, match=r"generator\.reuse=elsewhere"):
        located("elsewhere", tmp_path)


def test_of_two_equal_witnesses_one_is_heard():
    table = specialist(RECORDS, 2.0)
    one, two = witness(RECORDS, table, "a"), witness(RECORDS, table, "b")
    single, double = (chosen(pilot(RECORDS, 0.6), each).arms[KNOWN_EXPRESSION]["au"] for each in ([one], [one, two]))
    assert min(double.powers) == 0.0
    assert double.loss == pytest.approx(single.loss, abs=0.01)


def test_witnesses_alone_need_no_annotator():
    rows = [row.model_copy(update={"draws": ()}) for row in pilot(RECORDS, 0.75)]
    arm = chosen(rows, [witness(RECORDS, specialist(RECORDS, 2.0))], prompts=()).arms[KNOWN_EXPRESSION]["au"]
    assert not arm.looks
    assert arm.gain is None
    assert arm.powers[0] > 0.7


def test_probabilities_are_true_where_a_witness_is_heard():
    """P(active) of AUs against how often they are active, on people that taught nothing."""
    both = faces(800, 7, subjects=80)
    taught, new = both[:400], both[400:]
    told = witness(both, specialist(both, 1.5), "w")
    lessons = {record.id: record.labels for record in taught}
    told = witnesses_of([Matched("w", told.said, 0, 0, 0)], both, lessons)[0]
    found = chosen(pilot(taught[:160], 0.7), [told], prompts=())
    arm = found.arms[KNOWN_EXPRESSION]["au"]
    heard = told.heard([record.id for record in new])
    p, active = [], []
    for row, record in enumerate(new):
        mine = [Heard(*(column[row : row + 1] for column in heard))]
        known = Labels(expression=record.labels.expression)
        belief = found.posterior({"au": arm}, known, missing(known), {}, mine).action_units
        p += [belief[au] for au in UNITS]
        active += [record.labels.action_units[au] for au in UNITS]
    p, active = np.array(p), np.array(active)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        here = (p >= low) & (p < low + 0.2)
        assert abs(p[here].mean() - active[here].mean()) < 0.05, low


def test_logistic_regression_against_a_general_optimiser():
    rng = np.random.default_rng(0)
    truth = np.full((300, len(AUS)), np.nan)
    score = rng.normal(size=(300, len(AUS), 2))
    truth[:, :3] = rng.random((300, 3)) < expit(-1 + 1.5 * score[:, :3, 0])
    found = fit_units(score, truth)
    told = np.isfinite(truth)
    base = logit((np.nansum(truth, axis=0) + 0.5) / (told.sum(axis=0) + 1))

    def fitted(rows, y, offset, towards, precision):
        def loss(x):
            z = offset + rows @ x
            return (np.logaddexp(0, z) - y * z).sum() + 0.5 * precision * ((x - towards) ** 2).sum()

        return minimize(loss, towards, tol=1e-10).x

    rows = np.concatenate([np.ones((300, len(AUS), 1)), score], axis=2)
    pooled = fitted(rows[told], truth[told], np.broadcast_to(base, told.shape)[told], np.zeros(3), 1.0)
    for au in range(3):
        assert found[au] == pytest.approx(fitted(rows[:, au], truth[:, au], base[au], pooled, 2.0), abs=1e-3)
    assert found[5] == pytest.approx(pooled, abs=1e-3), "an AU that nobody labelled is read as all are"


def test_shares_are_read_as_sure_as_they_are():
    rng = np.random.default_rng(0)
    truth = np.eye(8)[rng.integers(0, 8, 4000)]
    logs = np.log(rng.dirichlet(np.ones(8), 4000) + 0.01)
    honest = np.array([rng.choice(8, p=row / row.sum()) for row in np.exp(0.5 * logs)])
    temperature, _ = fit_shares(logs, np.eye(8)[honest])
    assert temperature == pytest.approx(0.5, abs=0.1)
    assert fit_shares(logs, truth)[0] < 0.1, "shares that have nothing to do with the truth"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=2), st.integers(0, 9))
def test_several_witnesses_against_adding_up_one_by_one(powers, seed):
    rng = np.random.default_rng(seed)
    base = nothing_heard(3)._replace(mean_ND=rng.normal(size=(3, 2)), sd_ND=rng.uniform(0.1, 1, (3, 2)))
    others = [
        Heard(
            rng.normal(size=(3, 8)), rng.normal(size=(3, 17)), np.zeros((3, 17)), rng.normal(size=(3, 2)),
            np.where(rng.random((3, 2)) < 0.3, np.inf, 0.4),
        )
        for _ in powers
    ]  # fmt: skip
    found = together(base, others, powers)
    assert np.allclose(found.votes_NE, sum(p * o.votes_NE for p, o in zip(powers, others, strict=True)))
    precision = base.sd_ND**-2 + sum(p * o.sd_ND**-2.0 for p, o in zip(powers, others, strict=True))
    mean = base.mean_ND * base.sd_ND**-2 + sum(
        p * o.sd_ND**-2.0 * o.mean_ND for p, o in zip(powers, others, strict=True)
    )
    assert np.allclose(found.sd_ND, precision**-0.5)
    assert np.allclose(found.mean_ND, mean / precision)


def test_too_few_labels_leave_a_witness_out_and_say_how_many_are_needed():
    few = witness(RECORDS[:30], specialist(RECORDS[:30], 2.0))
    assert few.mute
    assert "action units (30); 40 of 2 or more persons are needed: it is left out" in few.remarks()[1]
    alone = [record.model_copy(update={"subject": "one"}) for record in RECORDS]
    assert witness(alone, specialist(alone, 2.0)).mute, "one person's habits are nobody else's"


def test_tables_of_four_tools_say_the_same(tmp_path):
    records = RECORDS[:3]
    tables = {
        "openface.csv": "filename,success,AU12_r,AU12_c,AU45_r\nx/0.png,1,2,1,0\nx/1.png,1,0,0,0\nx/2.png,0,5,1,0\n",
        "pyfeat.csv": "input,AU12,anger,happiness,neutral\n/data/0.png,0.9,0.1,0.8,0.1\n/data/1.png,0.2,0.5,0.2,0.3\n",
        "libreface.csv": "image_path,au_12,au_12_intensity,facial_expression\n0.png,1,2,Happiness\n1.png,0,0,Anger\n",
        "own.csv": "Bild;laecheln\n0;2,5\n1;0,5\n",
    }
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
    given = [
        str(tmp_path / "openface.csv"),
        {"path": str(tmp_path / "pyfeat.csv")},
        str(tmp_path / "libreface.csv"),
        {"path": str(tmp_path / "own.csv"), "name": "mine", "columns": {"image": "Bild", "AU12_r": "laecheln"}},
    ]
    listed = entries(given, tmp_path)
    assert [entry.name for entry in listed] == ["openface", "pyfeat", "libreface", "mine"]
    assert list(inputs(listed)) == ["witness.openface", "witness.pyfeat", "witness.libreface", "witness.mine"]
    for entry in listed:
        found = matched(entry, records)
        assert found.said.told_NA[:, AUS.index(12)].tolist() == [True, True, False], entry.name
        assert found.said.units_NAF[0, AUS.index(12), 0] > 0 > found.said.units_NAF[1, AUS.index(12), 0]
        assert "answer for 2 of 3 records (1 without an answer)" in found.line
    shares = matched(listed[1], records).said.shares_NE
    assert np.argmax(shares[0]) == EXPRESSIONS.index("happiness")
    assert np.isnan(shares[2]).all()


def test_runs_are_witnesses_and_what_people_said_is_none_of_their_answers(tmp_path):
    labels = {"expression": "fear", "valence": -0.5, "arousal": 0.5, "action_units": {"1": True, "12": False}}
    units = {"1": "generated", "12": "manual"}
    origin = {"expression": "manual", "valence": "generated", "arousal": "manual", "action_units": units}
    sure = {"action_units": {"1": 0.8}}
    for run, file, row in (
        ("evaluate/model", "predictions.jsonl", {"id": "r0", "labels": labels, "confidence": sure}),
        ("generate/seke", "draws.jsonl", {"id": "r0", "draws": [labels, labels | {"expression": "anger"}]}),
        ("generate/other", "instructions.jsonl", {"id": "r0", "labels": labels, "origin": origin}),
    ):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / file).write_text(json.dumps(row) + "\n")
    told = {"id": "r1", "known": {"expression": "fear", "valence": None}, "draws": [labels], "hidden_draws": [labels]}
    angry = {"id": "r0", "known": {}, "draws": [labels | {"expression": "anger"}], "hidden_draws": []}
    (tmp_path / "generate/seke/pilot.jsonl").write_text(f"{json.dumps(told)}\n{json.dumps(angry)}\n")
    shown = {"id": "r1", "prior": {"expression": "fear"}, "draws": [labels]}
    (tmp_path / "generate/shown").mkdir()
    (tmp_path / "generate/shown/draws.jsonl").write_text(json.dumps(shown) + "\n")
    with pytest.raises(UserError, match="says nothing about any face"):
        matched(entries(["shown"], tmp_path)[0], RECORDS[:2])
    own = str(tmp_path / "generate/other/instructions.jsonl")
    model, draws, rows = (matched(entry, RECORDS[:2]).said for entry in entries(["model", "seke", own], tmp_path))
    assert model.told_NA.sum() == draws.told_NA[0].sum() == 2
    assert draws.answered_N.all(), "the pilot's answers are answers, where the prompt showed nothing"
    assert draws.shares_NE[0, EXPRESSIONS.index("fear")] == draws.shares_NE[0, EXPRESSIONS.index("anger")]
    assert rows.told_NA.sum() == 1
    assert np.isnan(rows.shares_NE).all()
    assert np.isfinite(rows.va_ND).tolist() == [[True, False], [False, False]]


def test_rows_find_pictures_of_one_name_by_their_folders_or_not_at_all(tmp_path):
    both = [RECORDS[0].model_copy(update={"id": name, "image": f"{name}/face.png"}) for name in ("anna", "bob")]
    (tmp_path / "t.csv").write_text("image,AU12\n/old/anna/face.jpg,1\nface.png,0\n")
    found = matched(entries([str(tmp_path / "t.csv")], tmp_path)[0], both)
    assert found.said.answered_N.tolist() == [True, False]
    assert found.strange == 1
    (tmp_path / "two.csv").write_text("id,AU12\nanna,1\nanna,0\nbob,1\n")
    twice = matched(entries([str(tmp_path / "two.csv")], tmp_path)[0], both)
    assert twice.said.answered_N.tolist() == [False, True], "two faces in one picture: nobody knows which is meant"
    assert "1 records have several rows" in twice.line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image,AU12\nother.png,1\n", "none of its 1 rows is about a record: the first is about other.png"),
        ("image,notes\n0.png,hello\n", "says nothing about any face"),
        ("AU12,AU6\n1,0\n", "no column says which picture a row is about"),
    ],
)
def test_bad_tables_end_in_one_line(tmp_path, text, problem):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=r"generator\.witnesses") as error:
        matched(entries([str(tmp_path / "t.csv")], tmp_path)[0], RECORDS)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["missing.csv"], "neither a table nor a finished run"),
        ([{"pfad": "x"}], "no such setting"),
        ([7], "names no file"),
        (["a.csv"] * 5, "4 witnesses are the most"),
        (["t.csv", "t.csv"], "two witnesses have this name"),
        ([{"path": "t.csv", "columns": {"smile": "x"}}], "no column of ours"),
    ],
)
def test_bad_settings_end_in_one_line(tmp_path, monkeypatch, given, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("image,AU12\n0.png,1\n")
    with pytest.raises(UserError, match=r"generator\.witnesses") as error:
        entries(given, tmp_path)
    assert problem in str(error.value)


def test_a_shared_witness_is_fitted_once_for_each_side():
    told = witness(RECORDS, specialist(RECORDS, 2.0))
    assert isinstance(told, Witness)
    assert told.channels({"s/p1"}) is told.channels({"s/p1"})
    assert told.channels({"s/p1"}) is not told.channels()


def test_generators_hear_a_table_with_and_without_an_annotator(make_seke, prompts, data, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("seke.generation.calibration.pilot.FEWEST", 4)
    units = sorted(data.truth[data.records[0].id].action_units)
    # Four times as many, each another person: of five people nobody can be sure of so many gates at once.
    faces = [
        Face(face.record.model_copy(update={"id": f"{face.record.id}/{copy}", "subject": None}), face.image)
        for copy in range(4)
        for face in data.faces
    ]
    records, truth = (
        [face.record for face in faces],
        {face.record.id: data.truth[face.record.id[:-2]] for face in faces},
    )
    rows = [f"id,{','.join(f'AU{au}' for au in units)}"]
    for record in records[:-1]:
        rows.append(f"{record.id},{','.join(str(int(truth[record.id].action_units[au])) for au in units)}")
    (tmp_path / "perfect.csv").write_text("\n".join(rows))
    faces_of = {face.record.id: face for face in faces}
    table = {"witnesses": [str(tmp_path / "perfect.csv")]}
    seke = make_seke(stopping=fixed(2), max_samples=2, aggregate="calibrated", pilot=60, **table)
    wrong = {}
    for generator in (Blind(None, prompts, **table), seke, Blind(None, prompts)):
        with caplog.at_level("WARNING"):
            generator.learn(records, lambda record: faces_of[record.id], tmp_path)
        made = [outcome.row for outcome in generator.generate(faces)]
        assert ("witnesses" in made[0].flags) == bool(generator.witnesses)
        assert "witnesses" not in made[-1].flags, "the table lacks the last one"
        if generator is not seke:
            assert made[0].annotator == ("witness perfect" if generator.witnesses else "none"), "nobody was asked"
        wrong[generator] = sum(
            active != truth[row.id].action_units[au] for row in made for au, active in row.labels.action_units.items()
        )
    assert "witness perfect: 159 rows answer for 159 of 160 records (1 without an answer)" in caplog.text
    free, both, nobody = wrong.values()
    assert max(free, both) < nobody / 2
    with pytest.raises(UserError, match=r"set generator\.aggregate=calibrated"):
        make_seke(**table)

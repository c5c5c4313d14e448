from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from seke.core.records import ImageRecord, Labels
from seke.sources.prepare.subsample import by_expression, by_rarest_au, draw, draw_plainly, even_shares

FACES = ("neutral", "happiness", "fear")


def record(index, expression=None, subject=None, active=(), source="s"):
    units = {au: au in active for au in (1, 2, 4)} if active is not None else None
    labels = Labels(expression=expression, action_units=units)
    return ImageRecord(
        id=f"{source}/{index}",
        image=f"{index}.jpg",
        sha256=None,
        source=source,
        subject=subject,
        split="train",
        labels=labels,
    )


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 50), min_size=1), st.integers(0, 300))
def test_shares_are_as_even_as_sizes_allow(sizes, total):
    shares = even_shares(total, sizes)
    assert sum(shares.values()) == min(total, sum(sizes.values()))
    assert all(shares[name] <= size for name, size in sizes.items())
    cut = [shares[name] for name, size in sizes.items() if shares[name] < size]
    assert not cut or max(shares.values()) - min(cut) <= 1


@given(
    st.lists(st.tuples(st.sampled_from(FACES), st.integers(0, 5)), max_size=60), st.integers(0, 70), st.integers(0, 3)
)
def test_a_draw_keeps_the_order_and_is_balanced(rows, count, seed):
    pool = [record(index, face, f"S{person}") for index, (face, person) in enumerate(rows)]
    chosen = draw(pool, count, by_expression(pool), seed)
    assert chosen == [row for row in pool if row in chosen]
    assert len(chosen) == min(count, len(pool))
    drawn, there = (Counter(row.labels.expression for row in rows) for rows in (chosen, pool))
    cut = [drawn[face] for face in there if drawn[face] < there[face]]
    assert not cut or max(drawn.values(), default=0) - min(cut) <= 1


@given(st.permutations(range(30)), st.integers(1, 30))
def test_the_order_of_rows_changes_nothing(order, count):
    pool = [record(index, FACES[index % 3], f"S{index % 4}") for index in range(30)]
    ids = {row.id for row in draw(pool, count, by_expression(pool), 0)}
    assert {row.id for row in draw([pool[k] for k in order], count, by_expression(pool), 0)} == ids


def test_subjects_take_turns():
    pool = [record(index, "fear", "many" if index < 90 else f"few{index}") for index in range(100)]
    people = Counter(row.subject for row in draw(pool, 20, by_expression(pool), 0))
    assert people == {"many": 10, **{f"few{index}": 1 for index in range(90, 100)}}


def test_other_seeds_draw_other_rows():
    pool = [record(index, "fear") for index in range(100)]
    assert draw(pool, 20, by_expression(pool), 0) != draw(pool, 20, by_expression(pool), 1)


def test_the_rarest_action_unit_is_kept_whole():
    pool = [record(index, active=(4,)) for index in range(200)]
    pool += [record(index, active=(2, 4)) for index in range(200, 206)]
    pool += [record(index, active=()) for index in range(206, 400)]
    active = Counter(row.labels.active for row in draw(pool, 60, by_rarest_au(pool), 0))
    assert active == {(2, 4): 6, (4,): 27, (): 27}


def test_a_plain_draw_keeps_what_is_rare_as_rare_as_it_is() -> None:
    """AU15 active in 2 of 100 frames: even over the rarest active AU it would be a third of the draw."""
    pool = [record(index, active=(4,) if index % 2 else (), subject=f"S{index % 9}") for index in range(9_800)]
    pool += [record(index, active=(2,), subject="S1") for index in range(9_800, 10_000)]
    shares = {
        name: sum(2 in row.labels.active for row in rows) / len(rows)
        for name, rows in (("plain", draw_plainly(pool, 700, 0)), ("even", draw(pool, 600, by_rarest_au(pool), 0)))
    }
    assert abs(shares["plain"] - 0.02) < 4 * (0.02 * 0.98 / 700) ** 0.5
    assert shares["even"] > 0.3


@given(st.permutations(range(30)), st.integers(0, 40))
def test_a_plain_draw_does_not_depend_on_the_order_and_keeps_it(order, count) -> None:
    pool = [record(index, "fear") for index in order]
    chosen = draw_plainly(pool, count, 0)
    assert chosen == [row for row in pool if row in chosen] and len(chosen) == min(count, 30)
    assert {row.id for row in chosen} == {row.id for row in draw_plainly(pool[::-1], count, 0)}

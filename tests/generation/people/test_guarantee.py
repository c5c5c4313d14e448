"""The guarantee is honoured as often as it says, with clusters and without, and leaves most labels to the machine."""

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from seke.generation.people.guarantee import certify, fewest_audited, share_of_alpha, upper_bounds

EPS, ALPHA, REPEATS, N, PILOT = 0.05, 0.05, 400, 5801, 400


def seke_like(rng: np.random.Generator, subjects: int, sd: float, labels: int = 1):
    """Return subject, stated risk and wrong labels of N faces: 6.8 % wrong without clusters, informative confidence."""
    subject = rng.integers(subjects, size=N)
    risk = rng.beta(0.25, 0.25 * (1 - 0.068) / 0.068, size=N)
    logit = np.log(risk + 1e-4) - np.log(1 - risk + 1e-4) + rng.normal(0, sd, subjects)[subject]
    return subject, risk, rng.binomial(labels, 1 / (1 + np.exp(-logit)))


def simulated(subjects: int, sd: float, labels: int = 1, alpha: float = ALPHA) -> tuple[float, float]:
    """Return how often more is wrong than was guaranteed, and the share that is left to the machine on average."""
    violated, left = 0, []
    for repeat in range(REPEATS):
        rng = np.random.default_rng(repeat)
        subject, risk, wrong = seke_like(rng, subjects, sd, labels)
        place = np.empty(N, dtype=np.int64)
        place[np.argsort(risk)] = np.arange(N)
        drawn = rng.choice(N, PILOT, replace=False)
        of = np.full(PILOT, labels)
        found = certify(place[drawn], wrong[drawn], of, subject[drawn], N, EPS, alpha)
        violated += bool(wrong[place < found.left].sum() / (labels * N) > EPS)
        left.append(found.left / N)
    return violated / REPEATS, float(np.mean(left))


def test_expressions_are_honoured_and_seventy_percent_stay_with_the_machine_even_in_a_first_of_many_tests() -> None:
    violated, left = simulated(subjects=1200, sd=0.0, alpha=share_of_alpha(ALPHA, 1))
    assert violated <= 0.05
    assert left >= 0.7


def test_subjects_who_err_together_are_honoured() -> None:
    violated, left = simulated(subjects=60, sd=2.0)
    assert violated <= 0.05
    assert left > 0.5


def test_faces_of_many_labels_that_err_together_are_honoured() -> None:
    """Seventeen AUs of a face, wrong together: the number of faces counts, not of labels."""
    violated, left = simulated(subjects=1200, sd=1.5, labels=17)
    assert violated <= 0.05
    assert left > 0.5


def test_stopping_at_the_first_good_answer_is_honoured_as_alpha_is_shared_out() -> None:
    violated = 0
    for repeat in range(REPEATS):
        rng = np.random.default_rng(repeat)
        wrong = rng.random(2000) < 0.052  # all records have the same risk, and a little more is wrong than may be
        place = rng.permutation(2000)
        drawn = rng.permutation(2000)
        for round_, size in enumerate((100, 150, 200, 300, 400, 600, 800), start=1):
            now, alone = drawn[:size], np.arange(size)
            found = certify(
                place[now], wrong[now] * 1, np.ones(size, int), alone, 2000, EPS, share_of_alpha(ALPHA, round_)
            )
            if found.left == 2000:
                violated += bool(wrong.mean() > EPS)
                break
    assert violated / REPEATS <= 0.05


@pytest.mark.parametrize(("wrong", "n"), [(0, 59), (3, 100), (10, 100), (99, 100), (100, 100)])
def test_bound_without_clusters_against_clopper_pearson_of_scipy(wrong, n) -> None:
    each = (np.arange(n) < wrong).astype(float)[None]
    ours = upper_bounds(each, np.ones(n), n, ALPHA)[0]
    reference = binomtest(wrong, n, alternative="less").proportion_ci(0.95, method="exact").high
    # the design effect of independent labels is (n - 1) / n: nearly none
    assert ours == pytest.approx(reference, rel=0.02)
    assert wrong in (0, n) or ours >= beta.ppf(0.95, wrong + 1, n - wrong) * 0.99


def test_clusters_that_are_all_right_or_all_wrong_count_as_one_label_each() -> None:
    wrong_C = np.array([5.0, 0, 0, 0, 5, 0, 0, 0, 0, 0] * 4)
    together = upper_bounds(wrong_C[None], np.full(40, 5.0), 200, ALPHA)[0]
    alone = upper_bounds((wrong_C / 5)[None], np.ones(40), 40, ALPHA)[0]
    assert together == pytest.approx(alone, rel=0.02)


def test_one_subject_and_no_sample_guarantee_nothing() -> None:
    one = certify(np.arange(50), np.zeros(50, int), np.ones(50, int), np.zeros(50, int), 100, EPS, ALPHA)
    nobody = np.zeros(0, dtype=np.int64)
    assert (one.left, certify(nobody, nobody, nobody, nobody, 100, EPS, ALPHA).left) == (0, 0)


def test_the_fewest_that_an_audit_takes_is_what_the_bound_takes() -> None:
    for eps in (0.02, 0.05, 0.1):
        n = fewest_audited(eps, ALPHA)
        bound = [upper_bounds(np.zeros((1, size)), np.ones(size), size, ALPHA)[0] for size in (n - 1, n)]
        assert bound[0] > eps >= bound[1]

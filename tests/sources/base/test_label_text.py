import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.sources.base import label_text, tables


def test_lines_of_any_origin(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbf 1,0\r\n2,3 \r\n")
    assert label_text.lines(file) == ["1,0", "2,3"]
    file.write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match=r"a\.txt: not UTF-8 text"):
        label_text.lines(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), (" 5.0000000e+00", 5), ("-1", -1), ("5.5", None), ("nan", None), ("inf", None), ("", None)],
)
def test_whole_numbers_as_datasets_spell_them(text, value):
    assert label_text.whole(text) == value


@given(st.floats())
def test_valence_outside_its_range_is_unknown_never_clipped(value):
    kept = label_text.within(value)
    assert kept == value if -1 <= value <= 1 else kept is None


@given(st.dictionaries(st.sampled_from([1, 2, 4, 6]), st.sampled_from(["0", "1", "9", "-1", "-2", "-5", "", "x", "2"])))
def test_only_0_and_1_code_an_action_unit(values):
    units = label_text.coded_units(values) or {}
    assert units == {au: text == "1" for au, text in values.items() if text in ("0", "1")}


def test_intensities_by_frame(tmp_path):
    file = tmp_path / "au4.txt"
    file.write_bytes(b"1,0\r\n2,5\r\n3,9\r\n4,-1\r\n\r\n")
    assert tables.intensities(file) == {1: 0, 2: 5, 3: None, 4: None}


@pytest.mark.parametrize("text", ["", "1;0", "x,0", "1,0,0", "1,0\n1,2"])
def test_a_file_of_intensities_that_is_none_is_refused(tmp_path, text):
    file = tmp_path / "au4.txt"
    file.write_text(text)
    with pytest.raises(UserError, match=r"au4\.txt"):
        tables.intensities(file)

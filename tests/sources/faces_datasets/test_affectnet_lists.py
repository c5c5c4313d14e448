import pytest

from seke.core.errors import UserError
from seke.sources.faces_datasets.affectnet import Pictures, Reading, face_box, read_list

from ...trees import affectnet


def test_columns_under_a_header_may_have_any_order(tmp_path):
    (tmp_path / "a.csv").write_text(
        "arousal,index,valence,expression,face_x,face_y,face_width,face_height,facial_landmarks,"
        "subDirectory_filePath\n0.1,0,0.2,3,4,5,6,7,,1\\a.JPG\n"
    )
    (row,) = read_list(tmp_path / "a.csv")
    assert (row.line, row.path, row.face, row.reading) == (2, "1/a.JPG", [4, 5, 6, 7], Reading("3", "0.2", "0.1"))


GOOD = affectnet.row("1/a.jpg", 1, 0.5, 0.5)


@pytest.mark.parametrize(
    ("lines", "line", "problem"),
    [
        ([affectnet.HEADER, GOOD, "1/b.jpg,1,0.5"], 3, "3 cells under 9 columns"),
        ([affectnet.HEADER, "0," + GOOD], 2, "10 cells under 9 columns"),
        (["index," + affectnet.HEADER, GOOD], 2, "9 cells under 10 columns"),
        ([affectnet.HEADER.replace(",valence", ",val"), GOOD], 1, "no column valence"),
        ([affectnet.HEADER.replace("arousal", "valence"), GOOD], 1, "more than one column valence"),
        ([",".join([*affectnet.HEADER.split(",")[1:], "subDirectory_filePath"]), GOOD], 2, "'0.5' where an image"),
        ([affectnet.HEADER.replace("expression,valence", "valence,expression"), GOOD], 2, "'0.5' is no expression"),
        ([GOOD, GOOD.replace(affectnet.LANDMARKS, "1,2")], 2, "10 cells under 9 columns"),
        (["0," + GOOD.rpartition(",")[0]], 1, "'0' where an image should be named"),
        (["path,x,y,w,h,points,label,v,a", GOOD], 1, "'path' where an image should be named"),
    ],
)  # fmt: skip
def test_wrong_and_shifted_columns_name_file_and_line(tmp_path, lines, line, problem):
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match=rf"a\.csv, line {line}: {problem}"):
        list(read_list(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no row in it"),
        (b"\r\n\r\n", "no row in it"),
        ((affectnet.HEADER + "\n").encode() + b"1/caf\xe9.jpg\n", "not UTF-8"),
    ],
)
def test_a_list_that_is_none_is_named(tmp_path, content, problem):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.csv: {problem}"):
        list(read_list(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("cells", "box"),
    [
        (["4", "5", "40", "41"], [4, 5, 40, 41]),
        (["-4", "5.0", "40", "41"], [-4, 5, 40, 41]),
        (["4.5", "5", "40", "41"], None),
        (["", "5", "40", "41"], None),
        (["4", "5", "0", "41"], None),
        (["4", "5", "40", "-1"], None),
    ],
)
def test_a_face_box_has_whole_numbers_and_an_area(cells, box):
    assert face_box(cells) == box


def test_pictures_are_found_by_folder_and_name_in_any_case(tmp_path):
    affectnet.picture(tmp_path, "1/A.JPG")
    affectnet.picture(tmp_path, "2/b.jpg")
    affectnet.picture(tmp_path, "loose.jpg")
    (tmp_path / "1" / ".DS_Store").touch()
    pictures = Pictures(tmp_path)
    assert sorted(pictures) == ["1/A.JPG", "2/b.jpg", "loose.jpg"]
    assert pictures.find("1/a.jpg") == "1/A.JPG"
    assert pictures.find("b.jpg") == "2/b.jpg"
    assert pictures.find("1/b.jpg") is None
    assert pictures.find("../1/a.jpg") is None


def test_a_name_without_a_folder_means_the_only_image_called_so(tmp_path):
    for image in ("1/a.jpg", "2/a.jpg", "2/b.jpg"):
        affectnet.picture(tmp_path, image)
    assert Pictures(tmp_path).find("a.jpg") is None
    assert Pictures(tmp_path).find("b.jpg") == "2/b.jpg"

"""What must differ and what must lie apart, also where links make two names one folder."""

from pathlib import Path

import pytest

from inspectd.config import load
from inspectd.errors import ConfigError


def write(folder: Path, *watches: str, database: str = "inspectd.db", output: str = "output") -> Path:
    file = folder / "config.yaml"
    lines = [f"  - {{model: models/demo, {watch}}}" for watch in watches]
    file.write_text("\n".join([f"database: sqlite:///{database}", f"output: {output}", "watch:", *lines]))
    return file


def sentences(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file)
    return [line.partition(": ")[2] for line in str(caught.value).splitlines()]


def test_names_differ_in_more_than_case(tmp_path: Path) -> None:
    file = write(tmp_path, "name: Line, path: a", "name: line, path: b")
    assert sentences(file) == [
        "watch[1].name is 'line', the name of watch[0]; names must differ in more than upper and lower case."
    ]


@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        ("in", "in", "is the same folder as"),
        ("in", "in/../in/.", "is the same folder as"),
        ("in", "in/deep/er", "lies inside"),
        ("in/deep", "in", "contains"),
    ],
)
def test_watches_may_not_overlap(tmp_path: Path, first: str, second: str, how: str) -> None:
    [sentence] = sentences(write(tmp_path, f"name: a, path: {first}", f"name: b, path: {second}"))
    assert sentence.startswith(f"watch[1].path (watch 'b') {how} the folder that watch[0] 'a' watches")


def test_a_link_does_not_hide_an_overlap(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "in" / "deep")
    [sentence] = sentences(write(tmp_path, "name: a, path: in", "name: b, path: elsewhere"))
    assert sentence.startswith("watch[1].path (watch 'b') lies inside")


def test_neighbours_with_a_common_beginning_do_not_overlap(tmp_path: Path) -> None:
    load(write(tmp_path, "name: a, path: in", "name: b, path: in2", output="in3", database="in.db"))


@pytest.mark.parametrize("output", ["in", "in/output"])
def test_output_may_not_lie_inside_a_watch(tmp_path: Path, output: str) -> None:
    [sentence] = sentences(write(tmp_path, "name: a, path: in", output=output))
    assert sentence.startswith("output lies inside the folder that watch[0] 'a' watches")


def test_a_watch_may_not_lie_inside_output(tmp_path: Path) -> None:
    [sentence] = sentences(write(tmp_path, "name: a, path: output/in"))
    assert sentence.startswith("watch[0].path (watch 'a') lies inside the output folder")


def test_database_and_model_may_not_lie_inside_a_watch(tmp_path: Path) -> None:
    file = write(tmp_path, "name: a, path: in", "name: b, path: models", database="in/inspectd.db")
    assert [sentence.partition(" lies")[0] for sentence in sentences(file)] == [
        "database",
        "watch[0].model (watch 'a')",
        "watch[1].model (watch 'b')",
    ]


@pytest.mark.parametrize(
    ("move_to", "inside"),
    [
        ("in/archive", True),
        ("in/{date}", True),
        ("{watch}", True),  # the watch `other` lies in the folder `other`
        ("{verdict}/{date}", True),  # the watch `a` lies in the folder `defect`, below
        ("archive/{watch}/{verdict}/{date}", False),
        ("{watch}-{date}", False),
        ("{date}/in", False),
    ],
)
def test_the_archive_may_not_lie_inside_a_watch(tmp_path: Path, move_to: str, inside: bool) -> None:
    file = write(
        tmp_path,
        f"name: other, path: other, after: move, move_to: '{move_to}'",
        "name: a, path: in",
        "name: b, path: defect/today",
        "name: c, path: defect/tomorrow" if move_to != "{verdict}/{date}" else "name: c, path: review",
    )
    if inside:
        [sentence] = sentences(file)
        assert sentence.startswith("watch[0].move_to (watch 'other') lies inside")
    else:
        load(file)


def test_move_to_is_of_no_account_unless_files_are_moved(tmp_path: Path) -> None:
    load(write(tmp_path, "name: a, path: in, after: keep, move_to: in/archive"))


def test_each_key_is_blamed_once_beside_the_first_that_it_contradicts(tmp_path: Path) -> None:
    watches = [f"name: line-{number}, path: in/{number}, after: move" for number in range(1000)]
    more = [
        "name: LINE-7, path: in/7/deep",
        "name: LINE-7, path: in",
        "name: last, path: in/998/../999/.",
        "name: x, path: y",
    ]
    found = sentences(write(tmp_path, *watches, *more, output="in/3/../500/out"))
    assert [sentence.partition(f", {tmp_path}")[0] for sentence in found] == [
        "output lies inside the folder that watch[500] 'line-500' watches",
        "watch[1000].name is 'LINE-7', the name of watch[7]; names must differ in more than upper and lower case.",
        "watch[1000].path (watch 'LINE-7') lies inside the folder that watch[7] 'line-7' watches",
        "watch[1001].name is 'LINE-7', the name of watch[7]; names must differ in more than upper and lower case.",
        "watch[1001].path (watch 'LINE-7') contains the folder that watch[0] 'line-0' watches",
        "watch[1002].path (watch 'last') is the same folder as the folder that watch[999] 'line-999' watches",
    ]


def test_a_link_on_the_way_is_followed_for_every_place_below_it(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "shelf").symlink_to("in/deep")
    (tmp_path / "loop").symlink_to("loop")
    file = write(
        tmp_path,
        "name: a, path: in",
        "name: b, path: b, after: move, move_to: 'shelf/x/../{verdict}'",
        output="shelf/../out",
    )
    assert [sentence.partition(" the folder")[0] for sentence in sentences(file)] == [
        "output lies inside",
        "watch[1].move_to (watch 'b') lies inside",
    ]
    load(write(tmp_path, "name: a, path: in", "name: b, path: loop/b"))

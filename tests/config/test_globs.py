"""What globs match: all that they matched before, `**` and braces; and which are hardly meant."""

from fnmatch import translate
from pathlib import Path
from re import IGNORECASE, match

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inspectd.config import Watch, load, remarks
from inspectd.config.globs import IMAGE_PATTERNS, expand, matcher, takes_no_image
from inspectd.errors import ConfigError

LETTERS = "aB.1*?[]!-{},/\\ \n\udcff~^$+"
GLOBS = st.text(LETTERS, min_size=1, max_size=12)


def matches(glob: str, path: str) -> bool:
    return matcher([glob])(path.rpartition("/")[2], path)


@given(GLOBS, st.text(LETTERS, min_size=1, max_size=12))
@example("a{1}.png", "a{1}.png")
@example("{a,b}", "{a,b}")
@example("a\\*", "a\\b")
@example("*/a", "x/y/a")
@example("**/a", "x/a")
@example("./a", "./a")
def test_a_glob_matches_all_that_fnmatch_matches(glob: str, path: str) -> None:
    name = path.rpartition("/")[2]
    if any(match(translate(glob), text, IGNORECASE) for text in (name, path)):
        assert matches(glob, path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        *(("**/*.png", path) for path in ("a.png", "sub/a.PNG", "sub/deep/a.png")),
        *(("*.{png,jpg}", path) for path in ("a.png", "A.JPG", "sub/a.jpg")),
        ("left/**/*.png", "left/a.png"),
        ("left/**/*.png", "left/x/y/a.png"),
        ("**/left/**/*.{png,tif{,f}}", "left/a.tiff"),
        ("{left,right}/**/cam?_*.png", "right/cam1_7.png"),
        ("{**/left,x}/*", "left/a.png"),
        ("cam{1..3}_*.png", "cam2_a.png"),
        ("**", "sub/a.png"),
        ("**/", "sub/a.png"),
        ("./*.png", "a.png"),
        ("left\\*.png", "left/a.png"),
        (".\\left\\**\\*.png", "left/a.png"),
        ("thumbs/", "thumbs"),
        ("**/*.png", "b\udcff.png"),
        ("left//*.png", "left/a.png"),
        ("Pr\u00fcf*.png", "Pru\u0308f1.png"),
        ("Pru\u0308f*.png", "sub/Pr\u00fcf1.png"),
        ("[\u00fc]*.png", "u\u0308.png"),
    ],
)
def test_stars_braces_and_backslashes_mean_what_people_know(glob: str, path: str) -> None:
    assert matches(glob, path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("**/left/*.png", "right/a.png"),
        ("**/left/*.png", "xleft/a.png"),
        ("*.{png,jpg}", "a.tif"),
        ("*.{png,jpg", "a.png"),
        ("cam{1..3}.png", "cam4.png"),
        ("**/*.png", "a.png\n"),
    ],
)
def test_and_nothing_else(glob: str, path: str) -> None:
    assert not matches(glob, path)


def test_braces_without_end_are_refused() -> None:
    for glob in ("{1..100000}", "{a,b}" * 20, "{" * 5000):
        with pytest.raises(ValueError, match="more than 1000 globs"):
            expand(glob)


@pytest.mark.parametrize(
    "glob",
    [
        *(
            "png",
            ".png",
            "PNG",
            "jpg/",
            "{png,jpg}",
            "*.png;*.jpg",
            "*.png, *.jpg",
            "*.png *.jpg",
            "png,jpg",
            "*.png|*.tif",
            "*.png,",
            "*.png or *.jpg",
            "*.png & *.jpg",
            "{*.png;*.jpg}",
            "@(*.png|*.jpg)",
            "*.@(png|jpg)",
            "*.{png, jpg}",
            "*.PNG # the camera's",
        ),
        *(
            "*.{png;jpg}",
            "*.{png}",
            "*.(png|jpg)",
            "*.[png|jpg]",
            "*.[png]",
            "(?i).*png",
            r"*\.png",
            "*.png\n",
            r".*\.png",
            "^.*png",
            r"img\d+\.png$",
            " *.png",
            "'*.png'",
        ),
        *(
            "/data/in/*.png",
            r"C:\in\*.png",
            r"\\server\in\*.png",
            "../in/*.png",
            "~/in/*.png",
            "left",
            "left/right",
            ".*",
        ),
    ],
)
def test_a_watch_that_can_take_no_image_is_a_mistake(tmp_path: Path, glob: str) -> None:
    assert takes_no_image(glob)
    quoted = glob.replace("'", "''")
    watch = f"{{name: a, path: in, model: m, include: ['{quoted}']}}"
    (tmp_path / "config.yaml").write_text(f"database: sqlite:///x.db\noutput: out\nwatch:\n- {watch}\n")
    with pytest.raises(ConfigError, match=r"line 4: watch\[0\]\.include \(watch 'a'\) takes no image: "):
        load(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    "glob",
    [
        *("*", "**", "*.raw", "cam?_*.raw", "current.jpg", "left/current.JFIF", "[0-9]*", "a;b_*.png", "cam1;*;*.jpg"),
        *(
            "img (1).png",
            "cam[1|2]_*.png",
            "left/*",
            "*png",
            "a,b.png",
            "x{1}.png",
            "*.jpg (?).jpg",
            "*.jpg - Copy.jpg",
            "cam1.[ab]",
            "{*.png,*.jpg}",
            *IMAGE_PATTERNS,
        ),
    ],
)
def test_what_may_well_be_meant_is_accepted(glob: str) -> None:
    assert takes_no_image(glob) is None


def test_one_odd_glob_is_a_warning(tmp_path: Path) -> None:
    watch = (
        "{name: a, path: in, model: m, include: ['*.png', jpg, '[^a]*.png'], ignore: [thumbs, '*.bmp;*.tif', '!a*']}"
    )
    (tmp_path / "config.yaml").write_text(f"database: sqlite:///x.db\noutput: out\nwatch:\n- {watch}\n")
    assert list(remarks(load(tmp_path / "config.yaml"))) == [
        "watch[0].include (watch 'a'): 'jpg' is an ending alone: write '*.jpg'.",
        "watch[0].include (watch 'a'): '[^a]*.png' has a '^' in its brackets, which has no special meaning: "
        "write '[!…]' for all but some characters.",
        "watch[0].ignore (watch 'a'): '*.bmp;*.tif' is a list in one text: write ['*.bmp', '*.tif'].",
        "watch[0].ignore (watch 'a'): '!a*' begins with a '!', which has no special meaning: name files to leave "
        "alone in `ignore`.",
    ]


def test_a_watch_survives_a_round_trip() -> None:
    watch = Watch(name="a", path=Path("/in"), model=Path("/m"), include=["**/*.{png,jpg}", "png"])
    assert Watch.model_validate_json(watch.model_dump_json()) == watch

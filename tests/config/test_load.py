"""Reading config.yaml: what a right one becomes, and the sentence for every way to get it wrong."""

from pathlib import Path
from textwrap import dedent

import pytest

from inspectd.config import Config, load
from inspectd.errors import ConfigError
from inspectd.resources import resource

RIGHT = """\
database: sqlite:///inspectd.db
output: output
watch:
  - name: line-1
    path: incoming
    model: models/demo
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def mistakes(file: Path, text: str | bytes) -> list[str]:
    """The sentences for a configuration, without the name of the file."""
    file.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert caught.value.exit_code == 78
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(file)) and line.endswith(".") for line in lines)
    return [line.removeprefix(str(file)).lstrip(",: ") for line in lines]


def watch_with(*settings: str) -> str:
    return RIGHT + "".join(f"    {setting}\n" for setting in settings)


def test_paths_are_relative_to_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(watch_with("after: move"))
    monkeypatch.chdir(file.parent)
    for name in (file, Path("config.yaml")):
        config = load(name)
        watch = config.watch[0]
        assert config.database == f"sqlite:///{file.parent}/inspectd.db"
        assert config.database_file == file.parent / "inspectd.db"
        assert config.output == file.parent / "output"
        assert (watch.path, watch.model) == (file.parent / "incoming", file.parent / "models/demo")
        assert watch.move_to == f"{file.parent}/archive/{{watch}}/{{verdict}}/{{date}}"


def test_paths_are_relative_to_the_file_itself_and_not_to_a_link_to_it(file: Path, tmp_path: Path) -> None:
    file.write_text(RIGHT)
    link = tmp_path / "etc" / "inspectd.yaml"
    link.parent.mkdir()
    link.symlink_to(file)
    assert load(link) == load(file)


def test_absolute_paths_stay(file: Path) -> None:
    file.write_text(RIGHT.replace("output: output", "output: /srv/out").replace("///", "////var/lib/"))
    config = load(file)
    assert config.output == Path("/srv/out")
    assert config.database_file == Path("/var/lib/inspectd.db")


def test_reading_creates_nothing(file: Path) -> None:
    file.write_text(RIGHT)
    load(file)
    assert list(file.parent.iterdir()) == [file]


def test_a_loaded_configuration_survives_json(file: Path) -> None:
    file.write_text(watch_with(r"fields: '(?P<part>\d+)_(?P<station>\w+)'", "after: move"))
    config = load(file)
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_a_folder_with_braces_in_its_name_is_no_placeholder(tmp_path: Path) -> None:
    folder = tmp_path / "line {1}"
    folder.mkdir()
    file = folder / "config.yaml"
    file.write_text(watch_with("after: move"))
    archive = load(file).watch[0].move_to.format(watch="line-1", verdict="ok", date="2026-11-23")
    assert archive == f"{folder}/archive/line-1/ok/2026-11-23"


def test_sections_without_keys_mean_their_defaults(file: Path) -> None:
    file.write_text(RIGHT + "worker:\noverlay:\nlimits:\n")
    assert load(file).worker.batch == 16


def test_merged_keys_are_yaml_too(file: Path) -> None:
    file.write_text(
        dedent("""\
        database: sqlite:///inspectd.db
        output: output
        watch:
          - &first {name: one, path: in/one, model: models/demo, settle: 5}
          - {<<: *first, name: two, path: in/two}
        """)
    )
    assert [(watch.name, watch.settle) for watch in load(file).watch] == [("one", 5), ("two", 5)]


def test_the_shipped_sample_shows_every_default(tmp_path: Path) -> None:
    sample = resource("config.yaml").read_text()
    as_shipped, spelled_out = tmp_path / "shipped.yaml", tmp_path / "spelled_out.yaml"
    as_shipped.write_text(sample)
    lines = [line for line in sample.splitlines() if not line.lstrip().startswith("# ")]
    spelled_out.write_text("\n".join(line.replace("#", "", 1) for line in lines))
    shipped, spelled = load(as_shipped), load(spelled_out)
    fields = spelled.watch[0].fields
    assert fields is not None
    assert fields.search("4711_left").groupdict() == {"part": "4711", "station": "left"}  # type: ignore[union-attr]
    assert spelled.model_copy(update={"watch": []}) == shipped.model_copy(update={"watch": []})
    assert spelled.watch[0].model_copy(update={"fields": None}) == shipped.watch[0]
    keys = {line.lstrip(" #-").partition(":")[0] for line in lines}
    for section in (Config, type(shipped.watch[0]), type(shipped.worker), type(shipped.overlay), type(shipped.limits)):
        assert section.model_fields.keys() <= keys


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("backend: foo", "watch[0].backend (watch 'line-1') is 'foo'; it must be auto, inotify or polling."),
        ("after: no", "watch[0].after (watch 'line-1') is 'no'; it must be keep, move or delete."),
        ("settle: 2s", "watch[0].settle (watch 'line-1') is '2s'; it must be a number."),
        ("settle: 0", "watch[0].settle (watch 'line-1') is '0'; it must be greater than 0."),
        ("settle: yes", "watch[0].settle (watch 'line-1') is 'yes'; it must be a number."),
        ("settle: .nan", "watch[0].settle (watch 'line-1') is '.nan'; it must be a finite number."),
        ("rescan: 0.5", "watch[0].rescan (watch 'line-1') is '0.5'; it must be at least 1."),
        ("rescan: 86401", "watch[0].rescan (watch 'line-1') is '86401'; it must be at most 86400."),
        ("recursive: 1", "watch[0].recursive (watch 'line-1') is '1'; it must be true or false."),
        ("include: []", "watch[0].include (watch 'line-1') must not be empty."),
        ("ignore: ['']", "watch[0].ignore[0] (watch 'line-1') must not be empty."),
        (
            "include: '*.png'",
            "watch[0].include (watch 'line-1') is '*.png'; it must be a list, each entry on a line of its own "
            "after '- '.",
        ),
        ("ignor: ['*.png']", "watch[0].ignor (watch 'line-1') is not a known key; perhaps ignore is meant."),
        (
            "batch: 4",
            "watch[0].batch (watch 'line-1') is not a known key; it belongs under worker: check the indentation.",
        ),
        (
            "output: here",
            "watch[0].output (watch 'line-1') is not a known key; it belongs to the top level: check the indentation.",
        ),
        ("path: in", "path stands here again; it was given in line 5."),
        (
            "move_to: '{label}'",
            "watch[0].move_to (watch 'line-1') knows no {label}; the placeholders are {watch}, {verdict}, {date}.",
        ),
        (
            "move_to: '{watch!r:9}'",
            "watch[0].move_to (watch 'line-1') knows no {watch!r:9}; the placeholders are {watch}, {verdict}, {date}.",
        ),
        (
            "fields: '(?P<part>'",
            "watch[0].fields (watch 'line-1') is no regular expression: missing ), unterminated subpattern at "
            "position 0.",
        ),
        (
            "fields: '(?P<1>x)'",
            "watch[0].fields (watch 'line-1') is no regular expression: bad character in group name '1' at position 4.",
        ),
        (
            r"fields: '\d+'",
            "watch[0].fields (watch 'line-1') names no part of the file name; it needs at least one group such as "
            r"(?P<part>\d+).",
        ),
    ],
)
def test_a_wrong_setting_of_a_watch(file: Path, setting: str, expected: str) -> None:
    assert mistakes(file, watch_with(setting)) == [f"line 7: {expected}"]


def test_a_brace_without_its_partner(file: Path) -> None:
    [sentence] = mistakes(file, watch_with("move_to: 'archive/{watch'"))
    assert "double a brace that is part of a name" in sentence


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "name: line-1",
            "name: line 1",
            "line 4: watch[0].name is 'line 1'; it must be 1 to 64 letters, digits, '-' or",
        ),
        (
            "name: line-1",
            "name: 012",
            "line 4: watch[0].name is '012'; it must be text, and YAML reads this as a number",
        ),
        (
            "name: line-1",
            "name: NO",
            "line 4: watch[0].name is 'NO'; it must be text, and YAML reads this as a yes or no",
        ),
        (
            "path: incoming",
            "path: 2026-11-23",
            "line 5: watch[0].path (watch 'line-1') is '2026-11-23'; it must be text",
        ),
        ("path: incoming", "path: ''", "line 5: watch[0].path (watch 'line-1') must name a file or folder."),
        (
            "path: incoming",
            "path: ~/in",
            "line 5: watch[0].path (watch 'line-1') must be written out: '~' is not replaced",
        ),
        (
            "path: incoming",
            "#",
            "line 4: watch[0].path (watch 'line-1') is missing: The folder that images are dropped into.",
        ),
        ("output: output", "output:", "line 2: output is empty; it must be text."),
        ("output: output", "outputs: output", "line 2: outputs is not a known key; perhaps output is meant."),
        (
            "output: output",
            "7: output",
            "line 2: 7 is not a known key; the known keys are database, output, watch, worker,",
        ),
        ("sqlite:///inspectd.db", "postgresql://db/x", "line 1: database must be sqlite:///FILE: SQLite is the only"),
        ("sqlite:///inspectd.db", "sqlite://", "line 1: database must be sqlite:///FILE: SQLite is the only"),
        (
            "sqlite:///inspectd.db",
            "'sqlite:///:memory:'",
            "line 1: database must be sqlite:///FILE, with a file that stays",
        ),
        (
            "sqlite:///inspectd.db",
            "sqlite:///x?mode=ro",
            "line 1: database must name a file whose whole path has no '?'",
        ),
        ("- name: line-1", "- name", "line 5: this is not YAML: mapping values are not allowed here."),
    ],
)
def test_another_wrong_value(file: Path, old: str, new: str, expected: str) -> None:
    sentences = mistakes(file, RIGHT.replace(old, new))
    assert any(sentence.startswith(expected) for sentence in sentences), sentences


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("worker: {device: cuda}", "worker.device is 'cuda'; it must be auto, cpu, gpu or gpu:N."),
        ("worker: {batch: 1.5}", "worker.batch is '1.5'; it must be a whole number."),
        ("worker: {batch: true}", "worker.batch is 'true'; it must be a whole number."),
        ("worker: {threads: 0}", "worker.threads is '0'; it must be at least 1."),
        ("worker: [cpu]", "worker is a list; it must be a section of keys and values."),
        ("overlay: {caption: maybe}", "overlay.caption is 'maybe'; it must be true or false."),
        ("limits: {bytes: 1e9}", "limits.bytes is '1e9'; it must be a whole number."),
        ("limits: {stalled: .inf}", "limits.stalled is '.inf'; it must be a finite number."),
        ("sidecar: {}", "sidecar is a section; it must be true or false."),
        ("metrics: {prot: 1}", "metrics.prot is not a known key; perhaps port is meant."),
        ("retention: {overlays: {days: 0}}", "retention.overlays.days is '0'; it must be at least 1."),
        (
            "retention: {sources: {free: 10}}",
            "retention.sources.free is '10'; it must be a share of the disk such as 10% or a size such as 50 GB "
            "(MB, GB or TB).",
        ),
        (
            "retention: {rows: {free: 10%}}",
            "retention.rows.free is not a known key; it belongs under retention.overlays: check the indentation.",
        ),
    ],
)
def test_a_wrong_setting_of_another_section(file: Path, settings: str, expected: str) -> None:
    assert mistakes(file, f"{RIGHT}{settings}\n") == [f"line 7: {expected}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty; `inspectd init DIR` creates a working one."),
        ("# only a comment\n", "is empty; `inspectd init DIR` creates a working one."),
        ("- a\n", "line 1: the file must hold keys and values, such as `output: output`."),
        ("output:\n\t- x\n", "line 2: this is not YAML: a tab cannot indent; use spaces."),
        (b"a: 1\nb: \xff\n", "line 2: the file must be UTF-8 text; save it as such."),
        ("a: 1\nb: \x07\n", "line 2: a control character (#x07) stands here."),
        ("a: 1\n---\nb: 2\n", "line 2: a second document begins here (---); the file must hold one."),
        ("a: [*.png]\n", "line 1: this is not YAML: a value that begins with * must be in quotes, such as '*.png'."),
        (
            'a: "(?P<part>\\d+)"\n',
            "line 1: this is not YAML: in double quotes a backslash begins an escape; put the value in single quotes.",
        ),
        (
            "a: !!python/object/apply:os.getcwd []\n",
            "line 1: this is not plain YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.getcwd'; a value that begins with ! must be in quotes.",
        ),
        (
            "a: {b: 1\n",
            "line 2: this is not YAML: while parsing a flow mapping, expected ',' or '}', but got '<stream end>'.",
        ),
        ("[" * 1000, "this is not YAML: maximum recursion depth exceeded."),
    ],
)
def test_what_is_no_configuration_at_all(file: Path, text: str | bytes, expected: str) -> None:
    [sentence] = mistakes(file, text)
    assert sentence.startswith(expected.removesuffix("."))


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + RIGHT.encode())
    assert load(file).watch[0].name == "line-1"


def test_a_missing_file_and_a_folder(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml does not exist; `inspectd init DIR`"):
        load(file)
    with pytest.raises(ConfigError, match=r"is a folder; name the file, such as .*config\.yaml\."):
        load(file.parent)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(file: Path) -> None:
    sentences = mistakes(
        file,
        """\
        database: sqlite:///in/one/x.db
        output: output
        output: elsewhere
        devise: cpu
        watch:
          - name: one
            path: in/one
            model: models/demo
          - name: ONE
            path: in/one/two
            model: models/demo
          - name: three
            path: in/three
            backend: foo
        """,
    )
    starts = [sentence.partition(" ")[2].partition(" ")[0] for sentence in sentences]
    assert starts == ["1:", "3:", "4:", "9:", "10:", "12:", "14:"]

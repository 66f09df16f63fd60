"""Files that pause, end in black, or cannot be read yet: each is judged, and none is taken from under its writer."""

import io
import os
import sqlite3
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from support.site import BRIGHT, DARK, Site, picture, until
from support.tiff import page, tiff
from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.clock import utc_text

ROWS = "select path, state, verdict, after from images order by id"


def dark_field(level: int, kind: str = "BMP") -> bytes:
    """A part of one brightness on a black background, on which the last rows of the file lie."""
    pixels = np.zeros((160, 128), np.uint8)
    pixels[40:100] = level
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def archived(site: Site) -> dict[str, bytes]:
    """Content by verdict and name."""
    files = [path for path in (site.root / "archive").rglob("*") if path.is_file()]
    return {f"{path.parent.parent.name}/{path.name}": path.read_bytes() for path in files}


def ask(site: Site, command: str) -> str:
    return CliRunner().invoke(app, [command, "-c", str(site.config)]).stdout


def wait_is_over(site: Site) -> None:
    """As if all that waits had waited long enough."""
    with sqlite3.connect(site.root / "inspectd.db", timeout=60) as connection:
        connection.execute("UPDATE images SET after_at = ?", [utc_text(datetime.now(UTC))])


def test_a_part_on_a_black_background_is_judged_and_put_away_like_any_other(site: Site) -> None:
    site.write({"after": "move", "settle": 0.1})
    daemon = site.start()
    daemon.heard("READY=1")
    files = {
        f"{kind}-{level}.{kind}": dark_field(level, kind) for kind in ("bmp", "tiff", "png") for level in (60, 250)
    }
    for name, data in files.items():
        (site.incoming / name).write_bytes(data)  # the close is seen
    assert set(site.outcomes(6).values()) == {"ok"}, "the null network goes by the mean: all are dark"
    until(lambda: len(archived(site)) == 6, "the files in the archive")
    looks = {name[:3]: attempt for name, attempt in site.rows("select path, attempt from images")}
    assert looks == {"bmp": 2, "tif": 2, "png": 1}
    assert daemon.stop() == 0


def test_no_half_picture_ends_as_a_moved_ok(site: Site) -> None:
    """A preallocated BMP whose upload stalls half-way is judged as it is, but stays where its writer has it open."""
    site.write({"after": "move", "settle": 0.1})
    daemon = site.start()
    daemon.heard("READY=1")
    whole = np.full((160, 128), BRIGHT, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(whole).save(stream, "BMP")
    data = stream.getvalue()
    path = site.incoming / "slow.bmp"
    with path.open("wb", buffering=0) as file:
        file.truncate(len(data))
        file.write(data[: len(data) // 4])
        assert site.outcomes(1) == {"slow.bmp": "ok"}
        assert site.rows(ROWS) == [("slow.bmp", "done", "ok", "pending")]
        assert daemon.stop() == 0
        daemon = site.start()  # a restart between the verdict and the move forgets nothing
        daemon.heard("READY=1")
        (site.incoming / "other.png").write_bytes(picture(DARK))
        until(lambda: archived(site), "another file in the archive")
        assert path.exists()
        file.write(data[len(data) // 4 :])
    until(lambda: len(archived(site)) == 2, "the whole file in the archive")
    assert archived(site)["defect/slow.bmp"] == data
    assert daemon.stop() == 0
    halves = [("slow.bmp", "done", "ok", "kept"), ("slow.bmp", "done", "defect", "moved")]
    assert [row for row in site.rows(ROWS) if row[0] == "slow.bmp"] == halves


def test_an_upload_that_pauses_fails_stays_and_is_judged_when_it_is_whole(site: Site) -> None:
    site.write({"after": "move", "settle": 0.1})
    daemon = site.start()
    daemon.heard("READY=1")
    data = picture(BRIGHT)
    for name, append in (("slow.png", False), ("resumed.png", True)):
        path = site.incoming / name
        with path.open("wb", buffering=0) as file:
            file.write(data[: len(data) // 2])
            if append:
                file.close()  # as where an upload is cut off, and resumed later
            until(lambda name=name: (name, "failed", "failed", "pending") in site.rows(ROWS), "the failure")
            assert path.exists()
            if append:
                path.open("ab").write(data[len(data) // 2 :])
            else:
                file.write(data[len(data) // 2 :])
        until(lambda name=name: (name, "done", "defect", "moved") in site.rows(ROWS), "the verdict of the whole")
    assert archived(site) == {"defect/slow.png": data, "defect/resumed.png": data}
    assert daemon.stop() == 0
    assert site.rows("select after, count(*) from images group by 1") == [("kept", 2), ("moved", 2)]


def test_a_file_of_pages_whose_upload_pauses_between_two_of_them_stays_with_its_writer(site: Site) -> None:
    site.write({"after": "move", "settle": 0.1})
    daemon = site.start()
    daemon.heard("READY=1")
    first, second = (page(np.full((64, 96), level, np.uint8)) for level in (DARK, BRIGHT))
    data = tiff(first, second)
    path = site.incoming / "pages.tif"
    with path.open("wb", buffering=0) as file:
        file.write(data[: len(tiff(first))])
        until(lambda: site.rows(ROWS) == [("pages.tif", "done", "review", "pending")], "the doubt about the first page")
        file.write(data[len(tiff(first)) :])
    until(lambda: archived(site) == {"defect/pages.tif": data}, "the verdict of both pages")
    assert daemon.stop() == 0


@pytest.mark.parametrize("after", ["move", "delete"])
def test_what_does_not_change_is_put_away_when_the_wait_is_over(site: Site, after: str) -> None:
    site.write({"after": after, "settle": 0.1})
    (site.incoming / "cut.png").write_bytes(picture(DARK)[:100])
    (site.incoming / "black.bmp").write_bytes(dark_field(60))  # it was there before: nobody saw it closed
    (site.incoming / "none.txt.png").write_bytes(b"this is no image")
    assert site.start("--once").ends() == 0
    assert sorted(path.name for path in site.incoming.iterdir()) == ["black.bmp", "cut.png", "none.txt.png"]
    waiting = 3 if after == "move" else 1
    assert f"After:        {waiting} files" in ask(site, "status")
    assert ask(site, "reconcile") == "Disk, ledger, overlays and sidecars agree.\n"
    wait_is_over(site)
    assert site.start("--once").ends() == 0
    if after == "move":
        assert sorted(archived(site)) == ["failed/cut.png", "failed/none.txt.png", "ok/black.bmp"]
    else:
        assert sorted(path.name for path in site.incoming.iterdir()) == ["cut.png", "none.txt.png"]
    assert site.rows("select count(*) from inspections") == [(1,)]


def test_a_daemon_puts_away_what_has_not_changed_for_limits_stalled(site: Site) -> None:
    site.write({"after": "move", "settle": 0.1}, limits={"stalled": 1})
    (site.incoming / "cut.png").write_bytes(picture(DARK)[:100])
    daemon = site.start()
    until(lambda: "failed/cut.png" in archived(site), "the failure in the archive")
    seen = "select (julianday(after_at) - julianday(finished_at)) * 86400 from images"
    assert site.rows(seen)[0][0] == pytest.approx(1, abs=0.01)
    assert daemon.stop() == 0


def drop_rights(site: Site) -> None:
    """Lets the daemon be refused what its user may not read, also where that user is root."""
    capabilities = "-dac_override,-dac_read_search"
    if os.geteuid() == 0:
        site.within = ["setpriv", f"--inh-caps={capabilities}", f"--bounding-set={capabilities}"]


def test_a_watched_folder_that_may_not_be_read_is_waited_for_and_said(site: Site) -> None:
    site.write({"settle": 0.1, "rescan": 600})
    drop_rights(site)
    site.drop("early.png", picture(BRIGHT))
    site.incoming.chmod(0o000)
    daemon = site.start()
    until(lambda: site.rows("select 1 from events where detail like '%is missing or cannot be read%'"), "the event")
    site.incoming.chmod(0o700)
    assert site.outcomes(1) == {"early.png": "defect"}
    site.drop("late.png", picture(BRIGHT, seed=1))
    assert site.outcomes(2) == {"early.png": "defect", "late.png": "defect"}
    assert daemon.stop() == 0


def test_a_file_that_becomes_readable_is_judged(site: Site) -> None:
    site.write({"after": "move", "settle": 0.1, "rescan": 1})
    drop_rights(site)
    path = site.incoming / "closed.png"
    path.write_bytes(picture(BRIGHT))
    path.chmod(0o000)
    daemon = site.start()
    until(
        lambda: site.rows("select 1 from images where reason like 'unreadable:%' and state = 'failed'"), "the failure"
    )
    assert path.exists()
    path.chmod(0o600)
    until(lambda: "defect/closed.png" in archived(site), "the verdict, and the move")
    assert daemon.stop() == 0

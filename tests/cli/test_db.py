"""`inspectd db` on a real ledger; what a backup promises is tested in tests/ledger/test_backup.py."""

import sqlite3
from pathlib import Path

from support.ledger import Ledger, fill


def test_a_backup_and_its_check(ledger: Ledger, tmp_path: Path) -> None:
    copy = tmp_path / "the copy? 100%41 #1.db"
    code, out, err = ledger.run("db", "backup", str(copy))
    assert (code, err) == (0, "")
    assert out.startswith(f"{copy} is a copy of the ledger.")
    assert out.endswith(f"db check '{copy}'\n")
    for file in ([], [str(copy)]):
        code, out, err = ledger.run("db", "check", *file)
        assert (code, err) == (0, "")
        assert [line.split()[0] for line in out.splitlines()] == ["ok"] * 10
    assert out.splitlines()[0] == "ok     integrity    the file is undamaged"


def test_a_backup_over_a_file_is_a_sentence(ledger: Ledger, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    sentence = f"inspectd: {copy} exists already and is not overwritten: choose another name.\n"
    assert ledger.run("db", "backup", str(copy)) == (1, "", sentence)
    assert copy.read_text() == "mine"


def test_a_fault_is_a_line_and_exit_1(tmp_path: Path) -> None:
    ledger = fill(tmp_path)
    connection = sqlite3.connect(tmp_path / "inspectd.db")
    connection.execute(
        "UPDATE images SET inspection_id = NULL, finished_at = NULL, verdict = NULL WHERE path = 'moved.png'"
    )
    connection.execute("UPDATE images SET watch = 'line-9' WHERE path = 'slow.png'")
    connection.commit()
    connection.close()
    code, out, err = ledger.run("db", "check")
    assert (code, err) == (1, f"inspectd: {tmp_path}/inspectd.db has 3 faults, see above.\n")
    restore = "stop inspectd, keep the file, and put the newest good copy in its place"
    assert [line for line in out.splitlines() if not line.startswith("ok ")] == [
        f"FAULT  verdicts     every image that is done has its inspection: 1 row violates this: {restore}",
        f"FAULT  outcomes     every outcome has a time, every failure a reason: 1 row violates this: {restore}",
        "FAULT  watches      every image without an outcome belongs to a configured watch: "
        "line-9 (1 image) is not configured: put the watch back into the configuration",
    ]


def test_a_ledger_that_is_not_there_is_a_sentence(ledger: Ledger, tmp_path: Path) -> None:
    elsewhere = Ledger(tmp_path, {})
    elsewhere.config.write_text(ledger.config.read_text())
    for command in (["backup", str(tmp_path / "copy.db")], ["check"]):
        code, out, err = elsewhere.run("db", *command)
        assert (code, out) == (1, "")
        assert err.startswith(f"inspectd: There is no results database {tmp_path}/inspectd.db yet.")
    assert list(tmp_path.iterdir()) == [elsewhere.config]

"""`inspectd doctor`: a healthy site, and each thing that may be wrong with one, made wrong once."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.mounts import Space
from support.site import BRIGHT, Site, deep_picture, laid_out, picture

from inspectd.config import load
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.read.health import ledger_health
from inspectd.ledger.schema import REVISION
from inspectd.ledger.write.queue import Queue
from inspectd.model.bundle import write_bundle
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Preparation
from inspectd.service.doctor import brightness, clock, disks, events, folders, ledger, limits, models, sandbox, site_of
from inspectd.service.doctor.finding import Diagnosis, Level

ROOT_ONLY = "another user's rights are tested as root only"
NO_USERS = "this machine allows no user namespaces"
NOBODY = 65534
MOUNTS = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
3 1 0:41 / /run rw - tmpfs tmpfs rw
"""


def ask(site: Site, *before: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the findings of the command, as `before` (nsenter, setpriv) has it run."""
    command = [*before, sys.executable, "-m", "inspectd", "doctor", "--json", "-c", str(site.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def bad(found: list[dict[str, Any]], check: str) -> dict[str, Any]:
    """The one line of a check that is not ok."""
    [line] = [line for line in found if line["check"] == check and line["state"] != "ok"]
    return dict(line)


def look(check: Any, site: Site) -> list[Diagnosis]:
    """One check on its own, in this process."""
    return list(check(site_of(site.config, load(site.config))))


def worse(found: list[Diagnosis]) -> list[tuple[str, str, str]]:
    return [(line.state, line.subject, line.found) for line in found if line.state is not Level.OK]


def test_a_fresh_site_is_well_and_nothing_is_left_behind(site: Site) -> None:
    before = sorted(site.root.rglob("*"))
    code, found = ask(site)
    assert code == 0
    assert sorted(site.root.rglob("*")) == before
    assert [line for line in found if line["state"] == "FAULT"] == []
    checks = {"configuration", "user", "folders", "disks", "space", "events", "limits", "daemon", "ledger", "models"}
    assert {line["check"] for line in found} == {*checks, "clock", "systemd"}
    [said] = [line for line in found if line["check"] == "events"]
    assert said["found"] == "inotify: the event of a new file arrived"


def test_images_that_do_not_have_the_bits_of_their_model_are_told(site: Site) -> None:
    write_null_bundle(site.root / "models" / "twelve", preparation=Preparation(64, 64, bits=12))
    site.drop("plain.png", picture(BRIGHT))
    assert look(brightness.check_brightness, site) == [], "8 bits are 8 bits"
    site.drop("a.png", deep_picture(BRIGHT, 12))
    (site.incoming / "broken.png").write_bytes(b"no image")
    [line] = look(brightness.check_brightness, site)
    assert line.state is Level.WARN
    assert line.found.startswith("No value in 1 16-bit file exceeds 1/16 of the range of 16 bits")
    assert "import it with `--bits N`" in line.advice
    site.write({"model": "models/twelve"})
    [line] = look(brightness.check_brightness, site)
    assert (line.state, line.found[:36]) == (Level.OK, "1 16-bit files suit the 12 bits of n")
    site.drop("b.png", deep_picture(BRIGHT, 16))
    [line] = look(brightness.check_brightness, site)
    assert line.found.startswith("Values in 1 of 2 16-bit files, such as ")


def test_an_empty_watch_is_told_of_its_models_golden_images(site: Site) -> None:
    draft = write_null_bundle(site.root / "draft")
    index = {"gap": 1.0, "images": [{"file": "golden/0.png", "target": "ok", "logits": [-5.0], "heat": {}}]}
    files = {"golden/0.png": deep_picture(BRIGHT, 10), "golden/golden.json": json.dumps(index).encode()}
    write_bundle(site.root / "models" / "golden", draft.spec, files, draft)
    site.write({"model": "models/golden"})
    [line] = look(brightness.check_brightness, site)
    assert (line.state, line.subject) == (Level.WARN, "watch line, golden images")
    assert "1/64" in line.found


def test_beside_a_running_daemon_and_after_it(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    code, found = ask(site)
    assert code == 0
    said = {line["subject"]: line["found"] for line in found if line["check"] == "ledger"}
    assert said[str(site.root / "inspectd.db")].startswith(f"schema {REVISION}, ")
    assert said["last start of the daemon"] != "never"
    assert [line["found"] for line in found if line["check"] == "daemon"] == [f"served by process {daemon.process.pid}"]
    assert daemon.stop() == 0
    assert site.rows("select * from images") == []  # the canary was not taken for an image
    assert look(ledger.check_ledger, site)[0].found == "no daemon serves it now"


def test_a_configuration_that_cannot_be_read_is_told_in_full(site: Site) -> None:
    site.config.write_text("watch: []\n")
    command = [sys.executable, "-m", "inspectd", "doctor", "-c", str(site.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (78, "")
    assert len(done.stderr.splitlines()) == 3


def test_a_fault_is_a_line_with_what_to_do_and_exit_1(site: Site) -> None:
    site.incoming.rmdir()
    (site.root / "models" / "null" / "bundle.yaml").write_text("format: 1\n")
    command = [sys.executable, "-m", "inspectd", "doctor", "-c", str(site.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "inspectd: 2 faults, see above.\n"
    first, second = [line for line in done.stdout.splitlines() if line.startswith("FAULT")]
    make = f"mount it, create it (`mkdir -p {site.incoming}`), or correct `path`"
    assert first == f"FAULT  folders        watch line, {site.incoming}: is not there. {make}"
    assert "is not what was evaluated" in second


# --- folders and rights


def test_a_file_where_a_watch_should_be(site: Site) -> None:
    site.incoming.rmdir()
    site.incoming.touch()
    assert worse(look(folders.check_folders, site)) == [
        ("FAULT", f"watch line, {site.incoming}", "is a file, not a folder")
    ]


@pytest.fixture
def open_site() -> Iterator[Site]:
    """A site that every user may enter, where pytest's own folder is closed to all but its owner."""
    if os.geteuid() != 0:
        pytest.skip(ROOT_ONLY)
    root = Path(tempfile.mkdtemp(prefix="inspectd-doctor-"))
    root.chmod(0o755)
    try:
        with laid_out(root) as site:
            yield site
    finally:
        shutil.rmtree(root)


@contextmanager
def nobody() -> Iterator[None]:
    """This process with the rights of another user; a process of its own might not even reach the interpreter."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def test_the_command_that_is_printed_gives_the_right(open_site: Site) -> None:
    site = open_site
    site.write({"after": "move", "move_to": "archive/{verdict}"}, database="sqlite:///db/inspectd.db")
    (site.root / "output").mkdir()
    (site.root / "archive").mkdir()
    os.chown(site.root / "archive", NOBODY, NOBODY)
    (site.root / "archive").chmod(0o500)
    os.chown(site.root / "output", 0, NOBODY)
    (site.root / "models").chmod(0o700)
    doctored, mended = site_of(site.config, load(site.config)), set()
    while True:
        with nobody():
            found = [*folders.check_folders(doctored), *models.check_models(doctored)]
        commands = {line.advice.strip("`") for line in found if line.state is Level.FAULT}
        if not commands:
            break
        assert not commands & mended, "what it said before did not help"
        mended |= commands
        for command in commands:
            subprocess.run(command, shell=True, check=True)
    group, root = folders.group_name(NOBODY), site.root
    assert mended == {
        f"chgrp {group} {root}/incoming && chmod g+rwx {root}/incoming",
        f"install -d -m 2770 -o {NOBODY} -g {group} {root}/db",
        f"chmod u+rwx {root}/archive",
        f"chmod g+rwx {root}/output",
        f"chgrp {group} {root}/models && chmod g+x {root}/models",
    }


def test_a_closed_folder_in_a_watch(open_site: Site) -> None:
    closed = open_site.incoming / "left"
    closed.mkdir(0o700)
    (closed / "deeper").mkdir()
    (open_site.incoming / "right").mkdir(0o755)
    open_site.incoming.chmod(0o755)
    site = site_of(open_site.config, load(open_site.config))
    with nobody():
        (found,) = (line for line in folders.check_folders(site) if line.state is Level.WARN)
    assert found.found == f"1 folder below cannot be read by nobody, and the files in them wait: {closed}"
    assert found.advice == f"`chgrp {folders.group_name(NOBODY)} {closed} && chmod g+rx {closed}`"
    closed.chmod(0o744)  # its names can be read, and nothing more
    with nobody():
        (found,) = (line for line in folders.check_folders(site) if line.state is Level.WARN)
    assert found.found.endswith(f"{closed}/deeper")
    assert found.advice == f"`chgrp {folders.group_name(NOBODY)} {closed} && chmod g+rx {closed}`"


def test_a_site_behind_a_closed_door(open_site: Site) -> None:
    open_site.root.chmod(0o700)
    site = site_of(open_site.config, load(open_site.config))
    with nobody():
        found = list(folders.check_folders(site))
    group, root = folders.group_name(NOBODY), open_site.root
    assert {(line.state, line.found) for line in found} == {("FAULT", f"nobody may not enter {root}")}
    assert {line.advice for line in found} == {
        f"`chgrp {group} {root} && chmod g+x {root}`",
        f"`chgrp {group} {root} && chmod g+rwx {root}`",  # the ledger is made in it
    }


def test_a_group_to_join_and_one_that_lacks_rights(tmp_path: Path) -> None:
    user = folders.User(NOBODY, frozenset({NOBODY}))
    group = folders.group_name(4)
    found = {mode: os.stat_result((mode, 0, 0, 0, 0, 4, 0, 0, 0, 0)) for mode in (0o40750, 0o40700)}
    join = f"usermod --append --groups {group} nobody"
    then = ", then start inspectd anew"
    assert folders.remedy(user, tmp_path, found[0o40750], folders.READ) == f"`{join}`{then}"
    assert folders.remedy(user, tmp_path, found[0o40700], folders.READ) == f"`{join} && chmod g+rx {tmp_path}`{then}"


def test_what_a_service_owns_is_shared_with_its_group(open_site: Site) -> None:
    site, output = open_site, open_site.root / "output"
    output.mkdir()
    os.chown(output, 990, 990)
    assert worse(look(folders.check_folders, site)) == [
        ("WARN", f"output, {output}", "mode 0755 keeps the group 990 out")
    ]
    output.chmod(0o2770)
    assert worse(look(folders.check_folders, site)) == []
    os.chown(site.root, 990, 990)
    [user] = look(folders.check_user, site)
    assert (user.state, user.found) == (Level.WARN, "root may do everything, user 990 may not")


# --- disks


def test_a_read_only_output_and_a_ledger_in_memory(site: Site, space: Space) -> None:
    (site.root / "output").mkdir()
    (site.root / "db").mkdir()
    site.write(database="sqlite:///db/inspectd.db")
    space.tmpfs(site.root / "output", "ro")
    space.tmpfs(site.root / "db", "size=1m")
    code, found = ask(site, *space.enter)
    assert code == 1
    said = bad(found, "folders")
    assert (said["state"], said["found"]) == ("FAULT", "the file system is mounted read-only")
    assert said["advice"] == f"`mount -o remount,rw {site.root}/output`"
    assert bad(found, "disks")["found"] == "tmpfs: a restart of the machine empties it"
    [ledger_disk] = [line for line in found if line["check"] == "space" and line["subject"].startswith("ledger")]
    assert ledger_disk["state"] == "FAULT"


def test_a_disk_that_is_nearly_full_and_one_without_inodes(site: Site, space: Space) -> None:
    (site.root / "output").mkdir()
    for options, state in (("size=1g", "WARN"), ("size=100m", "FAULT"), ("size=8g,nr_inodes=1000", "FAULT")):
        space.tmpfs(site.root / "output", options)
        disk = os.statvfs(space.path(site.root / "output"))
        assert disks.space("output", disk).state == state, options


def test_file_systems_of_other_machines(tmp_path: Path) -> None:
    mounts = f"{MOUNTS}2 1 0:40 / {tmp_path} rw - cifs //nas/cameras rw\n"
    cifs = disks.ledger_kind(tmp_path / "inspectd.db", mounts)
    assert (cifs.state, cifs.found) == (Level.FAULT, "cifs: SQLite loses data on a network file system")
    assert disks.ledger_kind(Path("/run/inspectd.db"), mounts).state is Level.WARN
    assert disks.ledger_kind(Path("/srv/inspectd.db"), mounts).state is Level.OK


def test_what_a_backend_means_on_a_share(site: Site) -> None:
    mounts = f"{MOUNTS}4 1 0:42 / {site.incoming} rw - nfs4 nas:/cameras rw\n"
    for backend, said in (
        ("auto", ("ok", "nfs4: auto means polling")),
        ("polling", ("ok", "nfs4: polling")),
        ("inotify", ("WARN", "nfs4: no events for files that other machines write")),
    ):
        site.write({"backend": backend})
        found = disks.watch_kind(load(site.config).watch[0], mounts)
        assert (found.state, found.found) == said


# --- events and their limits


def test_a_watch_that_nobody_may_write_to_is_said_and_no_fault(site: Site, space: Space) -> None:
    space.tmpfs(site.incoming, "ro")
    code, found = ask(site, *space.enter)
    assert code == 0
    said = bad(found, "events")
    assert (said["state"], said["found"]) == ("WARN", "not tried: no file can be created here (Read-only file system)")


def test_an_event_that_does_not_come(site: Site) -> None:
    """A file made in another folder stands for one whose event is lost."""
    elsewhere = site.root / "models" / "canary"
    assert not events.arrives(site.incoming, "canary", elsewhere.touch, patience=0.2)
    assert events.arrives(site.incoming, "canary", (site.incoming / "canary").touch)


def test_what_is_said_of_an_event_that_does_not_come() -> None:
    assert events.unheard("auto", "watch").advice.startswith("it will also be polled")
    assert events.unheard("inotify", "watch").advice.startswith("files are found by the scan")


def test_a_limit_that_is_nearly_reached_and_a_short_queue() -> None:
    most = limits.Limit(1000, "fs.inotify.max_user_watches")
    assert [limits.against("folders", number, most).state for number in (800, 801, 1000, 1001)] == [
        *(Level.OK, Level.WARN, Level.WARN, Level.FAULT)
    ]
    raised = "`echo fs.inotify.max_user_watches=4004 > /etc/sysctl.d/60-fs.inotify.max_user_watches.conf"
    assert limits.against("folders", 1001, most).advice.startswith(raised)
    assert limits.waiting(limits.QUEUE - 1).state is Level.WARN


def test_polling_needs_no_events(site: Site) -> None:
    site.write({"backend": "polling"})
    assert look(limits.check_limits, site) == []
    [found] = look(events.check_events, site)
    assert (found.state, found.found) == (Level.OK, "polled every second or less often; no events are needed")


@pytest.mark.parametrize(
    ("limit", "value", "subject"),
    [("max_inotify_instances", 0, "observers of the user"), ("max_inotify_watches", 2, "folders in the watches")],
)
def test_limits_of_inotify(site: Site, limit: str, value: int, subject: str) -> None:
    (site.incoming / "a" / "b").mkdir(parents=True)
    namespace = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip(NO_USERS)
    set_limit = f'echo {value} > /proc/sys/user/{limit} && exec "$@"'
    code, found = ask(site, *namespace, "sh", "-c", set_limit, "sh")
    assert code == 1
    said = bad(found, "limits")
    assert (said["state"], said["subject"]) == ("FAULT", subject)
    assert f"echo user.{limit}=" in said["advice"]
    if value == 0:
        assert bad(found, "events")["found"] == "no events can be received: inotify instance limit reached"


# --- ledger and clock


@pytest.fixture
def started(site: Site) -> Path:
    """The ledger of a site whose daemon has been started once."""
    url = f"sqlite:///{site.root}/inspectd.db"
    upgrade(url)
    engine = open_writer(url)
    Queue(engine).event("start", "inspectd")
    engine.dispose()
    return site.root / "inspectd.db"


def test_a_damaged_ledger(site: Site, started: Path) -> None:
    assert worse(look(ledger.check_ledger, site)) == []
    with sqlite3.connect(started) as connection:
        [page] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'images_seen'").fetchone()
        [size] = connection.execute("PRAGMA page_size").fetchone()
    with started.open("r+b") as handle:
        handle.seek((page - 1) * size)
        handle.write(b"\xff" * size)
    [fault] = [line for line in look(ledger.check_ledger, site) if line.state is Level.FAULT]
    assert "keep the file, and put the newest good copy in its place" in fault.advice
    large = ledger_health(f"sqlite:///{started}", quick_most=0)
    assert (large.quick, large.damage) == (False, None)
    started.write_bytes(b"no database at all" * 1000)
    [fault] = [line for line in look(ledger.check_ledger, site) if line.state is Level.FAULT]
    assert "is not an inspectd database" in fault.advice


def test_a_ledger_of_another_version(site: Site, started: Path) -> None:
    for revision, advice in (("0000", "`inspectd run` upgrades it"), ("9999", "was written by a newer inspectd")):
        with sqlite3.connect(started) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
        [fault] = [line for line in look(ledger.check_ledger, site) if line.state is Level.FAULT]
        assert advice in fault.advice


def test_a_clock_that_was_set_back(site: Site, started: Path) -> None:
    with sqlite3.connect(started) as connection:
        connection.execute("UPDATE events SET at = '2099-01-01T00:00:00.000Z' WHERE kind = 'start'")
    [(state, subject, found)] = worse(look(ledger.check_ledger, site))
    assert (state, subject) == ("WARN", "newest row of the ledger")
    assert found.endswith("and the newest row is of 2099-01-01T00:00:00.000Z: the clock was set back")


def test_a_log_that_is_not_written_back() -> None:
    assert ledger.log_size("inspectd.db-wal", ledger.WAL_MOST).state is Level.OK
    assert ledger.log_size("inspectd.db-wal", ledger.WAL_MOST + 1).state is Level.WARN


def test_clocks() -> None:
    assert clock.plausible(datetime(1970, 1, 1, 0, 5, tzinfo=UTC)).state is Level.FAULT
    assert clock.plausible(datetime(2027, 1, 1, tzinfo=UTC)).state is Level.OK
    assert clock.synchronised(clock.UNSYNCHRONISED).state is Level.WARN
    assert clock.synchronised(0).found == "synchronised"
    assert clock.synchronised(-1).found == "unknown: the kernel does not answer here"


# --- models and device


@pytest.mark.long
def test_a_device_that_is_not_there_and_one_that_does_not_answer() -> None:
    absent = models.device("gpu:63")
    assert (absent.state, absent.found) == (Level.FAULT, "is not available")
    assert "worker.device: gpu:63" in absent.advice
    late = models.device("cpu", patience=0.01)
    assert (late.state, late.found) == (Level.FAULT, "no answer within 0.01 s")


# --- the drop-in


def test_a_site_in_the_state_directory_needs_no_drop_in(site: Site) -> None:
    nothing = sandbox.Needs((), (Path("/srv/cameras"), Path("/etc/inspectd")))
    assert sandbox.written_out(site.config, nothing) == ""


@pytest.mark.parametrize(
    ("needs", "lines"),
    [
        (sandbox.Needs((), (Path("/home/ada/in"),)), ["[Service]", "ProtectHome=read-only"]),
        (
            sandbox.Needs((Path("/home/ada/in"), Path("/srv/out")), ()),
            ["[Service]", "ReadWritePaths=/home/ada/in /srv/out", "ProtectHome=no"],
        ),
        (
            sandbox.Needs((Path("/mnt/line 1"), Path("/tmp/100%")), (), frozenset({Path("/mnt/line 1")})),
            [
                "[Service]",
                'ReadWritePaths="-/mnt/line 1" /tmp/100%%',
                "PrivateTmp=no",
            ],
        ),
    ],
)
def test_drop_ins_are_what_systemd_takes(tmp_path: Path, needs: sandbox.Needs, lines: list[str]) -> None:
    text = sandbox.written_out(Path("/etc/inspectd/config.yaml"), needs)
    assert [line for line in text.splitlines() if line and line[0] != "#"] == lines
    if not shutil.which("systemd-analyze"):
        pytest.skip("this machine has no systemd")
    unit = tmp_path / "inspectd.service"
    shipped = (Path(__file__).parents[2] / "systemd" / "inspectd.service").read_text()
    unit.write_text(re.sub(r"(?m)^(ExecStart)=.*", r"\1=/bin/true", shipped))
    (tmp_path / "inspectd.service.d").mkdir()
    (tmp_path / "inspectd.service.d" / "folders.conf").write_text(text)
    verify = ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_installed_service_against_the_needs() -> None:
    found = sandbox.Needs((Path("/srv/out"), Path("/home/ada/in")), ())
    own = {"RequiresMountsFor": "/var/lib/inspectd /tmp /var/tmp"}  # what systemd adds for the unit's own folders
    shipped = {"ReadWritePaths": "", "ProtectHome": "yes", "PrivateTmp": "yes", **own}
    dropped_in = {"ReadWritePaths": "-/srv /home/ada/in", "ProtectHome": "no", "PrivateTmp": "yes", **own}
    assert sandbox.allowed(found, None, "install it").state is Level.OK
    assert sandbox.allowed(found, dropped_in, "install it").state is Level.OK
    lacking = sandbox.allowed(found, shipped, "install it")
    assert (lacking.state, lacking.found) == (
        Level.FAULT,
        "the installed service lacks ReadWritePaths=/srv/out /home/ada/in, ProtectHome=no",
    )


def test_an_installed_requirement_of_a_mount_is_a_fault() -> None:
    shown = {"ReadWritePaths": "", "ProtectHome": "yes", "PrivateTmp": "yes", "RequiresMountsFor": "/tmp '/mnt/line 1'"}
    found = sandbox.allowed(sandbox.Needs((), (Path("/mnt/line 1"),)), shown, "install it")
    assert found.state is Level.FAULT
    assert 'RequiresMountsFor="/mnt/line 1"' in found.found
    assert "daemon-reload" in found.advice


def test_needs_are_what_the_unit_does_not_give(site: Site) -> None:
    (site.root / "link").symlink_to("/mnt/cameras/line 1")
    site.write({"path": "link", "after": "delete"}, output="/var/lib/inspectd/out", database="sqlite:////srv/db/a.db")
    mounts = "1 0 8:1 / / rw - ext4 a rw\n2 1 0:4 / /mnt rw - nfs4 b rw\n"
    found = sandbox.needs(site_of(site.config, load(site.config)), mounts)
    assert found.written == (Path("/srv/db"), Path("/mnt")), "a share is named by its mount point"
    assert found.waited == {Path("/mnt")}
    assert found.read == (site.root,)


def test_a_watch_whose_folder_is_missing_does_not_keep_the_service_from_starting(site: Site) -> None:
    site.write({"path": "/srv/late/in", "after": "move", "move_to": "/var/lib/inspectd/archive"}, output="/srv/out")
    found = sandbox.needs(site_of(site.config, load(site.config)), "1 0 8:1 / / rw - ext4 a rw\n")
    assert "ReadWritePaths=/srv/out " in sandbox.written_out(site.config, found)
    assert "-/srv/late/in" in sandbox.written_out(site.config, found)


def test_the_drop_in_of_a_site(site: Site) -> None:
    site.write({"after": "move", "move_to": "/srv/archive/{watch}/{date}"}, output="/srv/out")
    site.root.joinpath("models").rename(site.root / "bundles")
    command = [sys.executable, "-m", "inspectd", "doctor", "--systemd", "-c", str(site.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"ReadWritePaths=/srv/out {site.root} /srv/archive/line" in done.stdout.splitlines()
    missing = [line.subject for line in look(sandbox.check_sandbox, site) if line.state is Level.WARN]
    assert missing == ["/srv/out", "/srv/archive/line"]

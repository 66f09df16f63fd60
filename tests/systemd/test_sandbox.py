"""What the unit keeps the service from, and what it leaves to the service's group and to TensorFlow."""

import subprocess
from pathlib import Path

import pytest
from support.box import SOURCE, Box
from support.service import SITE, STATE, UNIT, Service, typed
from support.site import BRIGHT, picture, until

pytestmark = pytest.mark.systemd

EXPOSURE = "15"  # tenths
SELECT = "select path, verdict from verdicts"


@pytest.mark.parametrize("drop_in", [None, "gpu.conf"])
def test_the_unit_is_clean_and_little_exposed(service: Service, drop_in: str | None) -> None:
    if drop_in:
        service.box.type([f"install -D -m 644 systemd/{drop_in} /etc/systemd/system/{UNIT}.d/{drop_in}"])
        service.box.ask("systemctl", "daemon-reload")
    unit = service.show("FragmentPath")
    assert unit == f"/usr/local/lib/systemd/system/{UNIT}"
    verified = service.box.run("systemd-analyze", "verify", "--recursive-errors=no", unit)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, b"")
    for way, name in ((), UNIT), (("--offline=true",), unit):
        rated = service.box.ask("systemd-analyze", "security", *way, f"--threshold={EXPOSURE}", name)
        assert ("char-nvidia" in rated) == (drop_in is not None), "the drop-in is rated as well"
    service.start()


def test_a_mistake_in_the_unit_would_be_seen(service: Service) -> None:
    service.drop_in("ProtectEverything=yes")
    unit = service.show("FragmentPath")
    verified = service.box.run("systemd-analyze", "verify", "--recursive-errors=no", unit)
    assert (verified.returncode, b"ProtectEverything" in verified.stderr) == (1, True)


def test_the_service_runs_as_its_user_without_privileges(service: Service) -> None:
    service.start()
    identity = service.box.ask("id", "-u", "inspectd")
    for process in (service.supervisor(), service.worker()):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        assert status["Uid"].split() == [identity] * 4
        assert (int(status["CapEff"], 16), status["NoNewPrivs"], status["Seccomp"]) == (0, "1", "2")


def test_it_sees_and_writes_only_what_is_its_own(service: Service) -> None:
    for other in ("/dev/camera", "/home/alice/secret", "/tmp/secret"):
        service.box.write(other, "not the service's business")
    service.box.write("/run/begun", "")
    service.start()
    service.drop({"bad.png": picture(BRIGHT)})
    service.outcomes(1)
    supervisor = service.supervisor()

    def there(*command: str) -> "subprocess.CompletedProcess[str]":
        inside = ["nsenter", "-t", str(supervisor), "-m", "--", *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False)

    # Root's own hand, in the service's view of the file system: what is read-only to it is so to everyone.
    for folder in ("/", "/etc", "/opt/inspectd", "/usr", "/var/log", "/var/lib", "/srv", "/boot"):
        done = there("touch", f"{folder}/written")
        assert (done.returncode, "Read-only file system" in done.stderr) == (1, True), (folder, done.stderr)
    assert there("touch", f"{SITE}/output/written").returncode == 0
    assert there("ls", "-A", "/home").stdout == there("ls", "-A", "/tmp").stdout == ""
    assert "null" in there("ls", "/dev").stdout.split()
    assert "camera" not in there("ls", "/dev").stdout.split()
    # And what it has written, on the disk (the overlay's upper layer) and in memory, is all in the state directory.
    written = "find /run/written /run/user /dev/shm /tmp -user inspectd -cnewer /run/begun 2>/dev/null"
    found = service.box.ask("sh", "-c", written, check=False).splitlines()
    assert f"/run/written{SITE}/inspectd.db" in found, "the search does look there"
    own = (f"/run/written{STATE}", "/tmp/systemd-private-")
    assert [path for path in found if not path.startswith(own)] == []


def test_a_folder_elsewhere_is_read_and_with_the_documented_drop_in_written(service: Service) -> None:
    service.box.ask("install", "-d", "-m", "2770", "-o", "inspectd", "-g", "inspectd", "/srv/cameras")
    service.box.write("/srv/cameras/bad.png", picture(BRIGHT), user="alice")
    service.configure({"path": "/srv/cameras", "after": "move"})
    service.start()
    assert service.outcomes(1) == {"bad.png": "defect"}
    until(lambda: "Read-only file system" in service.messages("-p", "warning"), "it says that it cannot move the file")
    service.box.ask("test", "-e", "/srv/cameras/bad.png")
    service.box.type(typed("3. The service", 1))
    archived = ("find", f"{SITE}/archive/line/defect", "-name", "bad.png")
    until(lambda: service.box.ask(*archived, check=False), "the file in the archive")
    assert service.box.run("test", "-e", "/srv/cameras/bad.png").returncode == 1


def test_the_group_can_ask_the_ledger_and_others_cannot(service: Service) -> None:
    service.start()
    service.drop({"bad.png": picture(BRIGHT)})
    service.outcomes(1)
    assert service.rows(SELECT, user="alice") == [["bad.png", "defect"]]
    if not service.box.run("sh", "-c", "command -v sqlite3").returncode:
        shell = ("sqlite3", "-readonly", f"{SITE}/inspectd.db", SELECT)
        assert service.box.ask(*shell, user="alice") == "bad.png|defect"
    with pytest.raises(AssertionError, match="unable to open database file"):
        service.rows(SELECT, user="bob")
    service.box.ask("systemctl", "stop", "inspectd")
    assert service.rows(SELECT, user="alice") == [["bad.png", "defect"]], "with the service stopped"
    service.start()
    service.drop({"more.png": picture(BRIGHT, seed=1)})
    assert len(service.outcomes(2)) == 2, "what alice's query left behind does not stand in the way"


def test_the_documented_way_leads_to_tensorflow_at_work(service: Service, box: Box) -> None:
    """The site as `inspectd init` lays it out, with the demo's real network in the sandbox."""
    service.box.write(f"{SITE}/config.yaml", box.ask("cat", f"{SOURCE}/config.yaml") + "\n")
    box.type([*typed("2. A working folder", 1), *typed("3. The service")])
    assert "demo" in service.says("watching demo (inotify)")
    service.drop({"some-image.png": picture(BRIGHT, size=256)})
    until(lambda: service.rows("select 1 from verdicts where verdict != 'pending'"), "a verdict")
    [[verdict, reason]] = service.rows("select verdict, reason from verdicts")
    assert verdict in ("ok", "defect", "review"), reason
    *results, asked = typed("4. Try it")[1:]
    assert "some-image.png" in box.type(results)
    if not box.run("sh", "-c", "command -v sqlite3").returncode:
        assert "some-image.png" in box.type([asked])

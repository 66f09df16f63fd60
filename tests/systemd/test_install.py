"""`make install`, an upgrade and `make uninstall`, typed as the documents say, while the service is at work."""

import os
import signal
from collections.abc import Iterator

import pytest
from support.box import SOURCE, Box
from support.service import SITE, STATE, UNIT, Service, typed
from support.site import BRIGHT, DARK, picture, until

pytestmark = pytest.mark.systemd

INSTALLED = "/opt/inspectd"
SELECT = "select path, verdict from verdicts order by path"
_, INSTALL, RESTART = typed("Upgrade, go back, uninstall")
[GO_BACK] = typed("Upgrade, go back, uninstall", 1)
FILES = f"find {STATE} /etc/inspectd ! -name '*.db-*' -printf '%p %m %u:%g %l\\n' | sort; sha256sum {SITE}/config.yaml"
LEFT = "find /etc /opt /usr/local/bin /usr/local/lib /var/lib -xdev -name '*inspectd*' -prune"


def current(box: Box) -> str:
    return box.ask("readlink", f"{INSTALLED}/current")


def releases(box: Box) -> set[str]:
    return {f"releases/{name}" for name in box.ask("ls", f"{INSTALLED}/releases").split()}


@pytest.fixture
def lock(box: Box) -> Iterator[str]:
    """A lock file that the test may change."""
    path = f"{SOURCE}/requirements/run.lock"
    text = box.ask("cat", path)
    yield path
    box.write(path, f"{text}\n")


def test_the_systems_own_tools_make_the_user_and_the_folders(service: Service, box: Box) -> None:
    _, _, _, _, _, home, shell = box.ask("getent", "passwd", "inspectd").split(":")
    assert (home, shell) == (STATE, "/usr/sbin/nologin")
    assert box.ask("id", "-gn", "inspectd") == "inspectd"
    assert int(box.ask("id", "-u", "inspectd")) < 1000, "a user of the system's, with no place on the login screen"
    # As at the next boot: all that is configured, ours found by its place.
    box.ask("sh", "-ec", f"rm /etc/inspectd/config.yaml; rmdir /etc/inspectd; chmod 700 {STATE}; chown root {STATE}")
    box.ask("systemd-sysusers")
    box.run("systemd-tmpfiles", "--create")  # what others configured may fail in the box
    assert box.ask("stat", "-c", "%n %U:%G %a", STATE, "/etc/inspectd").splitlines() == [
        f"{STATE} inspectd:inspectd 2770",
        "/etc/inspectd root:root 755",
    ]
    box.type([typed("2. A working folder")[-1]])
    service.start()


def test_an_upgrade_keeps_ledger_and_configuration_and_one_can_go_back(service: Service, box: Box) -> None:
    service.start()
    service.drop({"before.png": picture(BRIGHT)})
    service.outcomes(1)
    supervisor, worker = service.supervisor(), service.worker()
    running, configuration = current(box), box.ask("cat", f"{SITE}/config.yaml")
    assert worker

    said = box.type([INSTALL])
    between = current(box)
    assert running != between
    assert running in said
    box.type([INSTALL])
    last = current(box)
    assert releases(box) == {running, between, last}, "what still runs is not taken away, ..."
    assert service.supervisor() == supervisor
    os.kill(worker, signal.SIGKILL)
    service.drop({"meanwhile.png": picture(DARK)})
    service.outcomes(2)  # ... for another worker starts from it

    box.type([RESTART])
    assert box.processes(UNIT)[service.supervisor() or 0][0].startswith(f"{INSTALLED}/{last}/")
    service.drop({"after.png": picture(BRIGHT, seed=1)})
    service.outcomes(3)
    verdicts = [["after.png", "defect"], ["before.png", "defect"], ["meanwhile.png", "ok"]]
    assert service.rows(SELECT) == verdicts
    shown = box.ask("inspectd", "show", "before.png", "-c", "/etc/inspectd/config.yaml", user="alice")
    assert "defect" in shown
    assert box.ask("cat", f"{SITE}/config.yaml") == configuration

    box.type([GO_BACK])
    assert box.processes(UNIT)[service.supervisor() or 0][0].startswith(f"{INSTALLED}/{between}/")
    assert service.rows(SELECT) == verdicts
    assert "before.png" in box.ask("inspectd", "results", "-c", "/etc/inspectd/config.yaml", user="alice")


def test_an_installation_that_fails_or_is_killed_leaves_the_old_release(service: Service, box: Box, lock: str) -> None:
    service.start()
    before, names = current(box), releases(box)
    whole = box.ask("cat", lock)
    box.write(lock, f"{whole}\nnowhere-to-be-had==1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(AssertionError, match="nothing is changed"):
        box.type(["export PIP_NO_INDEX=1", INSTALL])
    assert (current(box), releases(box)) == (before, names)

    box.write(lock, f"{whole}\n")
    box.ask("systemd-run", "--unit=upgrade", f"--working-directory={SOURCE}", "make", "install")
    until(lambda: releases(box) - names, "the new release is begun")
    box.ask("systemctl", "kill", "--signal=KILL", "upgrade.service")
    until(lambda: not box.processes("upgrade.service"), "its end")
    assert current(box) == before
    assert len(releases(box)) == len(names) + 1, "half a release is left, ..."
    box.ask("systemctl", "restart", "inspectd")
    box.ask("cp", f"{SOURCE}/systemd/{UNIT}", f"/etc/systemd/system/{UNIT}")  # as `systemctl edit --full` does
    try:
        assert f"Mind: /etc/systemd/system/{UNIT}" in box.type([INSTALL])
    finally:
        box.ask("rm", f"/etc/systemd/system/{UNIT}")
    assert releases(box) == {before, current(box)}, "... until the next installation"


def test_with_a_gpu_its_lock_and_its_drop_in_are_installed(service: Service, box: Box) -> None:
    """There is no CUDA in the box: the lock names first another package that is not to be had, then the usual ones."""
    run, gpu = (f"{SOURCE}/requirements/{name}.lock" for name in ("run", "gpu"))
    asked = box.ask("cat", gpu)
    drop_in = f"/usr/local/lib/systemd/system/{UNIT}.d/gpu.conf"
    box.type([f"(cat {run}; echo; echo 'for-gpus==1 --hash=sha256:{'0' * 64}') >{gpu}"])
    with pytest.raises(AssertionError, match="for-gpus"):
        box.type(["export PIP_NO_INDEX=1", f"{INSTALL.split('#')[0]} GPU=1"])
    box.type([f"cp {run} {gpu}", f"{INSTALL.split('#')[0]} GPU=1"])
    assert drop_in in service.show("DropInPaths")
    assert service.show("PrivateDevices") == "no"
    box.write(gpu, f"{asked}\n")
    box.type([INSTALL])
    assert service.show("PrivateDevices") == "yes"


def test_it_takes_root_and_a_python_for_everyone(box: Box) -> None:
    refused = box.run("make", "-C", SOURCE, "install", user="alice")
    assert (refused.returncode, b"takes root" in refused.stderr) == (2, True)
    box.ask("install", "-D", "/usr/bin/python3", "/root/private/bin/python3")
    box.ask("chmod", "700", "/root")
    refused = box.run("make", "-C", SOURCE, "install", "PYTHON=/root/private/bin/python3")
    assert (refused.returncode, b"cannot run /root/private/bin/python3" in refused.stderr) == (2, True)


def test_uninstall_stops_the_service_and_leaves_what_is_the_sites(service: Service, box: Box) -> None:
    service.drop_in("RestartSec=1s")  # the site's own, which stays
    box.type(typed("3. The service"))
    service.drop({"kept.png": picture(BRIGHT)})
    service.outcomes(1)
    box.ask("systemctl", "stop", "inspectd")
    data = box.ask("sh", "-c", FILES)
    service.start()
    try:
        said = box.type(["make uninstall"])
        assert all(kept in said for kept in (STATE, "/etc/inspectd"))
        assert box.processes(UNIT) == {}
        assert box.ask("sh", "-c", FILES) == data
        assert service.rows(SELECT) == [["kept.png", "defect"]]
        assert set(box.ask("sh", "-c", LEFT).split()) == {STATE, "/etc/inspectd", f"/etc/systemd/system/{UNIT}.d"}
    finally:
        box.type([INSTALL])
    service.start()
    assert service.rows(SELECT) == [["kept.png", "defect"]]

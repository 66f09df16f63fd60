"""A watch on a share that is late at boot, goes away and comes back: the service waits for it by itself."""

from collections.abc import Iterator

import pytest
from support.box import Box
from support.service import SITE, Service
from support.site import BRIGHT, DARK, picture, until

pytestmark = pytest.mark.systemd

SHARE = "/mnt/line 1"
UNIT = r"mnt-line\x201.mount"
MOUNT = f"[Mount]\nWhere={SHARE}\nType=tmpfs\nWhat="
DROP_IN = "/etc/systemd/system/inspectd.service.d"
INSTALL = (
    "inspectd doctor --systemd -c /etc/inspectd/config.yaml | "
    f"install -D -m 644 /dev/stdin {DROP_IN}/folders.conf; systemctl daemon-reload"
)


class Share:
    """A mount unit of the box: `comes` mounts it, with the watch's folder in it, and `goes` takes it away."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def comes(self) -> None:
        self.box.write(f"/etc/systemd/system/{UNIT}", f"{MOUNT}tmpfs\n")
        self.box.ask("systemctl", "daemon-reload")
        self.box.ask("systemctl", "start", UNIT)
        self.box.ask("install", "-d", "-m", "2770", "-o", "inspectd", "-g", "inspectd", f"{SHARE}/in")

    def goes(self) -> None:
        """As a file server that stops answering, or `umount -l`: also while somebody holds the folder open."""
        self.box.run("systemctl", "stop", UNIT)
        self.box.run("umount", "-l", SHARE)
        until(lambda: self.box.run("mountpoint", SHARE).returncode, "the share is gone")

    def drop(self, name: str, level: int) -> None:
        self.box.write(f"{SHARE}/in/{name}", picture(level), user="alice")

    def is_moved(self, name: str) -> bool:
        return bool(self.box.ask("find", f"{SITE}/archive", "-name", name, check=False))


@pytest.fixture
def share(service: Service) -> Iterator[Share]:
    service.configure({"path": f"{SHARE}/in", "after": "move", "rescan": 1})
    service.box.ask("mkdir", "-p", SHARE)
    share = Share(service.box)
    try:
        yield share
    finally:
        share.goes()
        service.box.ask("rm", "-f", f"/etc/systemd/system/{UNIT}")


def test_a_share_that_is_late_and_blinks_is_waited_for(service: Service, share: Share) -> None:
    share.comes()
    service.box.ask("sh", "-c", INSTALL)
    share.goes()

    service.start()  # the machine boots, and the file server takes longer
    share.comes()
    share.drop("late.png", BRIGHT)
    assert service.outcomes(1) == {"late.png": "defect"}
    until(lambda: share.is_moved("late.png"), "late.png in the archive")

    service.box.ask("systemctl", "restart", "inspectd")  # now with the share in its place
    share.goes()
    service.says("watching line (folder missing)")
    share.comes()
    service.says("watching line (inotify)")  # empty as it is
    share.drop("again.png", DARK)
    assert service.outcomes(2) == {"late.png": "defect", "again.png": "ok"}
    until(lambda: share.is_moved("again.png"), "again.png in the archive")
    assert service.show("NRestarts") == "0"


def test_doctor_calls_a_requirement_of_the_mount_a_fault(service: Service, share: Share) -> None:
    share.comes()
    service.box.ask("sh", "-c", INSTALL)
    service.box.write(f"{DROP_IN}/wait.conf", f'[Unit]\nRequiresMountsFor="{SHARE}"\n')
    service.box.ask("systemctl", "daemon-reload")
    doctor = ("inspectd", "doctor", "--config", "/etc/inspectd/config.yaml")
    before = service.box.run(*doctor)
    assert before.returncode == 1
    assert f'the installed service has RequiresMountsFor="{SHARE}"' in before.stdout.decode()
    service.box.ask("rm", f"{DROP_IN}/wait.conf")
    service.box.ask("systemctl", "daemon-reload")
    after = service.box.run(*doctor)
    assert after.returncode == 0, after.stdout.decode()

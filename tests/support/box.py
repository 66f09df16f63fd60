"""A real systemd, booted as process 1 of its own namespaces over a throw-away overlay of /, to install inspectd in.

Nothing of the machine is changed: what is written lands in a tmpfs, and all ends with the box, or with the tests should
they be killed. Needs root. The service's user cannot run a Python that lies in somebody's home, so the box installs
inspectd with the system's Python on the libraries of the tests' own environment; both must be of one version.
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from support.site import until

CHECKOUT = Path(__file__).parents[2]
SOURCE = "/usr/local/src/inspectd"  # where it lies in the box
BOOT = Path(__file__).with_name("boot.sh")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
NAMESPACES = ("--fork", "--kill-child=KILL", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net")
UNSHARE = ["setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES, "--propagation", "private", "--", "bash"]


def obstacle(folder: Path) -> str | None:
    """Why no systemd can be booted here, as tests/skips.txt lists it; None when it can."""
    if os.geteuid() != 0:
        return "systemd is booted as root only"
    if not Path("/lib/systemd/systemd").exists() or not all(map(shutil.which, ("unshare", "nsenter", "setpriv"))):
        return "this machine has no systemd"
    if _system_python() != VERSION:
        return "the system's Python is of another version than the tests'"
    folder.mkdir()
    try:
        group = _make_group(f"inspectd-probe-{os.getpid()}")
        group.rmdir()
    except OSError:
        return "this machine allows no namespaces, overlay or control groups"
    probe = subprocess.run([*UNSHARE, str(BOOT), str(folder), "", "", ""], capture_output=True, check=False)
    return "this machine allows no namespaces, overlay or control groups" if probe.returncode else None


def _system_python() -> str:
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run(
            ["/usr/bin/python3", "-c", ask], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _make_group(name: str) -> Path:
    """A control group of our own, so that the box's systemd owns a subtree and not the machine's root."""
    unified = Path("/sys/fs/cgroup/unified")  # where the older hierarchy is mounted as well
    group = (unified if unified.is_dir() else Path("/sys/fs/cgroup")) / name
    group.mkdir()
    if not (group / "cgroup.procs").exists():
        group.rmdir()
        raise OSError(f"{group} is no control group of version 2")
    return group


class Box:
    """The booted system. Process ids are the machine's: the tests look in from outside."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.group = _make_group(f"inspectd-test-{os.getpid()}")
        self._console = folder / "console.log"
        root = folder / "system"
        root.mkdir()
        libraries = sysconfig.get_path("purelib")
        join = f"echo $$ > {self.group}/cgroup.procs && exec " + '"$@"'
        arguments = [str(BOOT), str(root), str(CHECKOUT), libraries, VERSION]
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                ["bash", "-c", join, "bash", *UNSHARE, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        try:
            until(self._is_systemd, "the box's process 1 is systemd")
            states = ("running", "degraded")
            until(lambda: self.ask("systemctl", "is-system-running", check=False) in states, "systemd has booted")
        except BaseException as error:
            self.close()
            raise AssertionError(self._console.read_text()) from error

    def _is_systemd(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError("the box ended before it began")
        with suppress(OSError, IndexError):
            return Path(f"/proc/{self.init}/comm").read_text() == "systemd\n"
        return False

    @property
    def init(self) -> int:
        """The box's process 1."""
        return int(Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()[0])

    @cached_property
    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]

    def run(
        self, *command: str, user: str | None = None, given: bytes | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """A command in the box, by root or another user, with that user's groups."""
        clean = ["env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "HOME=/", "SYSTEMD_PAGER="]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return subprocess.run(
            [*self._enter, *clean, *become, *command], input=given or b"", capture_output=True, check=False, timeout=90
        )

    def ask(self, *command: str, check: bool = True, user: str | None = None, given: bytes | None = None) -> str:
        """What a command in the box prints; with `check` it must succeed."""
        done = self.run(*command, user=user, given=given)
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}: {(done.stdout + done.stderr).decode()}")
        return done.stdout.decode().strip()

    def write(self, path: str, content: str | bytes, user: str | None = None) -> None:
        """Put a file, and the folder it lies in, into the box."""
        data = content.encode() if isinstance(content, str) else content
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1"'
        self.ask("sh", "-c", script, "sh", path, user=user, given=data)

    def type(self, lines: Sequence[str]) -> str:
        """Lines of the documents, typed by root in the checkout; the first that fails is the end."""
        return self.ask("sh", "-e", "-c", "\n".join([f"umask 022; cd {SOURCE}", *lines]))

    def processes(self, unit: str) -> dict[int, Sequence[str]]:
        """The command line of each process of a unit, by the machine's process id."""
        found = {}
        with suppress(OSError):
            for line in (self.group / "system.slice" / unit / "cgroup.procs").read_text().split():
                with suppress(OSError):
                    found[int(line)] = Path(f"/proc/{line}/cmdline").read_text().split("\0")
        return found

    def close(self) -> None:
        """The end of process 1 is the end of every process and every mount in the box."""
        with suppress(OSError, IndexError):
            os.kill(self.init, signal.SIGKILL)
        self._process.wait(30)
        until(lambda: not (self.group / "cgroup.procs").read_text(), "the box is empty")
        for folder, _, _ in os.walk(self.group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()

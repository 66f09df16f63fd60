"""The systemd drop-in that a site needs: what the shipped unit's sandbox would keep the service from.

The unit lets the service write below its state directory only, shows it nobody's home and a /tmp of its own. What is
configured elsewhere is named here, after links are followed, for systemd binds the folders that links lead to.
"""

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inspectd.ingest.observe import needs_polling
from inspectd.service.doctor.disks import MOUNTINFO, kind_of
from inspectd.service.doctor.finding import Finding, Site, State, archive, is_folder, ok, warn

STATE = Path("/var/lib/inspectd")  # StateDirectory of the unit
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))  # what ProtectHome hides
PRIVATE = (Path("/tmp"), Path("/var/tmp"))  # what PrivateTmp replaces
FILE = "/etc/systemd/system/inspectd.service.d/folders.conf"


@dataclass(frozen=True)
class Needs:
    """Folders by what is done with them, resolved; each only once, and none below another of its kind."""

    written: tuple[Path, ...]  # outside the state directory
    read: tuple[Path, ...]
    network: tuple[Path, ...]


def needs(site: Site, mounts: str) -> Needs:
    """What the configuration asks of the unit, with the text of /proc/self/mountinfo."""
    config = site.config
    written = [config.output, config.database_file.parent]
    read = [site.path.resolve().parent]
    for watch in config.watch:
        (read if watch.after == "keep" else written).append(watch.path)
        read.append(watch.model)
        if target := archive(watch):
            written.append(target)
    network = [path for path in (*(watch.path for watch in config.watch), *written) if _is_shared(path, mounts)]
    outside = [path for path in map(_real, written) if not path.is_relative_to(STATE)]
    return Needs(_outermost(outside), _outermost(map(_real, read)), _outermost(map(_real, network)))


def drop_in(site: Site) -> str:
    """The drop-in, for systemd to read; empty where the unit is enough as it is."""
    return written_out(site.path, needs(site, MOUNTINFO.read_text(errors="surrogateescape")))


def written_out(config: Path, found: Needs) -> str:
    """What a configuration needs, as a drop-in; empty where that is nothing."""
    unit = [f"RequiresMountsFor={' '.join(map(quoted, found.network))}"] if found.network else []
    service = []
    if found.written:
        service.append(f"ReadWritePaths={' '.join(map(quoted, found.written))}")
    if any(_below(path, HOMES) for path in found.written):
        service.append("ProtectHome=no")
    elif any(_below(path, HOMES) for path in found.read):
        service.append("ProtectHome=read-only")
    if any(_below(path, PRIVATE) for path in (*found.written, *found.read)):
        service.append("PrivateTmp=no")
    if not unit and not service:
        return ""
    lines = [f"# What the folders of {' '.join(str(config).split())} need beyond the unit: {FILE}"]
    for title, entries in (("Unit", unit), ("Service", service)):
        lines += ["", f"[{title}]", *entries] if entries else []
    return "\n".join(lines) + "\n"


def check_sandbox(site: Site) -> Iterator[Finding]:
    """Whether the shipped unit is enough, and folders that must be made before the service starts."""
    found = needs(site, MOUNTINFO.read_text(errors="surrogateescape"))
    text = written_out(site.path, found)
    if not text:
        yield ok("systemd", "sandbox of the unit", "enough for the configured folders")
        return
    entries = ", ".join(line for line in text.splitlines()[1:] if "=" in line)
    how = f"`inspectd doctor --systemd | install -D -m 644 /dev/stdin {FILE} && systemctl daemon-reload`"
    yield Finding(State.OK, "systemd", "sandbox of the unit", f"a service needs {entries}", how)
    for path in found.written:
        if not is_folder(path):
            make = f"`install -d -m 2770 -o inspectd -g inspectd {shlex.quote(str(path))}`"
            yield warn("systemd", str(path), "is not there, and the service cannot make it", make)


def quoted(path: Path) -> str:
    """A path as systemd.syntax(7) wants it: its % are no specifiers, its spaces no separators."""
    text = str(path).replace("%", "%%")
    if not any(char in text for char in " \t'\""):
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    found = dict.fromkeys(paths)
    return tuple(path for path in found if found.keys().isdisjoint(path.parents))


def _below(path: Path, places: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def _is_shared(path: Path, mounts: str) -> bool:
    return needs_polling(kind_of(path, mounts))

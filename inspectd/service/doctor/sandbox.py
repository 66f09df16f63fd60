"""The systemd drop-in that a site needs: what the shipped unit's sandbox would keep the service from.

The unit lets the service write below its state directory only, shows it nobody's home and a /tmp of its own. What is
configured elsewhere is named here, after links are followed, for systemd binds the folders that links lead to.

A folder on a disk or share of its own is named by its mount point. systemd binds a folder *inside* a mount, and the
service would then keep the disk that it had at its start: it would not see the one that is mounted there later. No
drop-in makes the service require a mount, because the daemon itself waits for folders that are missing.
"""

import os
import shlex
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from inspectd.mounts import mount_of, mountinfo
from inspectd.service.doctor.finding import (
    Diagnosis,
    Level,
    Site,
    archive,
    exists,
    fault,
    is_folder,
    ok,
    standing,
    warn,
)

STATE = Path("/var/lib/inspectd")  # StateDirectory of the unit
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))  # what ProtectHome hides
PRIVATE = (Path("/tmp"), Path("/var/tmp"))  # what PrivateTmp replaces
FILE = "/etc/systemd/system/inspectd.service.d/folders.conf"
CONFIG = Path("/etc/inspectd/config.yaml")  # what the unit serves
SWITCHES = ("ProtectHome", "PrivateTmp")
REQUIRED = "RequiresMountsFor"
SUBJECT = "sandbox of the service"
PATIENCE = 5.0  # seconds for systemd to answer


@dataclass(frozen=True)
class Needs:
    """Folders by what is done with them, resolved; each only once, and none below another of its kind."""

    written: tuple[Path, ...]  # outside the state directory
    read: tuple[Path, ...]
    waited: frozenset[Path] = frozenset()  # of `written`: may be missing when the service starts


def needs(site: Site, mounts: str) -> Needs:
    """What the configuration asks of the unit, with the text of /proc/self/mountinfo."""
    config = site.config
    written = [config.output, config.database_file.parent]
    read = [site.path.resolve().parent]
    waited: set[Path] = set()
    for watch in config.watch:
        (read if watch.after == "keep" else written).append(watch.path)
        read.append(watch.model)
        if target := archive(watch):
            written.append(target)
        if watch.after != "keep" and not exists(watch.path):
            waited.add(_real(watch.path))
    outside: list[Path] = []
    for path in map(_real, written):
        point = mount_of(standing(path), mounts).point
        if _comes_and_goes(point):
            waited.add(point)
            path = point
        outside.append(path)
    outermost = _outermost(path for path in outside if not path.is_relative_to(STATE))
    return Needs(outermost, _outermost(map(_real, read)), frozenset(waited) & frozenset(outermost))


def drop_in(site: Site) -> str:
    """The drop-in, for systemd to read; empty where the unit is enough as it is."""
    return written_out(site.path, needs(site, mountinfo()))


def written_out(config: Path, found: Needs) -> str:
    """What a configuration needs, as a drop-in; empty where that is nothing."""
    entries = service_entries(found)
    if not entries:
        return ""
    heading = f"# What the folders of {' '.join(str(config.absolute()).split())} need beyond the unit: {FILE}"
    return "\n".join([heading, "", "[Service]", *(f"{key}={value}" for key, value in entries.items())]) + "\n"


def service_entries(found: Needs) -> dict[str, str]:
    """What the unit's [Service] has to say besides."""
    entries = {"ReadWritePaths": _list(found.written, found.waited)} if found.written else {}
    if any(_below(path, HOMES) for path in found.written):
        entries["ProtectHome"] = "no"
    elif any(_below(path, HOMES) for path in found.read):
        entries["ProtectHome"] = "read-only"
    if any(_below(path, PRIVATE) for path in (*found.written, *found.read)):
        entries["PrivateTmp"] = "no"
    return entries


def lacking(found: Needs, shown: Mapping[str, str]) -> list[str]:
    """What of it an installed service does not have, by the properties that `systemctl show` tells of it."""
    given = _paths(shown["ReadWritePaths"])
    shut = [path for path in found.written if not any(path.is_relative_to(place) for place in given)]
    entries = service_entries(found)
    return [
        *([f"ReadWritePaths={_list(shut, found.waited)}"] if shut else []),
        *(f"{key}={entries[key]}" for key in SWITCHES if key in entries and shown[key] not in ("no", entries[key])),
    ]


def required(shown: Mapping[str, str]) -> list[Path]:
    """The mounts that somebody's drop-in makes an installed service depend on.

    systemd itself adds the unit's own folders to this property.
    """
    own = (STATE, *PRIVATE)
    return [path for path in _paths(shown[REQUIRED]) if not any(path.is_relative_to(place) for place in own)]


def check_sandbox(site: Site) -> Iterator[Diagnosis]:
    """Whether the service may do what the configuration asks, and folders that must be made before it starts."""
    found = needs(site, mountinfo())
    yield allowed(found, installed(site.path), _install(site.path))
    for path in found.written:
        if not is_folder(path):
            make = f"`install -d -m 2770 -o inspectd -g inspectd {shlex.quote(str(path))}`"
            yield warn("systemd", str(path), "is not there, and the service cannot make it", make)


def allowed(found: Needs, shown: Mapping[str, str] | None, install: str) -> Diagnosis:
    """What the site needs against what its installed service has; without one, what it would need."""
    if shown is not None and (mounts := required(shown)):
        said = f"the installed service has {REQUIRED}={_list(mounts)}: it never starts when that mount is late, and"
        remedy = f"remove the line from the drop-in (`grep -r {REQUIRED} /etc/systemd/system/inspectd.service.d`), then"
        return fault(
            "systemd",
            SUBJECT,
            f"{said} stops for good when the mount goes away",
            f"{remedy} `systemctl daemon-reload`: inspectd itself waits for a missing folder",
        )
    entries = ", ".join(f"{key}={value}" for key, value in service_entries(found).items())
    if not entries:
        return ok("systemd", SUBJECT, "enough for the configured folders")
    if shown is None:
        return Diagnosis(Level.OK, "systemd", SUBJECT, f"a service of this site needs {entries}", install)
    if missing := lacking(found, shown):
        return fault("systemd", SUBJECT, f"the installed service lacks {', '.join(missing)}", install)
    return ok("systemd", SUBJECT, "the installed service has what the configured folders need")


def installed(config: Path) -> dict[str, str] | None:
    """Properties of the service that serves this configuration; None where there is none, or systemd says nothing."""
    if not (exists(CONFIG) and exists(config) and CONFIG.samefile(config)):
        return None
    show = [
        "systemctl",
        "show",
        "inspectd.service",
        f"--property=LoadState,ReadWritePaths,{','.join((REQUIRED, *SWITCHES))}",
    ]
    try:
        done = subprocess.run(show, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    shown = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return shown if shown.get("LoadState") == "loaded" else None


def quoted(path: Path, prefix: str = "") -> str:
    """A path as systemd.syntax(7) wants it: its % are no specifiers, its spaces no separators."""
    text = prefix + str(path).replace("%", "%%")
    if not any(char in text for char in " \t'\""):
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'


def _install(config: Path) -> str:
    doctor = f"inspectd doctor --systemd -c {shlex.quote(str(config.absolute()))}"
    return f"`{doctor} | install -D -m 644 /dev/stdin {FILE} && systemctl daemon-reload`, then start it anew"


def _list(paths: Iterable[Path], waited: Collection[Path] = ()) -> str:
    """Paths for systemd; the `-` before a path lets the service start while the path is missing."""
    return " ".join(quoted(path, "-" if path in waited else "") for path in paths)


def _paths(listed: str) -> list[Path]:
    """The paths in a property of `systemctl show`."""
    return [Path(word.lstrip("-+")) for word in shlex.split(listed)]


def _comes_and_goes(point: Path) -> bool:
    """Whether a mount may be late, or go away while the service runs; those of the system's own folders do not."""
    return point not in (*HOMES, *PRIVATE) and not STATE.is_relative_to(point)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    found = dict.fromkeys(paths)
    return tuple(path for path in found if found.keys().isdisjoint(path.parents))


def _below(path: Path, places: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(place) for place in places)

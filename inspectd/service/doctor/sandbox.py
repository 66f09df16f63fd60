"""The systemd drop-in that a site needs beyond the shipped unit's sandbox.

The unit lets the service write only below its state directory, hides home folders, and gives it a /tmp of its own. The
drop-in names the configured folders elsewhere, after following links, because systemd binds the folders that links lead
to.

A folder on a disk or share of its own is named by its mount point. If a folder *inside* a mount were named, systemd
would bind that folder, and the service would keep the disk of its start and not see one that is mounted there later.
No drop-in makes the service require a mount, because the daemon itself waits for missing folders.
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
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))  # hidden by ProtectHome
PRIVATE = (Path("/tmp"), Path("/var/tmp"))  # replaced by PrivateTmp
FILE = "/etc/systemd/system/inspectd.service.d/folders.conf"
CONFIG = Path("/etc/inspectd/config.yaml")  # the configuration that the unit serves
SWITCHES = ("ProtectHome", "PrivateTmp")
REQUIRED = "RequiresMountsFor"
SUBJECT = "sandbox of the service"
PATIENCE = 5.0  # seconds for systemd to answer


@dataclass(frozen=True)
class Needs:
    """The folders that a site reads and writes, resolved; each once, and none below another of its kind."""

    written: tuple[Path, ...]  # outside the state directory
    read: tuple[Path, ...]
    waited: frozenset[Path] = frozenset()  # those of `written` that may be missing when the service starts


def needs(site: Site, mounts: str) -> Needs:
    """What the configuration needs of the unit; `mounts` is the text of /proc/self/mountinfo."""
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
    """Returns the drop-in for systemd; empty if the unit is enough."""
    return written_out(site.path, needs(site, mountinfo()))


def written_out(config: Path, found: Needs) -> str:
    """Writes a site's needs as a drop-in; empty if there are none."""
    entries = service_entries(found)
    if not entries:
        return ""
    heading = f"# What the folders of {' '.join(str(config.absolute()).split())} need beyond the unit: {FILE}"
    return "\n".join([heading, "", "[Service]", *(f"{key}={value}" for key, value in entries.items())]) + "\n"


def service_entries(found: Needs) -> dict[str, str]:
    """The lines that the drop-in's [Service] needs."""
    entries = {"ReadWritePaths": _list(found.written, found.waited)} if found.written else {}
    if any(_below(path, HOMES) for path in found.written):
        entries["ProtectHome"] = "no"
    elif any(_below(path, HOMES) for path in found.read):
        entries["ProtectHome"] = "read-only"
    if any(_below(path, PRIVATE) for path in (*found.written, *found.read)):
        entries["PrivateTmp"] = "no"
    return entries


def lacking(found: Needs, shown: Mapping[str, str]) -> list[str]:
    """The needs that an installed service lacks, by the properties that `systemctl show` prints."""
    given = _paths(shown["ReadWritePaths"])
    shut = [path for path in found.written if not any(path.is_relative_to(place) for place in given)]
    entries = service_entries(found)
    return [
        *([f"ReadWritePaths={_list(shut, found.waited)}"] if shut else []),
        *(f"{key}={entries[key]}" for key in SWITCHES if key in entries and shown[key] not in ("no", entries[key])),
    ]


def required(shown: Mapping[str, str]) -> list[Path]:
    """The mounts that a drop-in makes an installed service depend on.

    systemd itself adds the unit's own folders to this property.
    """
    own = (STATE, *PRIVATE)
    return [path for path in _paths(shown[REQUIRED]) if not any(path.is_relative_to(place) for place in own)]


def check_sandbox(site: Site) -> Iterator[Diagnosis]:
    """Checks whether the service may do what the configuration needs, and which folders must be created first."""
    found = needs(site, mountinfo())
    yield allowed(found, installed(site.path), _install(site.path))
    for path in found.written:
        if not is_folder(path):
            make = f"`install -d -m 2770 -o inspectd -g inspectd {shlex.quote(str(path))}`"
            yield warn("systemd", str(path), "is not there, and the service cannot create it", make)


def allowed(found: Needs, shown: Mapping[str, str] | None, install: str) -> Diagnosis:
    """Compares the site's needs with its installed service; without a service, lists what one would need."""
    if shown is not None and (mounts := required(shown)):
        said = f"the installed service has {REQUIRED}={_list(mounts)}: it does not start if that mount is late, and"
        remedy = f"remove the line from the drop-in (`grep -r {REQUIRED} /etc/systemd/system/inspectd.service.d`), then"
        return fault(
            "systemd",
            SUBJECT,
            f"{said} stops for good if the mount disappears",
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
    """Properties of the service of this configuration; None if there is none, or if systemd does not answer."""
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
    """A path for systemd.syntax(7): a % is not a specifier, a space not a separator."""
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
    """Reads the paths in a property of `systemctl show`."""
    return [Path(word.lstrip("-+")) for word in shlex.split(listed)]


def _comes_and_goes(point: Path) -> bool:
    """Whether a mount may be late, or disappear while the service runs; mounts of the system's own folders do not."""
    return point not in (*HOMES, *PRIVATE) and not STATE.is_relative_to(point)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    found = dict.fromkeys(paths)
    return tuple(path for path in found if found.keys().isdisjoint(path.parents))


def _below(path: Path, places: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(place) for place in places)

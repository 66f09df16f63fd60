"""What the folders lie on: kinds of file systems, and the space that is left on them."""

import os
from collections.abc import Iterator
from pathlib import Path

from inspectd.errors import LedgerError
from inspectd.ingest.observe import needs_polling
from inspectd.ledger.mounts import file_system, refuse_network
from inspectd.service.doctor.finding import Finding, Site, archive, fault, is_folder, ok, standing, warn

MIB = 2**20
# An overlay takes some 60 kB: at one image a second a day takes 5 GB, enough to be read before the disk is full, ...
LOW_BYTES = 5 * 1024 * MIB
# ... and below this one the -wal, the overlays of a few batches and a copied source no longer fit side by side.
LEAST_BYTES = 256 * MIB
# An overlay and a sidecar for each image: a day of one image a second, and a quarter of an hour.
LOW_FILES = 180_000
LEAST_FILES = 2_000
VOLATILE = ("tmpfs", "ramfs")


def check_kinds(site: Site) -> Iterator[Finding]:
    """Where events can be had, where a ledger may lie, and what a move costs."""
    mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    for watch in site.config.watch:
        kind, subject = kind_of(watch.path, mounts), f"watch {watch.name}, {watch.path}"
        if needs_polling(kind) and watch.backend == "inotify":
            yield warn("disks", subject, f"{kind}: no events of what other machines write", "set `backend: auto`")
        else:
            auto = "polling" if needs_polling(kind) else "inotify"
            chosen = f"auto means {auto}" if watch.backend == "auto" else watch.backend
            yield ok("disks", subject, f"{kind}: {chosen}")
        if (target := archive(watch)) and is_folder(watch.path):
            same = standing(target).stat().st_dev == watch.path.stat().st_dev
            how = "the same file system: files are renamed" if same else "another file system: files are copied"
            yield ok("disks", f"archive of {watch.name}, {target}", f"{kind_of(target, mounts)}, {how}")
    yield ok("disks", f"output, {site.config.output}", kind_of(site.config.output, mounts))
    yield ledger_kind(site.config.database_file, mounts)


def ledger_kind(ledger: Path, mounts: str) -> Finding:
    """A ledger needs a disk of this machine that keeps what is written."""
    subject, kind = f"ledger, {ledger}", kind_of(ledger.parent, mounts)
    try:
        refuse_network(standing(ledger.parent) / ledger.name)
    except LedgerError as error:
        return fault("disks", subject, kind, str(error))
    if kind in VOLATILE:
        return warn("disks", subject, f"{kind}: a restart of the machine empties it", "set `database:` to a disk")
    return ok("disks", subject, f"{kind}, local")


def kind_of(path: Path, mounts: str) -> str:
    """The file system that a path lies on, or will lie on once it is made."""
    return file_system(Path(os.path.realpath(standing(path))), mounts)


def check_space(site: Site) -> Iterator[Finding]:
    """Room for files on every disk that is written to, once for each disk."""
    config = site.config
    places = {"output": config.output, "ledger": config.database_file.parent}
    places |= {f"archive of {watch.name}": target for watch in config.watch if (target := archive(watch))}
    disks: dict[int, list[str]] = {}
    for what, path in places.items():
        disks.setdefault(standing(path).stat().st_dev, []).append(what)
    for names in disks.values():
        there = standing(places[names[0]])
        yield space(f"{', '.join(names)}, {there}", os.statvfs(there))


def space(subject: str, disk: os.statvfs_result) -> Finding:
    """What is left for others than root; a file system that reports no number of files has no such limit."""
    free, files = disk.f_bavail * disk.f_frsize, disk.f_favail
    found = f"{size(free)} free" + (f", room for {files:,} files" if disk.f_files else "")
    remedy = "free some, or let `output` and `database` lie on a larger disk"
    if free < LEAST_BYTES or (disk.f_files and files < LEAST_FILES):
        return fault("space", subject, f"{found}: too little to go on", remedy)
    if free < LOW_BYTES or (disk.f_files and files < LOW_FILES):
        return warn("space", subject, f"{found}: about a day's or less", remedy)
    return ok("space", subject, found)


def size(number: int) -> str:
    """Bytes for people."""
    return f"{number / 1024**3:.1f} GiB" if number >= 1024**3 else f"{number / MIB:.1f} MiB"

"""Checks the disks of the folders: the kind of file system, and the free space."""

import os
from collections.abc import Iterator
from pathlib import Path

from inspectd.config import Watch
from inspectd.ingest.observe import backend_of, needs_polling
from inspectd.mounts import file_system, is_network, mountinfo
from inspectd.service.doctor.finding import Diagnosis, Site, archive, fault, is_folder, ok, standing, warn
from inspectd.service.metrics.disk_space import disk_folders
from inspectd.sizes import size_text

# The overlay of a 512×512 image takes up to 0.1 MB: at one image in two seconds these last a day, ...
LOW_BYTES = 5_000_000_000
# ... and with less than this the -wal, the overlays of some batches and a copied source no longer fit side by side.
LEAST_BYTES = 250_000_000
# An overlay and a sidecar for each image: at the same rate these last a day, and half an hour.
LOW_FILES = 90_000
LEAST_FILES = 2_000
VOLATILE = ("tmpfs", "ramfs")


def check_kinds(site: Site) -> Iterator[Diagnosis]:
    """Checks whether events arrive, whether the ledger may lie there, and whether a move copies files."""
    mounts = mountinfo()
    for watch in site.config.watch:
        yield watch_kind(watch, mounts)
        if (target := archive(watch)) and is_folder(watch.path):
            same = standing(target).stat().st_dev == watch.path.stat().st_dev
            how = "the same file system: files are renamed" if same else "another file system: files are copied"
            yield ok("disks", f"archive of {watch.name}, {target}", f"{kind_of(target, mounts)}, {how}")
    yield ok("disks", f"output, {site.config.output}", kind_of(site.config.output, mounts))
    yield ledger_kind(site.config.database_file, mounts)


def watch_kind(watch: Watch, mounts: str) -> Diagnosis:
    """What `backend` means on this file system; `mounts` is the text of /proc/self/mountinfo."""
    kind, subject = kind_of(watch.path, mounts), f"watch {watch.name}, {watch.path}"
    if watch.backend == "inotify" and needs_polling(kind):
        return warn("disks", subject, f"{kind}: no events for files that other machines write", "set `backend: auto`")
    meant = "auto means " if watch.backend == "auto" else ""
    return ok("disks", subject, f"{kind}: {meant}{backend_of(watch, mounts)}")


def ledger_kind(ledger: Path, mounts: str) -> Diagnosis:
    """Whether the ledger lies on a disk of this machine that keeps its files."""
    subject, kind = f"ledger, {ledger}", kind_of(ledger.parent, mounts)
    local = "set `database:` to a file on a local disk of this machine"
    if is_network(kind):
        return fault("disks", subject, f"{kind}: SQLite loses data on a network file system", local)
    if kind in VOLATILE:
        return warn("disks", subject, f"{kind}: a restart of the machine empties it", local)
    return ok("disks", subject, f"{kind}, local")


def kind_of(path: Path, mounts: str) -> str:
    """The file system that a path lies on, or will lie on when it is created."""
    return file_system(standing(Path(os.path.realpath(path))), mounts)


def check_space(site: Site) -> Iterator[Diagnosis]:
    """Checks the free space of every disk that the service writes to, once for each disk."""
    config = site.config
    folders = disk_folders(config)
    folders |= {f"archive of {watch.name}": target for watch in config.watch if (target := archive(watch))}
    disks: dict[int, list[str]] = {}
    for what, path in folders.items():
        disks.setdefault(standing(path).stat().st_dev, []).append(what)
    for names in disks.values():
        there = standing(folders[names[0]])
        yield space(f"{', '.join(names)}, {there}", os.statvfs(there))


def space(subject: str, disk: os.statvfs_result) -> Diagnosis:
    """Checks the space that is free for users other than root; some file systems have no limit of files."""
    free, files = disk.f_bavail * disk.f_frsize, disk.f_favail
    found = f"{size_text(free)} free" + (f", room for {files:,} files" if disk.f_files else "")
    remedy = "free some space, or put `output` and `database` on a larger disk"
    if free < LEAST_BYTES or (disk.f_files and files < LEAST_FILES):
        return fault("space", subject, f"{found}: too little to work", remedy)
    if free < LOW_BYTES or (disk.f_files and files < LOW_FILES):
        return warn("space", subject, f"{found}: enough for about a day or less", remedy)
    return ok("space", subject, found)

"""Checks the rights of the user that runs this, to the folders that the daemon reads and writes.

If a right is missing, the diagnosis has the command that grants it, which `remedy` derives from owner, group and mode.
"""

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from inspectd.config import Watch, remarks
from inspectd.ingest.naming import Naming
from inspectd.ingest.scan import Walk
from inspectd.service.doctor.finding import Diagnosis, Site, archive, exists, fault, is_folder, ok, standing, warn

MOST_ENTRIES = 200_000  # looked at below a watch: a minute on a slow share
READ, WRITE = os.R_OK | os.X_OK, os.R_OK | os.W_OK | os.X_OK
SYSTEM = range(1, 1000)  # the user ids of services, which share their folders with a group of people
SHARED = stat.S_ISGID | stat.S_IRWXG  # new files in such a folder belong to its group, and the group may write


@dataclass(frozen=True)
class User:
    """The user whose rights are checked."""

    uid: int
    groups: frozenset[int]

    @classmethod
    def present(cls) -> "User":
        return cls(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))

    @property
    def name(self) -> str:
        return user_name(self.uid)


def check_user(site: Site) -> Iterator[Diagnosis]:
    """Warns root, whose rights say nothing about those of the service's user."""
    user, owner = User.present(), standing(site.config.database_file.parent).stat().st_uid
    if user.uid == 0 and owner != 0:
        name = user_name(owner)
        yield warn(
            "user",
            user.name,
            f"root may do everything, {name} may not",
            f"check folders and rights as the service's user: `runuser -u {shlex.quote(name)} -- inspectd doctor "
            f"-c {shlex.quote(str(site.path.absolute()))}`",
        )
    else:
        yield ok("user", user.name, "rights are checked as this user")


def check_folders(site: Site) -> Iterator[Diagnosis]:
    """Checks the folders that are read and written, and whether a group shares what a service writes."""
    user, config = User.present(), site.config
    for remark in remarks(config):
        yield warn("globs", str(site.path), remark.rstrip("."), "correct it, or remove it")
    for watch in config.watch:
        subject = f"watch {watch.name}, {watch.path}"
        missing = None if is_folder(watch.path) else _missing(subject, watch.path)
        yield missing or check_rights(user, subject, watch.path, READ if watch.after == "keep" else WRITE)
        yield from _below(user, watch)
        if target := archive(watch):
            yield check_rights(user, f"archive of {watch.name}, {target}", target, WRITE)
    yield check_rights(user, f"output, {config.output}", config.output, WRITE)
    ledger = config.database_file
    yield check_rights(user, f"folder of the ledger, {ledger.parent}", ledger.parent, WRITE)
    for file in (ledger, *(ledger.with_name(f"{ledger.name}{end}") for end in ("-wal", "-shm")), config.lock_file):
        if exists(file) and not may(file, os.R_OK | os.W_OK):
            yield check_rights(user, f"ledger, {file}", file, os.R_OK | os.W_OK)
    yield from _shared({"output": config.output, "folder of the ledger": ledger.parent})


def _below(user: User, watch: Watch) -> Iterator[Diagnosis]:
    """Reports folders below a watch that a scan cannot read (the first, and their number), and files that are left
    out."""
    closed: set[str] = set()
    walk = Walk(watch, Naming(watch), lambda folder, _: closed.add(folder))
    seen = list(islice((each is not None for each in walk), MOST_ENTRIES))
    if left_out := walk.left_out:
        subject, found = f"watch {watch.name}, {watch.path}", str(left_out)
        if len(seen) == MOST_ENTRIES:
            found += f" (of the first {MOST_ENTRIES:,} entries)"
        if left_out.globs and not any(seen):
            yield warn(
                "left out", subject, f"nothing here is taken: {found}", "correct `include`, if that is not intended"
            )
        else:
            yield ok("left out", subject, found)
    if below := sorted(watch.path / folder for folder in closed if folder):
        first, number = below[0], f"{len(below)} folder{'s' if len(below) > 1 else ''}"
        barred = next((part for part in reversed(first.parents) if not may(part, os.X_OK)), first)
        said = f"{number} below cannot be read by {user.name}, and the files in them wait: {first}"
        yield warn("folders", f"watch {watch.name}, {watch.path}", said, remedy(user, barred, barred.stat(), READ))


def check_rights(user: User, subject: str, path: Path, wanted: int) -> Diagnosis:
    """Whether the user may do `wanted` (`os.access` bits) with a path, or create it if it is missing."""
    there = standing(path)
    found = "readable and writable" if wanted & os.W_OK else "readable"
    if there != path:
        wanted, found = WRITE, f"not there yet; it will be created in {there}"
    if may(there, wanted):
        return ok("folders", subject, found)
    if wanted & os.W_OK and os.statvfs(there).f_flag & os.ST_RDONLY:
        return fault(
            "folders", subject, "the file system is mounted read-only", f"`mount -o remount,rw {_mount(there)}`"
        )
    way = [*reversed(there.parents), *([there] if is_folder(there) else [])]
    barred = next((part for part in way if not may(part, os.X_OK)), None)
    if barred is not None:
        said = f"{user.name} may not enter {barred}"
        return fault(
            "folders", subject, said, remedy(user, barred, barred.stat(), wanted if barred == path else os.X_OK)
        )
    said = f"{user.name} may not {'write to' if wanted & os.W_OK else 'read'} {there}"
    if there != path:  # ask for one folder in /srv, not for rights to all of /srv
        make = f"`install -d -m 2770 -o {user.uid} -g {shlex.quote(_own_group(user))} {shlex.quote(str(path))}`"
        return fault("folders", subject, f"is not there, and {said}", make)
    return fault("folders", subject, said, remedy(user, there, there.stat(), wanted))


def may(path: Path, wanted: int) -> bool:
    """Whether the kernel allows this process to do it; access lists and read-only mounts count too."""
    return os.access(path, wanted, effective_ids=True)


def remedy(user: User, path: Path, found: os.stat_result, wanted: int) -> str:
    """The smallest command, typed by root, that gives a user rights to a path, without a right for everybody."""
    bits = "".join(letter for letter, bit in (("r", os.R_OK), ("w", os.W_OK), ("x", os.X_OK)) if wanted & bit)
    target, group = shlex.quote(str(path)), group_name(found.st_gid)
    if found.st_uid == user.uid:
        return f"`chmod u+{bits} {target}`"
    give = f"chmod g+{bits} {target}"
    if found.st_gid in user.groups:
        return f"`{give}`"
    if found.st_gid == 0:  # nobody should join the group of root
        return f"`chgrp {shlex.quote(_own_group(user))} {target} && {give}`"
    join = f"usermod --append --groups {shlex.quote(group)} {shlex.quote(user.name)}"
    has = (found.st_mode >> 3) & wanted == wanted
    return f"`{join}`, then start inspectd anew" if has else f"`{join} && {give}`, then start inspectd anew"


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _own_group(user: User) -> str:
    try:
        return group_name(pwd.getpwuid(user.uid).pw_gid)
    except KeyError:
        return group_name(os.getegid())


def _missing(subject: str, path: Path) -> Diagnosis | None:
    """The diagnosis of a watch whose folder is missing; None if only a right is missing."""
    there = standing(path)
    if there == path:
        return fault("folders", subject, "is a file, not a folder", "point `path` at a folder")
    if not may(there, os.X_OK):
        return None
    make = f"`mkdir -p {shlex.quote(os.path.realpath(path))}`"
    return fault("folders", subject, "is not there", f"mount it, create it ({make}), or correct `path`")


def _mount(path: Path) -> str:
    return shlex.quote(str(next(part for part in (path.resolve(), *path.resolve().parents) if part.is_mount())))


def _shared(folders: dict[str, Path]) -> Iterator[Diagnosis]:
    for what, folder in folders.items():
        if not is_folder(folder) or (found := folder.stat()).st_uid not in SYSTEM:
            continue
        if found.st_mode & SHARED != SHARED:
            yield warn(
                "folders",
                f"{what}, {folder}",
                f"mode {stat.S_IMODE(found.st_mode):04o} keeps the group {group_name(found.st_gid)} out",
                f"so that its members can query results and see overlays: `chmod g+rwxs {shlex.quote(str(folder))}`",
            )

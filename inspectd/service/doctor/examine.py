"""The list of checks, in the order in which a site is set up."""

from collections.abc import Callable, Iterator
from pathlib import Path

from inspectd.config import Config
from inspectd.service.doctor.brightness import check_brightness
from inspectd.service.doctor.clock import check_clock
from inspectd.service.doctor.disks import check_kinds, check_space
from inspectd.service.doctor.events import check_events
from inspectd.service.doctor.finding import Diagnosis, Site, ok
from inspectd.service.doctor.folders import check_folders, check_user
from inspectd.service.doctor.ledger import check_ledger
from inspectd.service.doctor.limits import check_limits
from inspectd.service.doctor.models import check_models
from inspectd.service.doctor.sandbox import check_sandbox
from inspectd.service.locks import holder


def examine(site: Site) -> Iterator[Diagnosis]:
    """Makes all checks and yields each diagnosis as it is made."""
    yield ok("configuration", str(site.path), f"right; watches: {', '.join(watch.name for watch in site.config.watch)}")
    for check in CHECKS:
        yield from check(site)


def site_of(path: Path, config: Config) -> Site:
    """The site of a configuration that was read from `path`, with the daemon that serves it now."""
    return Site(path, config, holder(config.lock_file))


CHECKS: tuple[Callable[[Site], Iterator[Diagnosis]], ...] = (
    check_user,
    check_folders,
    check_kinds,
    check_space,
    check_events,
    check_limits,
    check_ledger,
    check_models,
    check_brightness,
    check_clock,
    check_sandbox,
)

"""Looks for everything that could keep a site from working: folders, rights, events, limits, disks, ledger, models,
device, clock.

Every check is a small function that yields diagnoses. The doctor changes nothing, except that it creates one hidden
file (the canary) in each watch and removes it at once. So it may run beside the daemon, or before its first start.
"""

from inspectd.service.doctor.examine import examine, site_of
from inspectd.service.doctor.finding import Diagnosis, Level
from inspectd.service.doctor.sandbox import drop_in

__all__ = ["Diagnosis", "Level", "drop_in", "examine", "site_of"]

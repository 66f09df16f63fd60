"""What stands between a site and its work: folders, rights, events, limits, disks, ledger, models, device, clock.

Every check is a small function that looks and yields findings. Nothing is changed but for one hidden file (the canary)
that is dropped into each watch and removed at once, so all of it may run beside the daemon, or before its first start.
"""

from inspectd.service.doctor.examine import examine, site_of
from inspectd.service.doctor.finding import Diagnosis, Level
from inspectd.service.doctor.sandbox import drop_in

__all__ = ["Diagnosis", "Level", "drop_in", "examine", "site_of"]

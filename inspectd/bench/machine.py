"""What a benchmark ran on, as far as it bears on the figures."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from inspectd import __version__
from inspectd.mounts import file_system, mountinfo
from inspectd.sizes import GB


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def describe(folder: Path, device: str, load: Sequence[float]) -> dict[str, Any]:
    """Processor, memory, device, software, the disk of `folder`, and the load averages that were met."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB, 1),
        "device": device,
        "file_system": file_system(folder.resolve(), mountinfo()),
        "load": [round(each, 1) for each in load],
        "software": {
            "inspectd": __version__,
            "python": platform.python_version(),
            "kernel": platform.release(),
            **{name: version(name) for name in ("tensorflow", "keras", "opencv-python-headless", "sqlalchemy")},
        },
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Its name as the kernel tells it, else its architecture."""
    for line in cpuinfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()

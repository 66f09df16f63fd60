"""What systemd is told: READY, STATUS, WATCHDOG, RELOADING, STOPPING, by the protocol of sd_notify(3).

Without systemd (no NOTIFY_SOCKET) every call does nothing.
"""

import os
import socket
import time

PATIENCE = 5.0  # seconds for systemd to take a notice; our loop must not wait for it for ever


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1`` in one datagram. A lost notice is no reason to stop inspecting."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # the abstract name space
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(PATIENCE)
            channel.connect(address)  # the wait for a full receiver is a sleep only on a connected socket
            channel.send("\n".join(assignments).encode())
    except OSError:
        return


def ready(status: str) -> None:
    """Start-up or a reload has ended; `status` is shown by `systemctl status`."""
    notify("READY=1", f"STATUS={status}")


def status(text: str) -> None:
    """The one line that `systemctl status` shows."""
    notify(f"STATUS={text}")


def reloading() -> None:
    """A reload has begun; `ready` must follow."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> None:
    """The end has begun."""
    notify("STOPPING=1", "STATUS=Finishing the batch in hand")


def alive() -> None:
    """A sign of life for WatchdogSec."""
    notify("WATCHDOG=1")

"""What systemd is told: READY, STATUS, WATCHDOG, RELOADING, STOPPING, by the protocol of sd_notify(3).

Without systemd (no NOTIFY_SOCKET) every call does nothing.
"""

import os
import socket
import time

_MAY_BE_LOST = (b"WATCHDOG=", b"STATUS=")  # the next one says the same, or better
_owed: list[bytes] = []  # what systemd has to hear and did not take, oldest first


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1`` in one datagram, without waiting: who does not listen stops no inspection.

    What a full receiver did not take is sent before the next notice, and the loop sends a sign of life at every turn.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # the abstract name space
        address = "\0" + address[1:]
    _owed.append("\n".join(assignments).encode())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.connect(address)
            while _owed:
                channel.send(_owed[0])
                del _owed[0]
    except BlockingIOError:
        _owed[:] = [notice for notice in _owed if not notice.startswith(_MAY_BE_LOST)]
    except OSError:  # nobody is there
        _owed.clear()


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

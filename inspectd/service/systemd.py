"""Notices for systemd: READY, STATUS, WATCHDOG, RELOADING, STOPPING, by the protocol of sd_notify(3).

Without systemd (no NOTIFY_SOCKET) every call does nothing.
"""

import os
import socket
import time

_MAY_BE_LOST = (b"WATCHDOG=", b"STATUS=")  # the next notice says the same or more
_owed: list[bytes] = []  # notices that systemd must get and did not take, oldest first


def notify(*assignments: str) -> None:
    """Sends assignments such as ``READY=1`` in one datagram, without waiting for the receiver.

    Notices that a full receiver did not take are sent before the next one, and the loop sends one at every turn.
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
    except OSError:  # there is no receiver
        _owed.clear()


def ready(status: str) -> None:
    """Says that start-up or a reload has ended; `systemctl status` shows `status`."""
    notify("READY=1", f"STATUS={status}")


def status(text: str) -> None:
    """Sets the line that `systemctl status` shows."""
    notify(f"STATUS={text}")


def reloading() -> None:
    """Says that a reload has begun; `ready` must follow."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> None:
    """Says that the service is stopping."""
    notify("STOPPING=1", "STATUS=Finishing the last batches")


def alive() -> None:
    """Sends the heartbeat that WatchdogSec expects."""
    notify("WATCHDOG=1")

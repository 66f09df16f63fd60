"""The datagrams of sd_notify(3), against a real socket."""

import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from inspectd.service import systemd


def test_notices_arrive_as_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(address))
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        systemd.ready("judging")
        assert end.recv(1000) == b"READY=1\nSTATUS=judging"
        systemd.reloading()
        assert end.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_an_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"inspectd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        systemd.alive()
        assert end.recv(1000) == b"WATCHDOG=1"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.alive()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    systemd.alive()


def test_a_full_receiver_is_not_waited_for_and_hears_later_what_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.connect(str(tmp_path / "notify"))
            with suppress(BlockingIOError):
                while True:
                    sender.send(b"full")
        systemd.alive()
        systemd.status("judging")
        systemd.ready("Ready")
        systemd.stopping()
        systemd.alive()
        assert set(received(receiver)) == {b"full"}
        systemd.alive()
        ready, stopping, alive = received(receiver)
    assert (ready, alive) == (b"READY=1\nSTATUS=Ready", b"WATCHDOG=1")
    assert stopping.startswith(b"STOPPING=1")


def received(receiver: socket.socket) -> list[bytes]:
    """Everything that lies in the socket."""
    found: list[bytes] = []
    with suppress(BlockingIOError):
        while True:
            found.append(receiver.recv(1000))
    return found

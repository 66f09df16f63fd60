"""The datagrams of sd_notify(3), against a real socket."""

import os
import socket
import time
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


def test_a_receiver_that_does_not_read_is_waited_for_asleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setattr(systemd, "PATIENCE", 0.5)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.connect(str(tmp_path / "notify"))
            with suppress(BlockingIOError):
                while True:
                    sender.send(b"full")
        waited, worked = time.monotonic(), time.process_time()
        systemd.alive()
        assert time.process_time() - worked < (time.monotonic() - waited) / 2

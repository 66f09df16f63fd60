"""`inspectd doctor` beside the installed service: what its sandbox lacks, and the drop-in that gives it."""

import re

import pytest
from support.service import SITE, Service
from support.site import BRIGHT, picture, until

pytestmark = pytest.mark.systemd

DOCTOR = ("inspectd", "doctor", "--config", "/etc/inspectd/config.yaml")


def test_the_printed_drop_in_opens_the_sandbox(service: Service) -> None:
    box = service.box
    box.ask("install", "-d", "-m", "2770", "-o", "inspectd", "-g", "inspectd", "/srv/line 1", "/srv/out")
    service.configure({"path": "/srv/line 1", "after": "move"}, output="/srv/out")
    before = box.run(*DOCTOR)
    [fault] = [line for line in before.stdout.decode().splitlines() if line.startswith("FAULT")]
    assert before.returncode == 1
    assert 'the installed service lacks ReadWritePaths=/srv/out "/srv/line 1"' in fault
    [command] = re.findall(r"`(.+?)`", fault)
    box.type([command])
    after = box.run(*DOCTOR)
    assert after.returncode == 0, after.stdout.decode()
    assert "the installed service has what the configured folders need" in after.stdout.decode()
    service.start()
    box.write("/srv/line 1/bad.png", picture(BRIGHT), user="alice")
    assert service.outcomes(1) == {"bad.png": "defect"}
    archived = ("find", f"{SITE}/archive/line/defect", "-name", "bad.png")
    until(lambda: box.ask(*archived, check=False), "the file in the archive")


def test_the_service_s_own_user_finds_its_site_well(service: Service) -> None:
    service.start()
    done = service.box.run("sh", "-c", "cd / && exec runuser -u inspectd -- inspectd doctor")
    said = done.stdout.decode()
    assert done.returncode == 0, said
    assert f"served by process {service.box.ask('systemctl', 'show', 'inspectd', '-p', 'MainPID', '--value')}" in said
    assert "WARN   folders" not in said

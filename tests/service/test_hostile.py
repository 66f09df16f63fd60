"""What an enemy can drop into a watch: the daemon answers for each file and is led nowhere."""

import os
import socket
from itertools import islice
from pathlib import Path

from support.hostile import mutants
from support.site import BRIGHT, DARK, Site, picture


def test_broken_files_of_every_kind_do_not_take_the_worker_along(site: Site) -> None:
    site.write(limits={"pixels": 1_000_000})
    daemon = site.start()
    daemon.heard("READY=1")
    worker = daemon.worker()
    for index, mutant in enumerate(islice(mutants(10_000, 20_000), 180)):
        (site.incoming / f"{index}-{mutant.way}.{mutant.kind.lower()}").write_bytes(mutant.data)
    site.drop("last.png", picture(BRIGHT))
    outcomes = site.outcomes(181)
    assert outcomes["last.png"] == "defect"
    assert {verdict for path, verdict in outcomes.items() if "-cut." in path} == {"failed"}
    assert daemon.worker() == worker
    assert site.rows("select count(*) from verdicts where verdict = 'failed' and reason not like '%:%'") == [(0,)]


def test_links_pipes_and_odd_names_lead_nowhere(site: Site, tmp_path: Path) -> None:
    site.write({"after": "move", "include": ["*"]}, sidecar=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = outside / "secret.png"
    secret.write_bytes(picture(BRIGHT))
    (site.incoming / "link.png").symlink_to(secret)
    (site.incoming / "folder").symlink_to(outside)
    (site.incoming / "device.png").symlink_to("/dev/zero")
    os.mkfifo(site.incoming / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(site.incoming / "socket.png"))
    names = ["..png", "%2e%2e%2f%2e%2e%2fescape.png", "{watch}.png", "$(reboot).png", "'; drop table images; --.png"]
    for seed, name in enumerate(names):
        (site.incoming / name).write_bytes(picture(DARK, seed=seed))
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(site.incoming)}
    assert site.start("--once").ends() == 0
    assert len(site.rows()) == len(names) - 1, "a name that begins with a dot is a temporary one"
    assert {verdict for _, verdict in site.rows()} == {"ok"}
    assert secret.read_bytes() == picture(BRIGHT)
    assert {path.name for path in site.incoming.iterdir()} >= {"link.png", "folder", "device.png", "pipe.png"}
    ours = ("output", "archive", "inspectd.db", "notify-", "daemon-")
    new = {path for path in tmp_path.rglob("*") if not path.is_relative_to(site.incoming)} - before
    assert [path for path in new if not str(path.relative_to(tmp_path)).startswith(ours)] == []
    assert sorted(path.name for path in (site.root / "archive" / "line" / "ok").rglob("*.png")) == sorted(names[1:])

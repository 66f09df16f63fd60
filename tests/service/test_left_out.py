"""What a watch leaves out is told: by the daemon to `status`, by `reconcile` and by `doctor`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.site import DARK, Site, laid_out, picture, until


def ask(site: Site, *arguments: str) -> tuple[str, str]:
    command = [sys.executable, "-m", "inspectd", *arguments, "-c", str(site.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


def lay(site: Site) -> None:
    for seed, name in enumerate(("a.png", "b.tiff", "c.tiff", "notes.txt", "@eaDir/a.png", "#recycle/x.png")):
        (site.incoming / name).parent.mkdir(exist_ok=True)
        (site.incoming / name).write_bytes(picture(DARK, seed=seed))


def test_one_run_tells_status_what_it_left_out(tmp_path: Path) -> None:
    with laid_out(tmp_path) as site:
        site.write({"include": ["**/*.png", "jpg"]})
        lay(site)
        daemon = site.start("--once")
        assert daemon.process.wait(timeout=120) == 0
        assert site.rows() == [("a.png", "ok")]
        assert "'jpg' is an ending alone: write '*.jpg'" in daemon.log.read_text()
        told = "line: 2 .tiff, 1 .txt; a system's own, left alone: 2 folders"
        assert f"Left out:     {told}" in ask(site, "status")[0].splitlines()
        [watch] = json.loads(ask(site, "status", "--json")[0])["watches"]
        assert watch["left_out"] == {"globs": {".tiff": 2, ".txt": 1}, "system": {"folder": 2}}
        assert ask(site, "reconcile")[0].endswith(f"agree.\nLeft out of watch {told}.\n")
        assert ask(site, "reconcile", "--json") == ("[]\n", f"Left out of watch {told}.\n")


def test_status_knows_the_last_scan_of_a_daemon_that_runs(tmp_path: Path) -> None:
    def left_out() -> Any:
        return json.loads(ask(site, "status", "--json")[0])["watches"][0]["left_out"]

    with laid_out(tmp_path) as site:
        site.write({"rescan": 1.0})
        daemon = site.start()
        daemon.heard("READY=1")
        until(lambda: left_out() == {"globs": {}, "system": {}}, "the first scan")
        (site.incoming / "notes.txt").touch()
        until(lambda: left_out() == {"globs": {".txt": 1}, "system": {}}, "the next scan")
        assert daemon.stop() == 0


def test_the_doctor_tells_it_and_warns_where_nothing_is_taken(tmp_path: Path) -> None:
    def told() -> list[tuple[str, str]]:
        found = json.loads(ask(site, "doctor", "--json")[0])
        return [(line["state"], line["found"]) for line in found if line["check"] in ("globs", "left out")]

    with laid_out(tmp_path) as site:
        lay(site)
        assert told() == [("ok", "1 .txt; a system's own, left alone: 2 folders")]
        site.write({"include": ["*.webp", "webp"]})
        assert told() == [
            ("WARN", "watch[0].include (watch 'line'): 'webp' is an ending alone: write '*.webp'"),
            (
                "WARN",
                "nothing here is taken: 2 .tiff, 1 .png, 1 .txt; a system's own, left alone: 2 folders",
            ),
        ]

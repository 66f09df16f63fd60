"""The line between supervisor and worker carries whatever a configuration may hold."""

import hashlib
import zlib
from pathlib import Path

from inspectd.config import Config, Watch
from inspectd.worker.channel import PACKET, Channel, Progress, Settings, pair


def test_settings_arrive_however_large_they_are() -> None:
    """Of watches with nothing in common, so that they are large compressed as well."""
    folders = [hashlib.sha512(str(number).encode()).hexdigest() for number in range(3000)]
    watches = [Watch(name=name[:60], path=Path(f"/srv/{name}"), model=Path(f"/srv/{name[::-1]}")) for name in folders]
    config = Config(database="sqlite:////srv/inspectd.db", output=Path("/srv/output"), watch=watches)
    ours, theirs = pair()
    before = len([*Path("/proc/self/fd").iterdir()])
    with theirs:
        sent = Settings(config.model_dump_json(), "owner", 16, 60.0)
        assert len(zlib.compress(sent.config.encode())) > 2 * PACKET
        ours.send(sent)
        ours.send(Progress(7))
        worker = Channel(theirs)
        assert worker.receive() == sent
        assert worker.receive() == Progress(7)
        assert len([*Path("/proc/self/fd").iterdir()]) == before
    ours.close()

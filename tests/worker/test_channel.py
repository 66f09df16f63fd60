"""The line between supervisor and worker carries whatever a configuration may hold."""

from pathlib import Path

from inspectd.config import Config, Watch
from inspectd.worker.channel import Channel, Settings, pair


def test_a_thousand_watches_fit_into_one_packet() -> None:
    watches = [
        Watch(name=f"line-{number}", path=Path(f"/srv/cameras/hall/line-{number}/incoming"), model=Path("/srv/model"))
        for number in range(1000)
    ]
    config = Config(database="sqlite:////srv/inspectd.db", output=Path("/srv/output"), watch=watches)
    ours, theirs = pair()
    with theirs:
        ours.send(Settings(config.model_dump_json(), "owner", 16, 60.0))
        settings = Channel(theirs).receive()
        assert isinstance(settings, Settings)
        assert Config.model_validate_json(settings.config) == config
    ours.close()

"""The metrics in the daemon: if configured, it reads the ledger every few seconds and answers scrapes on 127.0.0.1.

Metrics never stop the inspection: while another program has the port, that is reported once, and tried again.
"""

import logging
import socketserver
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from inspectd.config import Config
from inspectd.ingest.intake import Intake
from inspectd.ledger.read.feed import Feed
from inspectd.ledger.write.queue import Queue
from inspectd.service.metrics.disk_space import disk_folders
from inspectd.worker.supervisor import Supervisor

if TYPE_CHECKING:
    from inspectd.service.metrics.counters import Metrics, ServiceState

log = logging.getLogger(__name__)

HOST = "127.0.0.1"  # no setting changes this: other machines have no access
EVERY = 2.0  # seconds between two reads of the ledger
RETRY = 60.0  # seconds between two tries at a port that is taken
NEVER = float("inf")
PATIENCE = 2.0  # seconds that a scraper may be silent, because scrapes wait for one another


class Meter:
    """Counts from the first moment of a configuration with `metrics.port`."""

    def __init__(self, engine: Engine, queue: Queue) -> None:
        self._engine = engine
        self._queue = queue
        self._port: int | None = None
        self._feed: Feed
        self._metrics: Metrics
        self._server: _Server | None = None
        self._refused = False
        self._look_at = 0.0
        self._open_at = 0.0

    def tick(self, now: float, config: Config, intake: Intake, supervisor: Supervisor) -> float:
        """Does what is due; returns when to call again (monotonic seconds)."""
        if config.metrics.port != self._port:
            self._begin(config, intake, supervisor)
        if self._port is None:
            return NEVER
        if now >= self._look_at:
            moment = datetime.now(UTC)
            news = self._feed.look(moment)
            self._metrics.take(news, _standing(moment, config, intake, supervisor))
            self._look_at = now if news.more else now + EVERY
        if self._server is None and now >= self._open_at:
            self._open_at = now + RETRY
            self._open()
        return self._look_at

    def _begin(self, config: Config, intake: Intake, supervisor: Supervisor) -> None:
        """Starts, moves or stops the endpoint; counters are kept."""
        if self._server:
            self._server.end()
        self._server = None
        if self._port is None:
            from inspectd.service.metrics.counters import Metrics  # imported here because only metrics need it

            moment = datetime.now(UTC)
            self._feed = Feed(self._engine, moment)
            self._metrics = Metrics(disk_folders(config), _standing(moment, config, intake, supervisor))
        self._port = config.metrics.port
        self._refused = False
        self._look_at = self._open_at = 0.0

    def _open(self) -> None:
        try:
            self._server = _Server(self._port or 0, self._metrics)
        except OSError as error:
            if not self._refused:
                why = f"port {self._port} on {HOST} is not available ({error.strerror})"
                sentence = f"no metrics yet: {why}; free the port, or set metrics.port to another one; trying again"
                self._queue.event("metrics", sentence, logging.WARNING, port=self._port)
            self._refused = True
        else:
            log.info("metrics: http://%s:%s/metrics", HOST, self._port)


def _standing(at: datetime, config: Config, intake: Intake, supervisor: Supervisor) -> "ServiceState":
    from inspectd.service.metrics.counters import ServiceState

    names = [watch.name for watch in config.watch]
    return ServiceState(at, names, intake.missing, supervisor.ready, intake.counters)


class _Server(socketserver.TCPServer):
    """Answers one scrape at a time in one thread, so that many scrapers cost no more than one."""

    allow_reuse_address = True  # after a restart the port is free at once
    request_queue_size = 16

    def __init__(self, port: int, metrics: "Metrics") -> None:
        from prometheus_client.exposition import MetricsHandler

        class PortHandler(MetricsHandler):
            registry = metrics.registry
            timeout = PATIENCE

        super().__init__((HOST, port), PortHandler)
        threading.Thread(target=self.serve_forever, daemon=True, name="metrics").start()

    def handle_error(self, *_: Any) -> None:
        """Ignores a scraper that hangs up or sends nonsense."""
        log.debug("a scrape failed", exc_info=True)

    def end(self) -> None:
        """Releases the port after the present scrape is answered, without waiting for it."""
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        self.shutdown()
        self.server_close()

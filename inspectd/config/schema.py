"""The schema of config.yaml: every key, its type, its range, its default and what it means.

An editor shows the descriptions beside the keys. A check of one value is in `values`; a check that compares several
values is in `checks`. Loaded settings hold absolute paths and survive a round trip through JSON.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from inspectd.config.globs import IMAGE_PATTERNS
from inspectd.config.retention import RetentionSettings
from inspectd.config.section import Section
from inspectd.config.values import (
    DEVICE,
    NAME,
    PLACEHOLDERS,
    Archive,
    Database,
    Fields,
    Folder,
    Glob,
    ImageGlobs,
    Switch,
)
from inspectd.domain import DEFAULT_METHOD, MOST_PIXELS, Method, PrecisionChoice
from inspectd.paths import database_file, lock_file


class Watch(Section):
    """One watched folder with its model: one camera, line or product."""

    name: Annotated[str, Field(pattern=NAME, description="The watch's name in results, logs and output folders.")]
    path: Annotated[Folder, Field(description="The folder that images are dropped into.")]
    model: Annotated[
        Folder, Field(description="The model that judges this watch's images: a folder of versions, or a bundle.")
    ]
    include: Annotated[
        ImageGlobs,
        Field(
            description="Globs of the files to inspect, matched against the name and the path inside the watch; "
            "upper and lower case are the same.",
        ),
    ] = IMAGE_PATTERNS
    ignore: Annotated[
        list[Glob],
        Field(
            description="Globs of files to leave alone. They take precedence over `include` and are matched the "
            "same way."
        ),
    ] = []
    system_files: Annotated[
        Switch,
        Field(
            description="Whether files are inspected that a NAS, an operating system or a synchronising program keeps "
            "in the folder for itself: @eaDir, #recycle, lost+found, conflicted copies and others."
        ),
    ] = False
    recursive: Annotated[Switch, Field(description="Whether subfolders are watched too.")] = True
    follow_links: Annotated[
        Switch, Field(description="Whether symbolic links are followed; otherwise they are skipped.")
    ] = False
    settle: Annotated[
        float,
        Field(
            strict=True,
            gt=0,
            le=3600,
            description="Seconds a file must stay unchanged before it counts as whole, unless its writer's closing "
            "or renaming of it was seen.",
        ),
    ] = 2.0
    rescan: Annotated[
        float,
        Field(
            strict=True,
            ge=1,
            le=86400,
            description="Seconds between two scans of the folder for what events missed; never more often than "
            "100 times the duration of a scan.",
        ),
    ] = 60.0
    backend: Annotated[
        Literal["auto", "inotify", "polling"],
        Field(
            description="How changes are noticed: inotify (local disks), polling (network shares), or auto, which "
            "chooses by the file system and polls beside inotify for as long as events do not arrive."
        ),
    ] = "auto"
    after: Annotated[
        Literal["keep", "move", "delete"],
        Field(
            description="What happens to a file once its outcome is recorded. `delete` deletes `ok` files only; every "
            "other file stays."
        ),
    ] = "keep"
    move_to: Annotated[
        Archive,
        Field(
            validate_default=True,
            description="The folder into which `after: move` puts a file; {watch}, {verdict} and {date} are replaced.",
        ),
    ] = "archive/{watch}/{verdict}/{date}"
    fields: Annotated[
        Fields | None,
        Field(
            description="A regular expression that is searched in the file name without its extension. Its named "
            "groups are recorded with the image; the group `part` is the part's identity."
        ),
    ] = None

    @property
    def archive(self) -> Path:
        """The folder below which `move_to` puts every file: `move_to` up to its first placeholder."""
        return self.archive_of()

    def archive_of(self, **known: str) -> Path:
        """The folder that `move_to` leads to, up to the first placeholder that is not `known`."""
        unknown = "\0"
        path = Path(self.move_to.format(**dict.fromkeys(PLACEHOLDERS, unknown) | known))
        return next(part for part in (path, *path.parents) if unknown not in str(part))


class WorkerSettings(Section):
    """How images are judged."""

    device: Annotated[
        str,
        Field(
            pattern=DEVICE,
            description="Where the network runs: auto, cpu, gpu (the first) or gpu:N. With `gpu` the daemon "
            "refuses to start if there is none.",
        ),
    ] = "auto"
    batch: Annotated[
        int, Field(strict=True, ge=1, le=1024, description="The most images judged in one call of the network.")
    ] = 16
    threads: Annotated[
        Annotated[int, Field(strict=True, ge=1, le=256)] | None,
        Field(description="Threads that read and decode images; null for one per core."),
    ] = None
    precision: Annotated[
        PrecisionChoice,
        Field(
            description="The arithmetic of the network; auto takes the fastest in which the bundle reproduces its "
            "golden images on the device. int8 is for processors and needs `inspectd model quantize`."
        ),
    ] = "auto"
    method: Annotated[
        Method,
        Field(
            description="How the heat that explains a verdict is computed; the verdict is the same with each method."
        ),
    ] = DEFAULT_METHOD


class OverlaySettings(Section):
    """How overlays are drawn."""

    write: Annotated[
        Literal["all", "not_ok", "none"],
        Field(description="Which images get an overlay: all, those that are not `ok`, or none."),
    ] = "all"
    format: Annotated[Literal["jpeg", "png"], Field(description="The overlay's file format.")] = "jpeg"
    colormap: Annotated[
        Literal["jet", "turbo", "inferno", "viridis"],
        Field(description="The colours of the heat, from weak to strong."),
    ] = "jet"
    scale: Annotated[
        Literal["fixed", "image"],
        Field(
            description="fixed: colours mean the same on every image (the bundle's heat scale) and weak heat is "
            "transparent. image: each image's own strongest heat is the end of the scale."
        ),
    ] = "fixed"
    caption: Annotated[Switch, Field(description="Whether verdict, score and support are on the overlay.")] = True

    def is_wanted(self, verdict: str) -> bool:
        """Whether an image with this verdict (`ok`, `defect` or `review`) gets an overlay."""
        return self.write == "all" or (self.write == "not_ok" and verdict != "ok")


class LimitSettings(Section):
    """The limits beyond which a file fails or is reported."""

    pixels: Annotated[
        int,
        Field(
            strict=True,
            ge=1,
            le=10**10,
            description="The most pixels of an image, in all its pages together; a larger image fails.",
        ),
    ] = MOST_PIXELS
    bytes: Annotated[
        int,
        Field(strict=True, ge=1, le=2**40, description="The largest image file in bytes; a larger file fails."),
    ] = 512 * 1024 * 1024
    stalled: Annotated[
        float,
        Field(
            strict=True,
            gt=0,
            le=604800,
            description="Seconds after which a file that does not become whole is reported as stalled.",
        ),
    ] = 600.0


class MetricSettings(Section):
    """Numbers for a monitoring system, in the format of Prometheus."""

    port: Annotated[
        Annotated[int, Field(strict=True, ge=1, le=65535)] | None,
        Field(description="The port on 127.0.0.1 that serves the numbers; null for none."),
    ] = None


class Config(Section):
    """The configuration of inspectd. Relative paths are relative to the folder of the file."""

    database: Annotated[Database, Field(description="The ledger, as sqlite:///FILE. It must lie on a local disk.")]
    output: Annotated[Folder, Field(description="The folder for overlays.")]
    watch: Annotated[list[Watch], Field(min_length=1, description="The watched folders.")]
    worker: Annotated[WorkerSettings, Field(description="How images are judged.")] = WorkerSettings()
    overlay: Annotated[OverlaySettings, Field(description="How overlays are drawn.")] = OverlaySettings()
    sidecar: Annotated[
        Switch,
        Field(description="Whether a JSON file with the outcome is written beside each overlay, for a PLC or MES."),
    ] = False
    limits: Annotated[LimitSettings, Field(description="What is refused or reported rather than waited for.")] = (
        LimitSettings()
    )
    metrics: Annotated[MetricSettings, Field(description="Numbers for a monitoring system.")] = MetricSettings()
    retention: Annotated[RetentionSettings, Field(description="What is removed in the course of time.")] = (
        RetentionSettings()
    )

    @property
    def database_file(self) -> Path:
        """The SQLite file behind `database`."""
        return database_file(self.database)

    @property
    def lock_file(self) -> Path:
        """The file that the daemon holds a lock on while it serves the ledger."""
        return lock_file(self.database_file)

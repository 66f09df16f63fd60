"""Frozen records that go into the ledger and come out of it.

No record knows a database. Paths are relative to the watch's folder and written by `inspectd.paths.to_text`, unless a
comment says otherwise ("ledger text" means that form too). Times are the UTC text of `inspectd.clock`.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field

from inspectd.domain import DEFAULT_METHOD, Region, Stat, Verdict


@dataclass(frozen=True)
class Arrival:
    """A file to be taken into the ledger, with the part and fields that its name gives."""

    path: str
    stat: Stat
    part: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False  # an event said that the writer closed the file, which has not changed since


@dataclass(frozen=True)
class UnsettledFile:
    """A file that a worker put back, or that stalled. Ingest enqueues it again once it has settled."""

    path: str
    second_look: bool  # could not be judged; False: changed while it was read, or never became whole


@dataclass(frozen=True)
class Claim:
    """The right to judge one image until the lease runs out. `attempt` is the fencing token."""

    image_id: int
    attempt: int
    watch: str
    path: str
    stat: Stat
    seen_at: str
    part: str | None
    fields: Mapping[str, str]
    sha256: str | None  # of content that a first look could not judge; the same content again is a failure
    reason: str | None  # why the first look could not judge it
    alone: bool  # a worker died holding the image: it is claimed without others
    closed: bool = False  # the writer was seen to close the file with this stat


@dataclass(frozen=True)
class Read:
    """The bytes that a worker read for a claim: their hash, and the stat of the file before and after reading."""

    claim: Claim
    sha256: str
    stat: Stat
    quiet: float = 0.0  # seconds that the file must stay unchanged before `after` acts on it


@dataclass(frozen=True)
class Finished:
    """An image with its outcome, as `after` needs it to act on the file and to name where it goes."""

    image_id: int
    watch: str
    path: str
    stat: Stat
    outcome: str  # a Verdict, or "failed"
    finished_at: str


@dataclass(frozen=True)
class Redraw:
    """An overlay to be drawn again, from the content with this hash, wherever the file lies now."""

    inspection_id: int
    model_id: int
    overlay: str  # relative to the configured `output`
    watch: str
    path: str
    moved_to: str | None  # absolute, as ledger text
    sha256: str
    method: str  # how its heat was computed
    page: int | None = None  # the page that the overlay shows; None for a single page
    support: float | None = None  # as the overlay's caption says it


@dataclass(frozen=True)
class Replay:
    """What turns a model's stored logits into a verdict and a score again, besides the thresholds."""

    ok: tuple[bool, ...]  # by class, in the order of the classes
    activation: str  # softmax, sigmoid
    calibration: Mapping[str, float]  # offset, temperature


@dataclass(frozen=True)
class ReinspectionRequest:
    """A model that is to judge earlier images again."""

    id: int
    bundle: str  # its identity
    path: str  # the folder of its bundle, absolute, as ledger text
    waits: bool  # whether any image still waits for it


@dataclass(frozen=True)
class EarlierImage:
    """An image with a verdict, to be judged again from the content with the claim's sha256."""

    claim: Claim  # made from its row; no worker holds the image
    moved_to: str | None  # absolute, as ledger text


@dataclass(frozen=True)
class ReinspectionCounts:
    """How many images a request to judge again has put on the list, and how many it has not and why.

    Attributes:
        listed: put on the list; they wait now.
        gone: put on the list as failed, because `after` or retention deleted their file.
        judged: judged by this model already.
        waiting: on the list already.
        without: without a verdict: they wait for their first one, or have failed.
    """

    listed: int = 0
    gone: int = 0
    judged: int = 0
    waiting: int = 0
    without: int = 0

    def __add__(self, other: "ReinspectionCounts") -> "ReinspectionCounts":
        return ReinspectionCounts(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Heat:
    """A heatmap of at most 32×32 as stored: uint8 row by row, where 255 stands for `maximum`."""

    values: bytes
    width: int
    height: int
    maximum: float


@dataclass(frozen=True)
class Inspected:
    """A verdict with everything that is needed to explain or replay it."""

    claim: Claim
    sha256: str
    verdict: Verdict
    label: str
    logits: tuple[float, ...]  # float32, one per output of the network
    score: float  # calibrated probability of a defect, 0..1
    thresholds: Mapping[str, float]  # in force, in logits
    precision: str
    device: str
    reason: str | None = None  # why it is for review if the score does not say so; and the page, of several
    overlay: str | None = None  # relative to the configured `output`
    page: int | None = None  # the worst page, which decides, from 1 on; None for a single page
    regions: tuple[Region, ...] = ()
    support: float | None = None  # of a rejection: the share of the margin that goes when its regions are erased
    verdict_falls: bool | None = None  # whether it is no longer rejected then
    heat: Heat | None = None
    method: str = DEFAULT_METHOD  # how the heat was computed
    timings: Mapping[str, float] = field(default_factory=dict)  # milliseconds by stage
    quiet: float = 0.0  # seconds that the file must stay unchanged before `after` acts on it


@dataclass(frozen=True)
class Failed:
    """A recorded failure. `reason` is "code: a sentence that a person understands"."""

    claim: Claim
    reason: str
    sha256: str | None = None
    quiet: float = 0.0  # seconds that the file must stay unchanged before `after` acts on it


@dataclass(frozen=True)
class Unsettled:
    """A file that goes back to ingest; with `sha256` and `reason`, its content needs a second look."""

    claim: Claim
    reason: str | None = None
    sha256: str | None = None


Outcome = Inspected | Failed | Unsettled

VANISHED = "vanished"  # the reason's code of a file that went away before it was judged; it may come back


def reason_code(reason: str) -> str:
    """The code of a reason, which stands before its colon: ``truncated``, ``not an image``."""
    return reason.partition(":")[0]


@dataclass(frozen=True)
class Cursor:
    """A position in the order of age: retention has seen everything up to it."""

    at: str = ""
    id: int = 0


@dataclass(frozen=True)
class Removal:
    """A file to be removed: below `root` (absolute) at `path`, both as ledger text.

    With size and mtime it is a source image, which is removed only if the file still has both.
    """

    root: str
    path: str
    size: int | None = None
    mtime_ns: int | None = None
    id: int = 0


@dataclass(frozen=True)
class RetentionCandidate:
    """What retention may remove unless it is protected: an overlay, a moved source image or a row, with its image."""

    id: int  # of the inspection for an overlay, else of the image
    at: str  # when the image got its outcome
    image_id: int
    watch: str
    path: str
    seen_at: str
    file: str | None
    size: int
    mtime_ns: int
    ctime_ns: int
    after: str | None
    is_protected: bool  # pinned, reviewed, or a `review` of any model
    is_superseded: bool  # a newer content under the same name has its outcome


@dataclass(frozen=True)
class Counts:
    """Images that have no outcome yet, by state."""

    queued: int = 0
    claimed: int = 0
    settling: int = 0
    stalled: int = 0

"""Checks whether 16-bit images have the bits that their model reads.

It looks at the images in a watch, or at the golden images of its model if the watch has no 16-bit file.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from inspectd.config import LimitSettings, Watch
from inspectd.errors import BundleError
from inspectd.ingest.naming import Naming
from inspectd.ingest.scan import Walk
from inspectd.model.bundle import Bundle, read_bundle
from inspectd.service.doctor.finding import Diagnosis, Site, is_folder, ok, warn
from inspectd.vision.depth import Depths
from inspectd.vision.errors import DecodeError

LOOKED_AT = 20  # images of a watch


def check_brightness(site: Site) -> Iterator[Diagnosis]:
    """Yields a diagnosis for each watch with 16-bit files. Another check reports a model that cannot be read."""
    for watch in site.config.watch:
        try:
            bundle = read_bundle(watch.model)
            subject, found = f"watch {watch.name}, {watch.path}", _depths(_lying(watch), bundle, site.config.limits)
            if not found.used:
                subject, found = f"watch {watch.name}, golden images", _depths(_golden(bundle), bundle, LimitSettings())
        except (BundleError, OSError):
            continue
        bits = bundle.spec.preparation.bits
        remarks = found.remarks(bits)
        for said, _, advice in (remark.partition(". ") for remark in remarks):
            yield warn("brightness", subject, said, advice)
        if found.used and not remarks:
            yield ok("brightness", subject, f"{len(found.used)} 16-bit files suit the {bits} bits of {bundle.title}")


def _lying(watch: Watch) -> Iterable[Path]:
    walk = Walk(watch, Naming(watch), lambda _folder, _error: None) if is_folder(watch.path) else ()
    return islice((watch.path / seen[0] for seen in walk if seen), LOOKED_AT)


def _golden(bundle: Bundle) -> Iterable[Path]:
    from inspectd.model.golden import read_golden  # like the decoder, it imports OpenCV

    golden = read_golden(bundle)
    return [bundle.path / image.file for image in golden.images] if golden else []


def _depths(files: Iterable[Path], bundle: Bundle, limits: LimitSettings) -> Depths:
    """The bits that the values in the files take; a file that cannot be read is left out."""
    from inspectd.vision.decode import decode

    used: dict[str, int] = {}
    for file in files:
        try:
            if file.stat().st_size > limits.bytes:
                continue
            image = decode(file.read_bytes(), limits.pixels, bundle.spec.preparation.bits)
        except (OSError, DecodeError):
            continue
        if image.used is not None:
            used[str(file)] = image.used
    return Depths(used)

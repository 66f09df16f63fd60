"""Draws the pictures of a report as PNG files in one style, dark on light, and legible in black and white."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from inspectd.evaluation.assessment import Confusion
from inspectd.evaluation.curves import Curves, Reliability
from inspectd.evaluation.heat import NEAR
from inspectd.evaluation.intervals import clopper_pearson
from inspectd.evaluation.rates import Rate
from inspectd.evaluation.thresholds import Margins
from inspectd.model.spec import ImageClass, Thresholds

NAMES = {
    "confusion.png", "margins.png", "roc.png", "precision-recall.png", "calibration.png", "distances.png",
    "explanations.png",
}  # fmt: skip
DPI = 144
INK, FAINT, LINE = "#1b2430", "#5d6b7a", "#d9dee5"
GOOD, BAD, REVIEW, BLUE = "#2f7d5b", "#b5403a", "#b97a12", "#23527c"
_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.parse_math": False,  # a class name may contain $
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
}


def confusion(found: Confusion, classes: Sequence[ImageClass]) -> bytes:
    """The confusion matrix as a grid; the colour is stronger for a larger share of the row.

    Green is right, red is on the wrong side, amber is the right side with another label, or review.
    """
    names = [each.name for each in classes]
    counts = np.array(found.counts)
    columns = [index for index, name in enumerate(found.columns) if index < len(names) or counts[:, index].any()]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with rc_context(_LOOK | {"axes.grid": False}):
        figure, axes = _figure(2.6 + 0.95 * len(columns), 1.7 + 0.62 * len(names))
        for row, column in np.ndindex(len(names), len(columns)):
            source = columns[column]
            astray = source < len(names) and classes[source].ok != classes[row].ok
            colour = GOOD if source == row else BAD if astray else REVIEW
            share = float(shares[row, source])
            axes.add_patch(_cell(row, column, colour, share))
            axes.text(
                column, row, f"{counts[row, source]}", ha="center", va="center", fontsize=12,
                fontweight="bold" if share else "normal", color="white" if share > 0.55 else INK if share else FAINT,
            )  # fmt: skip
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(names) - 0.5, -0.5), ylabel="true class")
        axes.set_xticks(range(len(columns)), [found.columns[index] for index in columns], color=INK)
        axes.set_yticks(range(len(names)), names, color=INK)
        axes.set_xlabel("verdict, by its label")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if max(map(len, names)) * len(columns) > 60:
            axes.tick_params(axis="x", rotation=30)
        axes.set_title("Verdicts on the images of each class")
        return _png(figure)


def roc(found: Curves, auc: float, overkill: float, caught: float) -> bytes:
    """Defects found against good images rejected, as the threshold falls; the rates are those at the bundle's own."""
    with rc_context(_LOOK):
        figure, axes = _figure(4.6, 4.4)
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 4)), label="chance")
        axes.plot(found.overkill, found.found, color=BLUE, label=f"AUC {auc:.4f}", clip_on=False)
        _mark(axes, overkill, caught)
        axes.set(title="ROC", xlabel="good images rejected", ylabel="defects found")
        return _square(figure, axes, "lower right")


def precision_recall(found: Curves, average: float, recall: float, precision: float | None) -> bytes:
    """The share of defects among the rejected against the share of defects found, as the threshold falls."""
    with rc_context(_LOOK):
        figure, axes = _figure(4.6, 4.4)
        share = float(found.precision[0])  # of everything rejected: the share of defects in the data
        axes.axhline(share, color=FAINT, linewidth=1, linestyle=(0, (4, 4)), label=f"chance ({share:.0%} defects)")
        label = f"average precision {average:.4f}"
        axes.step(found.recall, found.precision, where="pre", color=BLUE, label=label, clip_on=False)
        if precision is not None:
            _mark(axes, recall, precision)
        axes.set(title="Precision and recall", xlabel="defects found (recall)", ylabel="defects among the rejected")
        return _square(figure, axes, "lower left")


def calibration(found: Reliability) -> bytes:
    """Calibrated probability against the true share, with 95 % intervals and numbers of images."""
    said = [each.said for each in found.bins]
    true = [each.defects / each.images for each in found.bins]
    limits = [clopper_pearson(each.defects, each.images) for each in found.bins]
    bars = np.array(
        [[max(share - low, 0), max(high - share, 0)] for share, (low, high) in zip(true, limits, strict=True)]
    )
    with rc_context(_LOOK):
        figure, axes = _figure(4.6, 4.4)
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 4)), label="perfectly calibrated")
        axes.errorbar(
            said, true, bars.T, fmt="o", color=BLUE, ecolor=BLUE, elinewidth=1.4, capsize=3, markersize=6,
            label="a tenth, 95 % interval", clip_on=False,
        )  # fmt: skip
        for x, (low, high), each in zip(said, limits, found.bins, strict=True):
            end, offset = (high, 5) if high < 0.9 else (low, -12)
            axes.annotate(
                f"{each.images}", (x, end), xytext=(0, offset), textcoords="offset points", fontsize=8.5, color=FAINT,
                ha="left" if x < 0.05 else "right" if x > 0.95 else "center",
            )  # fmt: skip
        axes.set(title=f"Reliability (expected calibration error {found.error:.3f})")
        axes.set(xlabel="calibrated probability of a defect", ylabel="share that are defects")
        return _square(figure, axes, "upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)


def margins(good: Margins, bad: Margins, thresholds: Thresholds) -> bytes:
    """The margins of both sides in logits as a histogram; below the bars a tick for every image."""
    values = np.concatenate([good, bad, [thresholds.defect]])
    reach = max(float(np.ptp(values)), 1e-6)
    edges = np.linspace(values.min() - 0.01 * reach, values.max() + 0.01 * reach, 56).tolist()
    with rc_context(_LOOK):
        figure, axes = _figure(9.4, 3.6)
        axes.hist(good, edges, color=GOOD, alpha=0.9, label=f"good ({len(good)})")
        axes.hist(
            bad, edges, color=BAD, alpha=0.75, hatch="///", edgecolor="white", lw=0, label=f"defects ({len(bad)})"
        )
        for side, colour, height in ((good, GOOD, -0.045), (bad, BAD, -0.1)):
            ticks = np.full(len(side), height)
            axes.plot(side, ticks, "|", color=colour, markersize=7, alpha=0.8, transform=axes.get_xaxis_transform(),
                      clip_on=False)  # fmt: skip
        axes.axvline(thresholds.defect, color=INK, linewidth=1.6, label=f"defect from {thresholds.defect:.4g}")
        if thresholds.review is not None:
            axes.axvspan(thresholds.review, thresholds.defect, color=REVIEW, alpha=0.18, lw=0, label="review")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="x", visible=False)
        axes.tick_params(axis="x", pad=22, length=0)
        axes.set(xlabel="margin (logit)", ylabel="images")
        axes.set_title("Margins of good images and defects", pad=26)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, fontsize=9, borderaxespad=0.2)
        return _png(figure)


def distances(near: Rate, pixels: Sequence[float]) -> bytes:
    """The distance of the hottest point from the mask: the share of defects within each distance.

    Args:
        near: The share within 15 pixels.
        pixels: The distance for each defect with a mask; infinite without heat.
    """
    reached = np.sort(np.array(pixels))
    finite = reached[np.isfinite(reached)]
    furthest = max(3 * NEAR, float(finite.max()) if len(finite) else 0.0)
    with rc_context(_LOOK):
        figure, axes = _figure(9.4, 3.2)
        axes.axvspan(0, NEAR, color=BLUE, alpha=0.08, lw=0)
        steps = np.concatenate([[0.0], finite, [furthest]])
        shares = np.concatenate([np.searchsorted(reached, steps[:-1], "right"), [len(finite)]]) / len(reached)
        axes.step(steps, shares, where="post", color=BLUE, clip_on=False)
        axes.axvline(NEAR, color=FAINT, linewidth=1, linestyle=(0, (4, 4)))
        axes.annotate(
            f"within {NEAR:.0f} px: {near.count} of {near.of}",
            (NEAR, 0.06), xytext=(6, 0), textcoords="offset points", fontsize=9.5, color=INK,
        )  # fmt: skip
        axes.set(xlim=(0, furthest * 1.02), ylim=(0, 1.02))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set(title="How far the hottest point is from the defect", xlabel="pixels of the image", ylabel="defects")
        return _png(figure)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _cell(row: int, column: int, colour: str, share: float) -> FancyBboxPatch:
    strength = 0.0 if share == 0 else 0.12 + 0.88 * share
    return FancyBboxPatch(
        (column - 0.44, row - 0.4), 0.88, 0.8, boxstyle="round,pad=0,rounding_size=0.06", linewidth=0,
        facecolor=(*_rgb(colour), strength) if share else (*_rgb(LINE), 0.45),
    )  # fmt: skip


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _mark(axes: Axes, x: float, y: float) -> None:
    axes.plot(
        [x], [y], "o", markersize=8, markerfacecolor="white", markeredgecolor=BAD, markeredgewidth=2, clip_on=False,
        label="the bundle's threshold", zorder=5,
    )  # fmt: skip


def _square(figure: Figure, axes: Axes, legend: Any, **where: Any) -> bytes:
    axes.set(xlim=(0, 1), ylim=(0, 1.0), aspect="equal")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.margins(0.02)
    axes.legend(loc=legend, fontsize=9, **where)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()

"""What people look at after a training: the curves and the model card. Nothing is computed here."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from inspectd.model.spec import Spec


@dataclass(frozen=True)
class Epoch:
    """One epoch's figures, as Keras reports them; accuracy is the network's own, at probability ½ or by argmax."""

    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float

    @property
    def watched(self) -> str:
        """The figures of the images that were watched, in words."""
        return f"loss {self.val_loss:.4g}, accuracy {self.val_accuracy:.4f}"


def curves(epochs: Sequence[Epoch], best: int) -> bytes:
    """A PNG with accuracy and loss over the epochs, training and validation; `best` (from 0) is the epoch kept."""
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    numbers = range(1, len(epochs) + 1)
    for axes, what in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        axes.plot(numbers, [getattr(epoch, what) for epoch in epochs], marker=".", label="training")
        axes.plot(numbers, [getattr(epoch, f"val_{what}") for epoch in epochs], marker=".", label="validation")
        axes.axvline(best + 1, color="grey", linestyle=":", label="kept")
        axes.set(title=f"Model {what}", xlabel="epoch", ylabel=what)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def card(spec: Spec, remarks: Sequence[str]) -> bytes:
    """The model card: what the bundle is, what it was made of and what it was measured to do, in Markdown."""
    to = spec.preparation
    way = "Images are cut into tiles of" if spec.tiles else "Images are resized to"
    classes = ", ".join(f"{each.name} ({'OK' if each.ok else 'NG'})" for each in spec.classes)
    lines = [
        f"# {spec.name}",
        "",
        f"Tells {classes}. {way} {to.width}×{to.height}; a margin (logit) of "
        f"{spec.thresholds.defect:.6g} or more is a defect. The heat comes from `{spec.layer}`.",
        "",
        *(f"- {remark}" for remark in remarks),
        "",
        *_measured(spec),
        "| used in training | |",
        "| --- | --- |",
        *(f"| {name.replace('_', ' ')} | {_plain(value)} |" for name, value in spec.training.items()),
        "",
    ]
    return "\n".join(lines).encode()


def _measured(spec: Spec) -> list[str]:
    if not spec.metrics:
        return []
    watched = "validation" if spec.training.get("validation", True) else "test"
    role = {
        "validation": "which also chose its threshold: expect somewhat less on new ones",
        "test": "and which chose neither its epoch nor its threshold",
    }
    return [
        f"Evaluated in {spec.evaluated_in} on images that it did not learn from, {role[watched]}.",
        "",
        f"| measured on {watched} images | |",
        "| --- | --- |",
        *(f"| {name.replace('_', ' ')} | {value} |" for name, value in spec.metrics.items()),
        "",
    ]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(str(each) for each in value) or "none"
    return str(value)

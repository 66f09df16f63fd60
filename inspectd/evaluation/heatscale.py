"""Chooses the fixed colour scale of the heat: good images stay dark, a typical defect has full colour."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Method
from inspectd.model.spec import HeatScale, ImageClass

HeatScales = dict[Method, dict[str, HeatScale]]


def heat_scales(
    maxima: Mapping[Method, NDArray[np.float64]],
    explained: Sequence[str],
    targets: NDArray[np.int64],
    classes: Sequence[ImageClass],
) -> tuple[HeatScales, list[str]]:
    """Two numbers for each method and NG class, and sentences about heat that does not separate defects.

    `low` is the 99th percentile of the maxima on good images. `high` lies halfway from there to the median on the
    class's own defects that are explained as that class; on all its defects if none is. So a region, which begins in
    the middle of the scale, is hotter than good images, and includes heat a quarter of the way to a typical defect.

    Args:
        maxima: By method: the hottest value of each image's heat (n,).
        explained: The class that each image's heat explains (n).
        targets: The index of each image's class (n,); good images and every NG class are among them.
    """
    good = np.array([classes[target].ok for target in targets])
    names = np.array(explained)
    scales: HeatScales = {method: {} for method in maxima}
    remarks: list[str] = []
    for index, each in enumerate(classes):
        if each.ok:
            continue
        own = targets == index
        explaining = own & (names == each.name)
        shown = explaining if explaining.any() else own
        blind: list[str] = []
        for method, values in maxima.items():
            low, high = float(np.percentile(values[good], 99)), float(np.median(values[shown]))
            if high <= low:
                blind.append(f"{method}: the median maximum is {high:.4g}, and 1 in 100 good images exceeds {low:.4g}")
                high = 2 * low or 1.0
            scales[method][each.name] = HeatScale(low, (low + high) / 2)
        if blind:
            remarks.append(
                f"The heat does not separate {each.name} from good ({'; '.join(blind)}). Its overlays will often be "
                "empty. More epochs, a finer cut or `--preprocess backbone` may help."
            )
    return scales, remarks

"""The pieces of HTML that a report is put together from."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from inspectd.evaluation.figures import DPI
from inspectd.evaluation.rates import Rate, below, percent


def section(title: str, *parts: str) -> str:
    body = "".join(part if part.startswith("<") else f'<p class="note">{_marked(part)}</p>' for part in parts)
    return f"<section><h2>{escape(title)}</h2>{body}</section>\n"


def _marked(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def rates(rows: Iterable[tuple[str, Rate]], *, bound: bool = True) -> str:
    head = ["", "Images", "Rate", "95 % interval (two-sided)"] + (["Claim: below (one-sided 95 %)"] if bound else [])
    body = [
        [escape(name), f"{rate.count} of {rate.of}", percent(rate.value), interval(rate)]
        + ([below(rate.at_most)] if bound else [])
        for name, rate in rows
    ]
    return table(head, body)


def count(rate: Rate) -> str:
    return f"{rate.count} of {rate.of} ({percent(rate.value)})" if rate.of else "–"


def interval(rate: Rate) -> str:
    low, high = rate.interval
    return f"{percent(low)} … {percent(high)}" if rate.of else "–"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "numbers") -> str:
    """A table of cells that are HTML already; of `numbers`, columns after the first are aligned to the right."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def picture(pictures: Mapping[str, bytes], name: str, what: str) -> str:
    data = base64.b64encode(pictures[name]).decode()
    width = int.from_bytes(pictures[name][16:20]) * 96 // DPI  # of the PNG header's pixels, as large as on paper
    return f'<img width="{width}" alt="{escape(what)}" src="data:image/png;base64,{data}">'

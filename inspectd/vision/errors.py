"""The error of all decoders: a code to count, and a sentence to read."""

from typing import Literal

from inspectd.errors import InspectdError

Code = Literal["empty", "not an image", "truncated", "damaged", "unsupported", "too large"]
ADVICE = "save it as 8 or 16-bit grey, or as RGB."  # the advice for kinds of files that are not supported


class DecodeError(InspectdError):
    """The file has no trustworthy pixels. ``code`` is one of a fixed few; ``str(error)`` is a sentence."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.code: Code = code

    def without_limits(self, most: int) -> str:
        """The sentence for users without a configuration whose limits they could raise; `most` pixels are allowed."""
        if self.code != "too large":
            return str(self)
        return f"It has more than {most:,} pixels, or more than the memory holds; scale it down or cut it into parts."

"""Sizes in bytes as people read them, in one unit everywhere: GB of 10^9 bytes, as disks are sold and `free` is set."""

GB, MB = 10**9, 10**6


def size_text(number: int) -> str:
    """``1.5 GB``; what is smaller than one, in MB of 10^6 bytes."""
    return f"{number / GB:.1f} GB" if number >= GB else f"{number / MB:.1f} MB"

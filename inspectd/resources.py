"""Where the files that ship beside the code lie: inside an installed package, or at the top of a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def resource(name: str) -> Path:
    """The path of ``migrations`` or ``config.yaml``, which a wheel carries inside the package."""
    installed = PACKAGE / name
    return installed if installed.exists() else PACKAGE.parent / name

"""The one family of errors that a user can cause.

Each carries a sentence that says what is wrong and what to do about it. The command line prints that sentence
without a traceback and exits non-zero. Any other exception is a bug and keeps its traceback.
"""


class InspectdError(Exception):
    """Something the user can put right; ``str(error)`` is the whole message."""

    exit_code = 1


class ConfigError(InspectdError):
    """The configuration is wrong. Exit 78 (EX_CONFIG), which systemd does not answer with a restart."""

    exit_code = 78


class LedgerError(InspectdError):
    """The results database cannot be used as it is."""


class LedgerUnavailable(LedgerError):
    """The results database takes nothing just now (locked, disk full, disk error); trying again later may help."""


class LedgerDamaged(LedgerError):
    """The results database is damaged, or is none: exit 78, because a restart would only damage it further."""

    exit_code = 78


class BundleError(InspectdError):
    """A model bundle is missing, damaged or not what it says."""


class DeviceError(ConfigError):
    """The configured device is not there."""


class DataError(InspectdError):
    """Training or evaluation data cannot be used as it is."""

"""Imports Keras for all of inspectd: ``from inspectd.model.engine.backend import keras``.

It imports Keras and its engine (TensorFlow, or JAX if the environment says ``KERAS_BACKEND=jax``) quietly and in one
known state, whatever the user's ~/.keras/keras.json says. Only modules that run a network may import this one: the
import takes seconds and hundreds of megabytes.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

from inspectd import __version__
from inspectd.errors import ConfigError

_NOISE = re.compile(
    r"[IWE]\d{4} |WARNING: All log messages before absl|To enable the following instructions|INFO: |fully_quantize: "
)


@contextmanager
def without_noise() -> Iterator[None]:
    """Drops known notices that C++ code writes to stderr at any log level; writes everything else afterwards."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if not _NOISE.match(line):
                    print(line, file=sys.stderr)  # noqa: T201 - it was on its way to stderr


NAMES = {"tensorflow": "TensorFlow", "jax": "JAX"}
BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if BACKEND not in NAMES:
    raise ConfigError(f"KERAS_BACKEND={BACKEND}: networks run on {' or '.join(NAMES)}. Set one of them, or none.")
if find_spec(BACKEND) is None:
    raise ConfigError(
        f"KERAS_BACKEND={BACKEND}: {NAMES[BACKEND]} is not installed. `pip install {BACKEND}`, or set another backend."
    )
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors reach Python as exceptions
# Otherwise JAX reserves most of a GPU, and the worker that replaces this one finds no memory left.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
with without_noise():
    import keras

    computes = import_module(BACKEND)

keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")
if BACKEND == "tensorflow":
    computes.get_logger().setLevel("ERROR")

ENGINE = NAMES[BACKEND]
SOFTWARE = f"inspectd {__version__}, Keras {keras.__version__}, {ENGINE} {computes.__version__}"

__all__ = ["BACKEND", "ENGINE", "SOFTWARE", "keras", "without_noise"]

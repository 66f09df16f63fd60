"""The one door to TensorFlow and Keras: ``from inspectd.model.backend import keras, tf``.

It imports them quietly and in one known state, whatever the user's ~/.keras/keras.json says. Nothing outside the rooms
that run a network may import this module: it takes seconds and hundreds of megabytes.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from inspectd import __version__

_NOISE = re.compile(r"[IWE]\d{4} |WARNING: All log messages before absl|To enable the following instructions")


@contextmanager
def _without_noise() -> Iterator[None]:
    """Holds back what C++ writes to stderr before its log level counts; anything else is written afterwards."""
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


os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors reach Python as exceptions
with _without_noise():
    import keras
    import tensorflow as tf

keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")
tf.get_logger().setLevel("ERROR")

SOFTWARE = f"inspectd {__version__}, Keras {keras.__version__}, TensorFlow {tf.__version__}"

__all__ = ["SOFTWARE", "keras", "tf"]

"""Devices are there or named as missing, and TensorFlow starts without a word."""

import subprocess
import sys
from pathlib import Path

import pytest

from inspectd.errors import DeviceError
from inspectd.model.devices import idle_gpus, open_device, processor_has_bfloat16, processor_has_int8
from inspectd.model.engine.on_tensorflow import tf


def test_the_processor_is_always_there() -> None:
    assert open_device("cpu").text == "cpu"


def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DeviceError, match=r"worker\.device: gpu:99: TensorFlow sees .* GPU.*inspectd\[gpu\]"):
        open_device("gpu:99")


def test_device_nodes_of_gpus(tmp_path: Path) -> None:
    for name in ("null", "nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1", "kfd", "dri"):
        (tmp_path / name).touch()
    assert [node.name for node in idle_gpus(tmp_path)] == ["kfd", "nvidia0", "nvidia1"]


@pytest.mark.parametrize(
    ("text", "has_it"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 fma\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu avx2 fma\n", False),
        ("", False),
    ],
)
def test_bfloat16_by_the_processors_flags(text: str, has_it: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert processor_has_bfloat16(tmp_path / "cpuinfo") == has_it


@pytest.mark.parametrize(
    ("text", "has_it"),
    [
        ("flags\t\t: fpu avx512f avx512_vnni fma\n", True),
        ("flags\t\t: fpu avx2 avx_vnni\n", True),
        ("Features\t: fp asimd asimddp\n", True),
        ("flags\t\t: fpu avx2 avx512f fma\n", False),
    ],
)
def test_int8_by_the_processors_flags(text: str, has_it: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert processor_has_int8(tmp_path / "cpuinfo") == has_it


def test_no_list_of_flags_means_none(tmp_path: Path) -> None:
    assert not processor_has_bfloat16(tmp_path / "missing")
    assert not processor_has_int8(tmp_path / "missing")


def test_tensorflow_starts_without_a_word() -> None:
    program = """
import os
from inspectd.model.engine.backend import keras
from inspectd.model.engine.on_tensorflow import tf
from inspectd.model.devices import open_device
open_device("auto")
keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])(tf.ones((2, 4)))
os.write(2, b"mine")
"""
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert (ended.stdout, ended.stderr) == (b"", b"mine")


def test_memory_grows_on_the_only_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU is needed to see what TensorFlow is told: else it would take all of the memory of the only one."""
    told: list[tuple[str, bool]] = []
    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda _: ["gpu"])
    monkeypatch.setattr(config, "get_visible_devices", lambda _: ["gpu"])
    monkeypatch.setattr(config.experimental, "get_device_details", lambda _: {"compute_capability": (9, 0)})
    monkeypatch.setattr(config.experimental, "get_memory_growth", lambda _: False)
    monkeypatch.setattr(config.experimental, "set_memory_growth", lambda gpu, on: told.append((gpu, on)))
    assert open_device("gpu").bfloat16
    assert told == [("gpu", True)]

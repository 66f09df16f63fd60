"""Where a network runs. One process uses one device; on a GPU, memory is taken as it is needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspectd.errors import DeviceError
from inspectd.model.backend import tf

INSTALL = "Install inspectd[gpu] (`make venv GPU=1` or `make install GPU=1`) and see that `nvidia-smi` lists the device"


@dataclass(frozen=True)
class Device:
    """A device that TensorFlow can use.

    Attributes:
        text: For people and the ledger: `cpu`, or `gpu:0 NVIDIA …`.
        bfloat16: Whether the device computes in bfloat16 faster than in float32.
        remarks: Sentences for the log.
    """

    text: str
    bfloat16: bool
    remarks: tuple[str, ...] = ()


def open_device(wanted: str) -> Device:
    """Makes `wanted` (`auto`, `cpu`, `gpu`, `gpu:N`) the process's device.

    Raises:
        DeviceError: it is not there, or TensorFlow already runs on another one in this process.
    """
    gpus = [] if wanted == "cpu" else tf.config.list_physical_devices("GPU")
    kind, _, number = wanted.partition(":")
    index = int(number or 0)
    if kind == "gpu" and index >= len(gpus):
        seen = f"TensorFlow sees {len(gpus)} GPUs" if gpus else "TensorFlow sees no GPU"
        raise DeviceError(f"worker.device: {wanted}: {seen}. {INSTALL}, or set `device: cpu`.")
    if not gpus:
        _use(None)
        idle = idle_gpus() if wanted == "auto" else []
        remark = f"{idle[0]} exists but TensorFlow sees no GPU: running on the processor. {INSTALL}." if idle else ""
        return Device("cpu", processor_has_bfloat16(), (remark,) if remark else ())
    _use(gpus[index])
    details = tf.config.experimental.get_device_details(gpus[index])
    text = f"gpu:{index} {details.get('device_name', '')}".strip()
    return Device(text, details.get("compute_capability", (0, 0)) >= (8, 0))


def idle_gpus(dev: Path = Path("/dev")) -> list[Path]:
    """Device nodes of GPUs: NVIDIA, AMD, and the one that Windows lends to Linux."""
    return sorted([*dev.glob("nvidia[0-9]*"), *dev.glob("kfd"), *dev.glob("dxg")])


def _use(gpu: Any) -> None:
    """Hides every other GPU, so that no memory is taken there and everything is placed on this one."""
    visible = [gpu] if gpu else []
    try:
        if tf.config.get_visible_devices("GPU") != visible:
            tf.config.set_visible_devices(visible, "GPU")
        if gpu and not tf.config.experimental.get_memory_growth(gpu):
            # Else TensorFlow takes the whole GPU, and a worker that is to replace this one finds none left.
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise DeviceError("This process already runs on another device. Start a new one for this device.") from error


def processor_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies in bfloat16: AVX512_BF16 or AMX on x86, BF16 on ARM."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((set(line.split()) for line in lines if line.startswith(("flags", "Features"))), set())
    return not flags.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})

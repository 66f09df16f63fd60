"""Checks every byte of the bundles, and the device that their networks will run on.

A child process asks TensorFlow (or JAX) for the device, because that takes seconds and memory, and may crash.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

from inspectd.errors import BundleError
from inspectd.model.bundle import load_bundle
from inspectd.service.doctor.finding import Diagnosis, Site, fault, ok, warn
from inspectd.service.doctor.folders import READ, User, check_rights

PATIENCE = 60.0  # seconds to import it and to count devices; a cold disk takes 10
REINSTALL = "install inspectd again: `make install`"
ASK = """\
import json, sys
from inspectd.errors import ConfigError
try:
    from inspectd.model.devices import open_device
    device = open_device(sys.argv[1])
    print(json.dumps({"device": device.text, "remarks": device.remarks}))
except ConfigError as error:
    print(json.dumps({"refused": str(error)}))
"""


def check_models(site: Site) -> Iterator[Diagnosis]:
    """Checks every bundle once, then the device if a network needs one."""
    networks: set[str] = set()
    for model in dict.fromkeys(watch.model for watch in site.config.watch):
        try:
            bundle = load_bundle(model)
        except BundleError as error:
            yield fault("models", str(model), "cannot be loaded", str(error))
        except OSError:  # a folder of the path may not be entered
            yield replace(check_rights(User.present(), str(model), model, READ), check="models")
        else:
            networks.add(bundle.spec.network)
            yield ok(
                "models", str(model), f"{bundle.title}, version {bundle.spec.version}, every byte as it was evaluated"
            )
    if "keras" in networks:
        yield device(site.config.worker.device)


def device(wanted: str, patience: float = PATIENCE) -> Diagnosis:
    """The device that `worker.device` leads to, as a child process finds it."""
    subject = f"worker.device: {wanted}"
    try:
        command = [sys.executable, "-c", ASK, wanted]
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        late = f"no answer within {patience:g} s"
        return fault("device", subject, late, "check whether the GPU's driver hangs: `nvidia-smi`, `dmesg`")
    except OSError as error:
        return fault("device", subject, f"no child process can be started: {error.strerror}", REINSTALL)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        return fault("device", subject, f"cannot be used: {last}", REINSTALL)
    answer = json.loads(done.stdout.splitlines()[-1])
    if refused := answer.get("refused"):
        return fault("device", subject, "is not available", refused)
    if answer["remarks"]:
        return warn("device", subject, answer["device"], " ".join(answer["remarks"]))
    return ok("device", subject, answer["device"])

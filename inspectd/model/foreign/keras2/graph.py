"""Translates whole networks: turns the graph that Keras 2 saved into one that Keras 3 reads, at every depth.

In both formats a layer has a list of calls, and a tensor is named by layer, call and output. Keras 2 counts the calls
of an inner network from 1, puts the outputs of one call into a list, and knows operators as layers.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from inspectd.errors import BundleError
from inspectd.model.foreign.keras2.layers import WAY_OUT, Json, class_of, input_layer, plain, translate_layer
from inspectd.model.foreign.keras2.nodes import call_of_node
from inspectd.model.foreign.keras2.operators import OperatorCall, call_of

CONSTANT = "_CONSTANT_VALUE"
OPERATORS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
ENDS = ("input", "output")
NETWORKS = ("Functional", "Model", "Network", "Sequential")


def translate_network(entry: Json, name: str | None = None) -> Json:
    """Translates a Keras 2 network as the file describes it (`class_name` and `config`) to Keras 3.

    Args:
        name: Its new name; None keeps the name in the file.

    Raises:
        BundleError: part of it has no counterpart in Keras 3.
    """
    config = entry["config"]
    if class_of(entry) not in NETWORKS:
        raise BundleError(
            f"it is a {class_of(entry)}, a class that is not part of Keras, and inspectd runs no code from "
            "files. Where it was made, save its layers without it: `pixels = keras.Input((height, width, 3)); "
            "keras.Model(pixels, model.call(pixels)).save('model.h5')`."
        )
    called = name or _clean(str(config.get("name", "model") if isinstance(config, dict) else "sequential"))
    if _is_sequential(entry):
        return _network("Sequential", "keras", called, layers=_sequence(entry, outermost=name is None))
    config = config | {f"{end}_layers": _in_a_row(config[f"{end}_layers"]) for end in ENDS}
    graph = _Graph(config)
    ends = {f"{end}_layers": _few([graph.history(each) for each in config[f"{end}_layers"]]) for end in ENDS}
    layers = [step for each in config["layers"] for step in graph.connected(each)]
    return _network("Functional", "keras.src.models.functional", called, layers=layers, **ends)


def _in_a_row(ends: Any) -> list[Any]:
    """The inputs or outputs of a network, also if a single one has a name: `{"image": tensor}`."""
    if isinstance(ends, list):
        return ends
    if len(ends) > 1:
        raise BundleError(
            f"it has several inputs or outputs ({', '.join(ends)}). inspectd gives a network one image, and needs one "
            "row of numbers. Save it with the ones that decide: `keras.Model(image, row).save('model.h5')`."
        )
    return list(ends.values())


def layers_of(entry: Json) -> list[Json] | None:
    """The layers of a network of Keras 2 in the order of the file; None if it is a single layer."""
    config = entry["config"]
    found = config if isinstance(config, list) else config.get("layers")
    return found if class_of(entry) in NETWORKS else None


def name_of(entry: Json) -> str:
    """The name of a layer in the file."""
    config = entry["config"]
    given = entry.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return str(given or class_of(entry).lower())


def new_names(layers: Sequence[Json]) -> dict[str, str]:
    """The names of one network's layers in Keras 3, whose names may not hold a slash."""
    names: dict[str, str] = {}
    for each in layers:
        name = _clean(name_of(each))
        while name in names.values():
            name += "_"
        names[name_of(each)] = name
    return names


def _clean(name: str) -> str:
    return name.replace("/", "_")


def _is_sequential(entry: Json) -> bool:
    return isinstance(entry["config"], list) or "input_layers" not in entry["config"]


def _network(kind: str, module: str, name: str, **config: Any) -> Json:
    registered = None if module == "keras" else kind
    config = {"name": name, **config}
    return {"module": module, "class_name": kind, "config": config, "registered_name": registered, "name": name}


def _few(values: list[Any]) -> Any:
    """A single value as it is, several as a list."""
    return values[0] if len(values) == 1 else values


def _steps(entry: Json, name: str) -> list[Json]:
    return [translate_network(entry, name)] if layers_of(entry) is not None else translate_layer(entry, name)


def _sequence(entry: Json, outermost: bool) -> list[Json]:
    """The layers of a Sequential. The outermost Sequential begins with its input, so that Keras 3 builds it
    immediately.
    """
    layers = layers_of(entry) or []
    names = new_names(layers)
    steps = [step for each in layers for step in _steps(each, names[name_of(each)])]
    shape = _input_shape(entry)
    if outermost and steps and steps[0]["class_name"] != "InputLayer":
        if shape is None:
            raise BundleError(
                "it does not say how large its input is. Call `model.build((None, height, width, 3))`, "
                "and save it again."
            )
        return [input_layer({"batch_input_shape": shape}, f"{steps[0]['name']}_input"), *steps]
    return steps


def _input_shape(entry: Json) -> Any | None:
    """The shape of a network's input with the batch, from the place where this version of Keras 2 wrote it."""
    config = entry["config"]
    own = config if isinstance(config, dict) else {}
    found = own.get("batch_input_shape") or own.get("batch_shape") or own.get("build_input_shape")
    if not found and (inner := layers_of(entry)):
        found = _input_shape(inner[0])
    return plain(found or entry.get("build_config", {}).get("input_shape"))


class _Graph:
    """The layers of one functional network, and the source of each tensor."""

    def __init__(self, config: Json) -> None:
        layers = config["layers"]
        self.names = new_names(layers)
        self.steps = {name_of(each): self._unconnected(each) for each in layers}
        self.first = self._first_calls([config["output_layers"], *(each["inbound_nodes"] for each in layers)])

    def _unconnected(self, entry: Json) -> list[Json]:
        """The Keras 3 layers for one layer; none for an operator, which is created when its arguments are known."""
        return [] if class_of(entry) in OPERATORS else _steps(entry, self.names[name_of(entry)])

    def _first_calls(self, uses: Any) -> dict[str, int]:
        """The number of each layer's first call: the least number in use, because every saved call is used."""
        first: dict[str, int] = {}
        for name, call in self._uses(uses):
            first[name] = min(call, first.get(name, call))
        return first

    def _uses(self, value: Any) -> Iterator[tuple[str, int]]:
        if self._is_tensor(value):
            yield value[0], value[1]
        if isinstance(value, list | dict):
            for each in value.values() if isinstance(value, dict) else value:
                yield from self._uses(each)

    def _is_tensor(self, value: Any) -> bool:
        """Whether this is [layer, call, output], with or without the call's other arguments."""
        return (
            isinstance(value, list)
            and len(value) in (3, 4)
            and isinstance(value[0], str)
            and value[0] in self.steps
            and all(isinstance(each, int) for each in value[1:3])
        )

    def history(self, tensor: Any) -> list[Any]:
        """[layer, call, output] in Keras 3's numbering."""
        name, call, output = tensor[:3]
        if name not in self.steps:
            raise BundleError(f"its graph names a layer {name} that it does not hold. Copy or save it again.")
        last = self.steps[name][-1]["name"] if self.steps[name] else self.names[name]
        return [last, call - self.first.get(name, call), output]

    def described(self, value: Any) -> Any:
        """An argument with its tensors in Keras 3's description."""
        if self._is_tensor(value):
            return _tensor(self.history(value))
        if isinstance(value, list):
            return value[2] if value[:1] == [CONSTANT] else [self.described(each) for each in value]
        if isinstance(value, dict) and "class_name" not in value:
            return {key: self.described(each) for key, each in value.items()}
        return plain(value)

    def connected(self, entry: Json) -> list[Json]:
        """The Keras 3 layers for one layer, each with its calls."""
        calls = [self._arguments(node, entry) for node in entry["inbound_nodes"]]
        name = name_of(entry)
        if class_of(entry) not in OPERATORS:
            return _chain(self.steps[name], [{"args": [first], "kwargs": others} for first, others in calls])
        if len(calls) != 1:
            raise BundleError(f"its operator {name} has {len(calls)} calls instead of one. {WAY_OUT}")
        first, others = calls[0]
        if class_of(entry) == "TensorFlowOpLayer":
            call = call_of_node(entry["config"], first, name)
        else:
            call = call_of(entry["config"]["function"], first, others)
        return _chain(_operator(call, self.names[name]), [{"args": list(call.inputs), "kwargs": {}}])

    def _arguments(self, node: Any, entry: Json) -> tuple[Any, Json]:
        """The first argument of a call, a tensor or a list of tensors, and the other arguments by name."""
        if not isinstance(node, list):
            raise BundleError(f"its layer {name_of(entry)} is called with names for its inputs. {WAY_OUT}")
        single = not isinstance(node[0], list)
        parts = [node] if single else node
        first = [self.described(each) for each in parts]
        others = parts[0][3] if len(parts[0]) > 3 else {}
        whole_list = class_of(entry) in OPERATORS and not single
        return (
            first if whole_list else _few(first),
            {key: self.described(each) for key, each in others.items() if each is not None},
        )


def _operator(call: OperatorCall, name: str) -> list[Json]:
    """An operator in Keras 3's description, and the layers that follow it; the last one has the name."""
    names = [f"{name}_{number}" for number in range(len(call.following))] + [name]
    steps = [{"module": call.module, "class_name": call.kind, "config": call.options, "registered_name": None}]
    return [
        step | {"name": own, "config": step["config"] | {"name": own}}
        for step, own in zip([*steps, *call.following], names, strict=True)
    ]


def _chain(steps: Sequence[Json], nodes: list[Json]) -> list[Json]:
    """A chain of layers: `nodes` gives the first one's input, each later one takes the output before it."""
    chained = []
    for step in steps:
        chained.append(step | {"inbound_nodes": nodes})
        nodes = [{"args": [_tensor([step["name"], call, 0])], "kwargs": {}} for call in range(len(nodes))]
    return chained


def _tensor(history: list[Any]) -> Json:
    return {"class_name": "__keras_tensor__", "config": {"shape": [], "dtype": "float32", "keras_history": history}}

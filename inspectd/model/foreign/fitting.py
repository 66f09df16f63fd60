"""Converts a network from elsewhere to the form that bundles need; it computes the same.

The result has one input and one output, float32 weights, names that TensorFlow accepts, and its activation in its last
layer.
"""

import re
from pathlib import Path
from typing import Any

from inspectd.errors import BundleError
from inspectd.model.engine.backend import keras
from inspectd.model.surgery import inner_layers, parts

OTHER_FLOATS = {"float16", "bfloat16", "float64"}
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]")  # not allowed in the name of a TensorFlow scope


def fitted(network: Any, path: Path) -> Any:
    """The network of the file `path` in that form.

    Raises:
        BundleError: it has several inputs or outputs.
    """
    network = _without_lists(_in_single_precision(network), path)
    _name_plainly(network)
    return _with_activation_last(network)


def _in_single_precision(network: Any) -> Any:
    """The same network with float32 weights, which every layer of a bundle has in every precision."""
    if not {weight.dtype for weight in network.weights} & OTHER_FLOATS:
        return network
    found = keras.saving.deserialize_keras_object(_single(keras.saving.serialize_keras_object(network)), safe_mode=True)
    found.set_weights(network.get_weights())
    return found


def _single(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _single(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_single(each) for each in value]
    return "float32" if isinstance(value, str) and value in OTHER_FLOATS else value


def _without_lists(network: Any, path: Path) -> Any:
    """The same network with a single tensor as input and output, if it has lists of one, as files of Keras 2 can.

    Raises:
        BundleError: it has several inputs or outputs.
    """
    if isinstance(network, keras.Sequential) or not hasattr(network, "inputs"):
        return network
    if len(network.inputs) > 1:
        names = ", ".join(each.name for each in network.inputs)
        raise BundleError(f"{path} takes {len(network.inputs)} inputs ({names}). inspectd gives a network one image.")
    if len(network.outputs) > 1:
        raise BundleError(
            f"{path} gives {len(network.outputs)} outputs ({', '.join(network.output_names)}), and inspectd needs one "
            "row of numbers for an image. Save it with the one that decides: `keras.Model(model.input, "
            f"model.get_layer('{network.output_names[0]}').output).save('model.keras')`."
        )
    return keras.Model(network.inputs[0], network.outputs[0], name=network.name)


def _name_plainly(network: Any) -> None:
    """Removes characters from names that TensorFlow does not allow, such as spaces, colons and umlauts."""
    named = {id(each): each for each in (network, *inner_layers(network), *parts(network))}.values()
    names = {each.name for each in named}
    for each in named:
        plain = _UNUSUAL.sub("_", each.name)
        plain = plain if plain[0].isalnum() or each is not network else f"network{plain}"
        if plain != each.name:
            while plain in names:
                plain += "_"
            names.add(plain)
            each.name = plain


def _with_activation_last(network: Any) -> Any:
    """The same network with its activation in a layer at its end.

    Softmax and sigmoid can be operators of the graph. A global pooling can follow them: the maximum of probabilities is
    the probability of the maximal score, and pooled logits are logits.
    """
    outputs = getattr(network, "outputs", None)
    if not outputs:
        return network
    last = outputs[0]._keras_history.operation
    name = type(last).__name__.lower()
    if name in ("softmax", "sigmoid") and not isinstance(last, keras.layers.Layer):
        return _ending(network, last.input, name) if getattr(last, "axis", -1) in (-1, 1) else network
    if not isinstance(last, keras.layers.GlobalMaxPooling2D | keras.layers.GlobalAveragePooling2D):
        return network
    scores = last.input._keras_history.operation
    found = getattr(getattr(scores, "activation", None), "__name__", None)
    if found == "sigmoid" and isinstance(last, keras.layers.GlobalMaxPooling2D) and _has_one_use(scores):
        scores.activation = keras.activations.linear
        return _ending(network, network.output, "sigmoid")
    return _ending(network, network.output, "linear") if found == "linear" else network


def _ending(network: Any, output: Any, activation: str) -> Any:
    last = keras.layers.Activation(activation, dtype="float32", name="decision_activation")
    return keras.Model(network.input, last(output), name=network.name)


def _has_one_use(layer: Any) -> bool:
    return len(layer._inbound_nodes) == 1 and len(layer._outbound_nodes) == 1

"""The networks that every server is measured with, as ONNX made here: random weights by a fixed seed, a free batch.

    mlp      30 -> 64 -> 2 with softmax: the network costs nothing, so the server is what is measured
    cnn      1 x 28 x 28 -> 10, about 2 million multiplications: the network costs as much as the server
    wide     64 -> 512 -> 512 -> 8: the fourth in mixed traffic
    encoder  a transformer of MiniLM's shape, 6 layers, 384 wide, 12 heads, on 64 tokens: the network costs everything

They stand in `.cache/bench/networks/<name>.onnx`; `repository(names)` lays some of them out as a model repository.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CACHE = Path(__file__).parents[1] / ".cache" / "bench"
OPSET = 20
WIDTH, HEADS, LAYERS, TOKENS = 384, 12, 6, 64
VOCABULARY = 2048
"""A small one, which costs the same to look up and keeps the file at its layers' 43 MB."""


class Graph:
    """Nodes and weights of a network in the making; each method adds a layer and returns the name of its output."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Any operator with one output."""
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        """An initializer."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def random(self, *shape: int, incoming: int) -> str:
        """Weights whose layer keeps the size of what comes in."""
        return self.constant(self._random.normal(0, incoming**-0.5, shape).astype(np.float32))

    def linear(self, rows: str, incoming: int, outgoing: int) -> str:
        """(..., incoming) -> (..., outgoing)."""
        weights, bias = self.random(incoming, outgoing, incoming=incoming), self.random(outgoing, incoming=outgoing)
        return self.node("Add", self.node("MatMul", rows, weights), bias)

    def convolution(self, images: str, incoming: int, outgoing: int) -> str:
        """(batch, incoming, height, width) -> (batch, outgoing, height / 2, width / 2), after ReLU and pooling."""
        weights = self.random(outgoing, incoming, 3, 3, incoming=9 * incoming)
        convolved = self.node("Conv", images, weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        return self.node("MaxPool", self.node("Relu", convolved), kernel_shape=[2, 2], strides=[2, 2])

    def norm(self, tokens: str) -> str:
        """Layer normalisation of (batch, tokens, WIDTH)."""
        scale, shift = self.constant(np.ones(WIDTH, np.float32)), self.constant(np.zeros(WIDTH, np.float32))
        return self.node("LayerNormalization", tokens, scale, shift, axis=-1)

    def heads(self, tokens: str, order: list[int]) -> str:
        """(batch, tokens, WIDTH) -> (batch, heads, tokens, WIDTH / heads), or its last two axes swapped."""
        shape = self.constant(np.array([0, TOKENS, HEADS, WIDTH // HEADS], np.int64))
        return self.node("Transpose", self.node("Reshape", tokens, shape), perm=order)

    def attention(self, tokens: str) -> str:
        """(batch, tokens, WIDTH) -> the same: every token looks at all."""
        query = self.heads(self.linear(tokens, WIDTH, WIDTH), [0, 2, 1, 3])
        key = self.heads(self.linear(tokens, WIDTH, WIDTH), [0, 2, 3, 1])
        value = self.heads(self.linear(tokens, WIDTH, WIDTH), [0, 2, 1, 3])
        scale = self.constant(np.array((WIDTH / HEADS) ** -0.5, np.float32))
        weights = self.node("Softmax", self.node("Mul", self.node("MatMul", query, key), scale), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", weights, value), perm=[0, 2, 1, 3])
        joined = self.node("Reshape", mixed, self.constant(np.array([0, TOKENS, WIDTH], np.int64)))
        return self.linear(joined, WIDTH, WIDTH)

    def encoder_layer(self, tokens: str) -> str:
        """Attention and a feed-forward part, each added to what came in and normalised."""
        attended = self.norm(self.node("Add", tokens, self.attention(tokens)))
        inner = self.node("Gelu", self.linear(attended, WIDTH, 4 * WIDTH))
        return self.norm(self.node("Add", attended, self.linear(inner, 4 * WIDTH, WIDTH)))

    def save(self, place: Path, takes: onnx.ValueInfoProto, gives: onnx.ValueInfoProto) -> None:
        """Write the network; the last node's output becomes `gives`."""
        self.nodes[-1].output[0] = gives.name
        graph = helper.make_graph(self.nodes, place.stem, [takes], [gives], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(model)
        part = place.with_suffix(".part")
        part.write_bytes(model.SerializeToString())
        part.rename(place)


def mlp(place: Path) -> None:
    """features (batch, 30) -> probabilities (batch, 2)."""
    graph = Graph(seed=1)
    hidden = graph.node("Relu", graph.linear("features", 30, 64))
    graph.node("Softmax", graph.linear(hidden, 64, 2), axis=-1)
    graph.save(place, floats("features", 30), floats("probabilities", 2))


def cnn(place: Path) -> None:
    """image (batch, 1, 28, 28) -> logits (batch, 10)."""
    graph = Graph(seed=2)
    features = graph.convolution(graph.convolution("image", 1, 16), 16, 32)  # (batch, 32, 7, 7)
    graph.linear(graph.node("Flatten", features), 32 * 7 * 7, 10)
    graph.save(place, floats("image", 1, 28, 28), floats("logits", 10))


def wide(place: Path) -> None:
    """features (batch, 64) -> scores (batch, 8)."""
    graph = Graph(seed=3)
    hidden = graph.node("Relu", graph.linear("features", 64, 512))
    graph.linear(graph.node("Relu", graph.linear(hidden, 512, 512)), 512, 8)
    graph.save(place, floats("features", 64), floats("scores", 8))


def encoder(place: Path) -> None:
    """tokens (batch, 64) of whole numbers -> embedding (batch, 384), the mean over the tokens."""
    graph = Graph(seed=4)
    words = graph.node("Gather", graph.random(VOCABULARY, WIDTH, incoming=1), "tokens")  # (batch, tokens, WIDTH)
    tokens = graph.norm(graph.node("Add", words, graph.random(TOKENS, WIDTH, incoming=1)))
    for _ in range(LAYERS):
        tokens = graph.encoder_layer(tokens)
    graph.node("ReduceMean", tokens, graph.constant(np.array([1], np.int64)), keepdims=0)
    takes = helper.make_tensor_value_info("tokens", TensorProto.INT64, ("batch", TOKENS))
    graph.save(place, takes, floats("embedding", WIDTH))


def floats(name: str, *shape: int) -> onnx.ValueInfoProto:
    """A float tensor with a free batch axis in front of `shape`."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", *shape))


NETWORKS: dict[str, Callable[[Path], None]] = {"mlp": mlp, "cnn": cnn, "wide": wide, "encoder": encoder}


def network(name: str) -> Path:
    """The file of a network; made first if it is not there."""
    place = CACHE / "networks" / f"{name}.onnx"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        NETWORKS[name](place)
    return place


def repository(names: Sequence[str]) -> Path:
    """A model repository of these networks: <name>/1/model.onnx, each a copy."""
    folder = CACHE / "repositories" / "-".join(names)
    for name in names:
        place = folder / name / "1" / "model.onnx"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        shutil.copyfile(network(name), place)
    return folder

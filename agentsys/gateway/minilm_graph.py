"""all-MiniLM-L6-v2 as a graph of few operators, made of the weights in the package's graph.

That one makes floats of its weights (`float(bytes) * scale`) and multiplies those, in many small steps. Here
they are multiplied as the bytes that they are, by `MatMulNBits` of onnxruntime, which makes bytes of the
states on the way, by blocks of `BLOCK` numbers that share a scale; query, key and value are one product, and
attention is one operator. A layer's norm stays by itself: `SkipLayerNormalization` takes five times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LAYERS, HEADS = 6, 12
BLOCK = 64  # finer blocks lose less and take longer
STATES_AS_BYTES = 4  # an `accuracy_level` of MatMulNBits
EPSILON = 1e-12  # of layer norms
IR_VERSION, OPSET = 9, 18
FUSED = "com.microsoft"  # the domain of onnxruntime's own operators
WORDS, PLACES = "inner.embeddings.word_embeddings", "inner.embeddings.position_embeddings"
SEGMENTS = "inner.embeddings.token_type_embeddings.weight"

Array = npt.NDArray[Any]


def in_few_operators(model: bytes) -> bytes:
    """The package's model, rewritten. Takes `input_ids` and `attention_mask`, int64 of shape (texts,
    tokens), and gives `states`, float32 of shape (texts, tokens, 384)."""
    import onnx
    from onnx import TensorProto, helper

    made = _Graph(onnx.load_from_string(model).graph)
    states = made.norm(made.embeddings(), "inner.embeddings.LayerNorm")
    mask = made.node("Cast", ["attention_mask"], to=TensorProto.INT32)
    for n in range(LAYERS):
        states = _layer(made, f"inner.encoder.layer.{n}", states, mask)
    made.node("Identity", [states], named="states")
    shape = ["texts", "tokens"]
    graph = helper.make_graph(
        made.nodes,
        "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("states", TensorProto.FLOAT, [*shape, made.width])],
        made.weights,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
    built = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return bytes(built.SerializeToString())


def _layer(made: _Graph, name: str, states: str, mask: str) -> str:
    """A layer of BERT (Devlin et al. 2018): attention, then two products with GELU between them, each
    added to what went in."""
    asked = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
    parts = made.split(made.product(states, asked), len(asked))
    seen = made.node("MultiHeadAttention", [*parts, "", mask], domain=FUSED, num_heads=HEADS)
    told = made.product(seen, [f"{name}.attention.output.dense"])
    states = made.norm(made.node("Add", [told, states]), f"{name}.attention.output.LayerNorm")
    wide = made.product(states, [f"{name}.intermediate.dense"], biased=False)
    bent = made.node(
        "BiasGelu", [wide, made.given(f"{name}.intermediate.dense.bias")], domain=FUSED
    )
    narrow = made.product(bent, [f"{name}.output.dense"])
    return made.norm(made.node("Add", [narrow, states]), f"{name}.output.LayerNorm")


class _Graph:
    """Nodes and weights of the graph that is made. Each method returns the name of what it adds."""

    def __init__(self, package: Any) -> None:
        self._package = {each.name: each for each in package.initializer}
        multiplied = {n.output[0]: n.input[1] for n in package.node if n.op_type == "MatMul"}
        self._weight_by_bias = {
            node.input[1]: multiplied[node.input[0]]
            for node in package.node
            if node.op_type == "Add" and node.input[0] in multiplied
        }
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.width = self._array(SEGMENTS).shape[1]

    def node(self, operator: str, inputs: list[str], *, named: str = "", **given: Any) -> str:
        from onnx import helper

        name = named or f"{operator}-{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **given))
        return name

    def split(self, states: str, parts: int) -> list[str]:
        from onnx import helper

        names = [f"{states}-{part}" for part in range(parts)]
        self.nodes.append(helper.make_node("Split", [states], names, axis=-1, num_outputs=parts))
        return names

    def weight(self, values: Array) -> str:
        from onnx import numpy_helper

        name = f"weight-{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def given(self, name: str) -> str:
        return self.weight(self._array(name))

    def norm(self, states: str, name: str) -> str:
        given = [self.given(f"{name}.weight"), self.given(f"{name}.bias")]
        return self.node("LayerNormalization", [states, *given], axis=-1, epsilon=EPSILON)

    def embeddings(self) -> str:
        """Of the words and their places; all are of the first segment."""
        from onnx import TensorProto

        rows = self.node("Gather", [self.given(f"{WORDS}.weight_q"), "input_ids"])
        scales = self.node("Gather", [self.given(f"{WORDS}.weight_scale"), "input_ids"])
        words = self.node("Mul", [self.node("Cast", [rows], to=TensorProto.FLOAT), scales])
        places = self._array(f"{PLACES}.weight_q") * self._array(f"{PLACES}.weight_scale")
        length = self.node("Shape", ["input_ids"], start=1, end=2)
        first = self.weight(np.array([0], np.int64))
        offsets = self.weight(places + self._array(SEGMENTS)[0])
        return self.node("Add", [words, self.node("Slice", [offsets, first, length])])

    def product(self, states: str, names: list[str], *, biased: bool = True) -> str:
        """With the weights of those names side by side. Their bytes are -127 to 127; here 128 is nought."""
        found = [self._weight_by_bias[f"{name}.bias"] for name in names]
        weight = np.concatenate([self._array(f"{one}_q") for one in found], axis=1)
        scale = np.concatenate([self._array(f"{one}_scale").reshape(-1) for one in found])
        inner, outer = weight.shape
        above = (weight.T.astype(np.int16) + 128).astype(np.uint8)
        inputs = [
            states,
            self.weight(above.reshape(outer, -1, BLOCK)),
            self.weight(np.repeat(scale, inner // BLOCK)),
        ]
        if biased:
            bias = np.concatenate([self._array(f"{name}.bias") for name in names])
            inputs += ["", "", self.weight(bias)]
        return self.node(
            "MatMulNBits",
            inputs,
            domain=FUSED,
            K=inner,
            N=outer,
            bits=8,
            block_size=BLOCK,
            accuracy_level=STATES_AS_BYTES,
        )

    def _array(self, name: str) -> Array:
        from onnx import numpy_helper

        found: Array = numpy_helper.to_array(self._package[name])
        return found

#!/usr/bin/env python3
"""Measure onnxruntime on the weights and texts of `embed.rs`, for the ratio in docs/BENCHMARKS.md.

The ONNX graph is built here from model.safetensors, so that both engines run the same numbers
without torch. Needs: pip install numpy onnx onnxruntime safetensors tokenizers.
Reads COMMANDCENTER_MODEL_DIR and COMMANDCENTER_CORPORA, prints the same lines as embed.rs.

With --reference it prints instead the stored vectors of tests/it/embed/reference.json.
"""

import json
import os
import pathlib
import statistics
import sys
import time

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HEADS, WIDTH, LAYERS, EPSILON = 12, 384, 6, 1e-12
HEAD_WIDTH = WIDTH // HEADS
TOKENS_MAX = 256
BATCH = 32
DOCUMENTS = 128
QUERIES = 64
# The best of these counts: the others were disturbed by whatever else ran.
SAMPLES = 8

REFERENCE_TEXTS = [
    "That is a happy person",
    "That is a happy dog",
    "That is a very happy person",
    "Today is a sunny day",
    "CommandCenter keeps each project's containers running.",
    "Ünïcödé, 中文 and\ttabs — all in ONE line!",
    "",
]


class Graph:
    """Collects nodes and weights; every method returns the name of its output."""

    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def op(self, kind, *inputs, **attributes):
        self.count += 1
        name = f"{kind}_{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def const(self, array):
        self.count += 1
        name = f"const_{self.count}"
        self.weights.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name


def build(weights):
    """The BERT encoder with mean pooling and normalisation, opset 17."""
    g = Graph()
    f32 = lambda x: g.const(np.float32(x))
    ints = lambda *x: g.const(np.array(x, np.int64))

    def linear(x, name):
        product = g.op("MatMul", x, g.const(weights[f"{name}.weight"].T))
        return g.op("Add", product, g.const(weights[f"{name}.bias"]))

    def norm(x, name):
        scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return g.op("LayerNormalization", x, g.const(scale), g.const(shift), epsilon=EPSILON)

    def heads(x, order):
        split = g.op("Reshape", x, ints(0, 0, HEADS, HEAD_WIDTH))
        return g.op("Transpose", split, perm=order)

    words = g.op("Gather", g.const(weights["embeddings.word_embeddings.weight"]), "ids")
    length = g.op("Gather", g.op("Shape", "ids"), g.const(np.int64(1)))
    span = g.op("Unsqueeze", length, ints(0))
    positions = g.op(
        "Slice", g.const(weights["embeddings.position_embeddings.weight"]), ints(0), span, ints(0)
    )
    kinds = g.const(weights["embeddings.token_type_embeddings.weight"][0])
    x = norm(g.op("Add", g.op("Add", words, positions), kinds), "embeddings.LayerNorm")

    mask = g.op("Cast", "mask", to=TensorProto.FLOAT)
    closed = g.op("Mul", g.op("Sub", f32(1), mask), f32(-1e9))
    closed = g.op("Unsqueeze", closed, ints(1, 2))
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        q = heads(linear(x, f"{at}.attention.self.query"), [0, 2, 1, 3])
        k = heads(linear(x, f"{at}.attention.self.key"), [0, 2, 3, 1])
        v = heads(linear(x, f"{at}.attention.self.value"), [0, 2, 1, 3])
        scores = g.op("Mul", g.op("MatMul", q, k), f32(HEAD_WIDTH**-0.5))
        share = g.op("Softmax", g.op("Add", scores, closed), axis=-1)
        mixed = g.op("Transpose", g.op("MatMul", share, v), perm=[0, 2, 1, 3])
        mixed = g.op("Reshape", mixed, ints(0, 0, WIDTH))
        mixed = linear(mixed, f"{at}.attention.output.dense")
        x = norm(g.op("Add", mixed, x), f"{at}.attention.output.LayerNorm")
        wide = linear(x, f"{at}.intermediate.dense")
        erf = g.op("Erf", g.op("Div", wide, f32(2**0.5)))
        gelu = g.op("Mul", g.op("Mul", wide, g.op("Add", erf, f32(1))), f32(0.5))
        x = norm(g.op("Add", linear(gelu, f"{at}.output.dense"), x), f"{at}.output.LayerNorm")

    open_ = g.op("Unsqueeze", mask, ints(2))
    total = g.op("ReduceSum", g.op("Mul", x, open_), ints(1), keepdims=0)
    mean = g.op("Div", total, g.op("ReduceSum", open_, ints(1), keepdims=0))
    norm_l2 = g.op("ReduceL2", mean, axes=[1], keepdims=1)
    g.nodes.append(helper.make_node("Div", [mean, norm_l2], ["vectors"]))

    graph = helper.make_graph(
        g.nodes,
        "minilm",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "t"]) for n in ("ids", "mask")],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["b", WIDTH])],
        g.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Engine:
    """onnxruntime with its default graph optimisations."""

    def __init__(self, model, tokenizer, threads):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokenizer

    def embed(self, texts):
        """Tokenise, sort by length, pad within batches of BATCH, run, and restore the order."""
        encoded = [e.ids for e in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        vectors = np.empty((len(texts), WIDTH), np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            longest = max(len(encoded[i]) for i in rows)
            ids = np.zeros((len(rows), longest), np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(rows):
                ids[row, : len(encoded[i])] = encoded[i]
                mask[row, : len(encoded[i])] = 1
            vectors[rows] = self.session.run(None, {"ids": ids, "mask": mask})[0]
        return vectors


def cranfield():
    """The first abstracts and queries of the Cranfield collection."""
    root = pathlib.Path(os.environ["COMMANDCENTER_CORPORA"]) / "retrieval" / "cranfield"
    records = (root / "cran.all.1400").read_text().split("\n.W\n")[1:]
    documents = [" ".join(r.split("\n.I ")[0].split()) for r in records]
    lines = (root / "queries-odd.tsv").read_text().splitlines()
    queries = [line.split("\t", 1)[1] for line in lines]
    return [d for d in documents if d][:DOCUMENTS], queries[:QUERIES]


def measure(model, tokenizer):
    documents, queries = cranfield()
    for threads in (1, 2):
        engine = Engine(model, tokenizer, threads)
        engine.embed(documents[:BATCH])
        rate = max(len(documents) / seconds(engine, documents) for _ in range(SAMPLES))
        best = [min(seconds(engine, [query]) for _ in range(SAMPLES)) for query in queries]
        print(
            f"onnxruntime {ort.__version__}, {threads} thread(s): "
            f"{rate:.1f} documents/s, {1e3 * statistics.mean(best):.2f} ms per query"
        )


def seconds(engine, texts):
    start = time.perf_counter()
    engine.embed(texts)
    return time.perf_counter() - start


def reference(model, tokenizer):
    vectors = Engine(model, tokenizer, 1).embed(REFERENCE_TEXTS)
    texts = [
        {"text": t, "tokens": len(tokenizer.encode(t).ids), "head": [round(float(x), 6) for x in v[:8]]}
        for t, v in zip(REFERENCE_TEXTS, vectors)
    ]
    similarities = [round(float(vectors[0] @ v), 4) for v in vectors[1:4]]
    print(json.dumps({"similarities": similarities, "texts": texts}, ensure_ascii=False, indent=1))


def main():
    folder = pathlib.Path(os.environ["COMMANDCENTER_MODEL_DIR"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(TOKENS_MAX)
    model = build(load_file(folder / "model.safetensors")).SerializeToString()
    (reference if "--reference" in sys.argv else measure)(model, tokenizer)


if __name__ == "__main__":
    main()

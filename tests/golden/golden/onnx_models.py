"""ONNX files: converted scikit-learn models and graphs built by hand; values by ONNX Runtime."""

import numpy as np

from . import data as D
from .rows import sample
from .store import plain

try:
    import onnx
    import onnxruntime as ort
    import skl2onnx
except ImportError:
    onnx = None

TOL = 1e-6


def load(path):
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


def build(g):
    if onnx is None:
        return
    converted(g)
    by_hand(g)


def raw_values(session, X):
    """Every output by name; predict and predict_proba by the usual output names."""
    X = np.asarray(X, dtype=np.float64 if session.get_inputs()[0].type == "tensor(double)" else np.float32)
    names = [o.name for o in session.get_outputs()]
    outputs = {}
    for name, value in zip(names, session.run(None, {session.get_inputs()[0].name: X})):
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = [[float(v) for _, v in sorted(row.items())] for row in value]
        outputs[name] = plain(np.asarray(value))
    first = outputs[names[0]]
    proba = outputs[names[1]] if len(names) > 1 else None
    return {"predict": first, "predict_proba": proba, "decision_function": None, "outputs": outputs}


def put(g, name, model, inputs, notes, task, classes=None, cls="onnx", tol=TOL):
    def dump(path):
        with open(path + ".onnx", "wb") as f:
            f.write(model.SerializeToString(deterministic=True))
        return "onnx"

    if not g.wanted(name):
        return
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    extra = {"class": cls, "classes": classes, "n_features": inputs.shape[1],
             "schema": {"inputs": [[i.name, i.type, i.shape] for i in session.get_inputs()],
                        "outputs": [[o.name, o.type, o.shape] for o in session.get_outputs()]}}
    g.write(name, session, inputs, tol, notes, task=task, dump=dump, library="onnxruntime", extra=extra)
    g.done[-1] = (name, cls, *g.done[-1][2:])


def converted(g):
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = D.iris()
    rows = sample(X, n=18).astype(np.float32).astype(np.float64)
    lr = LogisticRegression(max_iter=300)
    models = {
        "rf": RandomForestClassifier(n_estimators=10, max_depth=4, random_state=0).fit(X, y),
        "lr": lr.fit(X, y),
        "pipe": make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(X, y),
    }
    for name, est in models.items():
        for zipmap in (False, True):
            # id(est) of the options goes stale between loops, so the class is the key for pipelines' last step.
            key = est.steps[-1][1] if hasattr(est, "steps") else est
            model = skl2onnx.to_onnx(est, X[:1].astype(np.float32), options={id(key): {"zipmap": zipmap}},
                                     naming="", target_opset=17)
            put(g, f"onnx_{name}_{'zipmap' if zipmap else 'tensor'}", fixed(model), rows,
                "probabilities are a sequence of maps" if zipmap else "", "classifier", [0, 1, 2],
                cls=type(est).__name__)
    named = RandomForestClassifier(n_estimators=5, max_depth=3, random_state=0).fit(*D.iris_named())
    model = skl2onnx.to_onnx(named, X[:1].astype(np.float32), options={id(named): {"zipmap": False}}, target_opset=17)
    put(g, "onnx_rf_strings", fixed(model), rows, "string labels", "classifier", plain(named.classes_),
        cls="RandomForestClassifier")
    reg = RandomForestRegressor(n_estimators=5, max_depth=3, random_state=0).fit(*D.diabetes())
    model = skl2onnx.to_onnx(reg, D.diabetes()[0][:1].astype(np.float32), target_opset=17)
    put(g, "onnx_rf_reg", fixed(model), sample(D.diabetes()[0], n=8), "", "regressor", cls="RandomForestRegressor")


def fixed(model):
    """The graph's generated name differs from run to run."""
    model.graph.name = "golden"
    return model


def by_hand(g):
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.RandomState(3)
    w = [rng.randn(*s).astype(np.float32).round(3) for s in ((4, 5), (5,), (5, 3), (3,))]
    init = [numpy_helper.from_array(a, n) for a, n in zip(w, ("w0", "b0", "w1", "b1"))]
    nodes = [helper.make_node("Gemm", ["x", "w0", "b0"], ["h0"]), helper.make_node("Relu", ["h0"], ["h1"]),
             helper.make_node("Gemm", ["h1", "w1", "b1"], ["h2"]), helper.make_node("Softmax", ["h2"], ["y"], axis=-1)]
    rows = sample(D.iris()[0], n=12)
    for name, kind, dtype in (("onnx_mlp", TensorProto.FLOAT, np.float32), ("onnx_mlp_double", TensorProto.DOUBLE,
                                                                         np.float64)):
        weights = [numpy_helper.from_array(numpy_helper.to_array(i).astype(dtype), i.name) for i in init]
        graph = helper.make_graph(nodes, "golden", [helper.make_tensor_value_info("x", kind, [None, 4])],
                                  [helper.make_tensor_value_info("y", kind, [None, 3])], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        put(g, name, model, rows, "one output: softmax of a small network", "regressor", cls="onnx")

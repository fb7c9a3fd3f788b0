"""Models of real class names with hostile state, and controls that must be accepted."""

import struct

from asm import (NONE, array, boolean, bts, dct, dtype, f8, file, glob, i8, lst, num, obj, objects, record, reduce, s,
                 tup, u1)

NODE = {"left_child": ("i8", 0), "right_child": ("i8", 8), "feature": ("i8", 16), "threshold": ("f8", 24),
        "impurity": ("f8", 32), "n_node_samples": ("i8", 40), "weighted_n_node_samples": ("f8", 48),
        "missing_go_to_left": ("u1", 56)}
GOOD_NODES = [(1, 2, 0, 0.5), (-1, -1, -2, -2.0), (3, 4, 1, 1.5), (-1, -1, -2, -2.0), (-1, -1, -2, -2.0)]
GOOD_VALUES = [0.5, 0.5, 1.0, 0.0, 0.25, 0.75, 0.0, 1.0, 1.0, 0.0]


def tree(nodes=GOOD_NODES, values=GOOD_VALUES, shape=None, node_dtype=None, n_features=2, n_classes=(2,), n_outputs=1,
         node_count=None, **replaced):
    node_dtype = node_dtype or record(64, {k: (dtype(c), o) for k, (c, o) in NODE.items()})
    raw = b"".join(struct.pack("<qqqddqdBxxxxxxx", left, right, feat, thr, 0.5, 10, 10.0, 0)
                   for left, right, feat, thr in nodes)
    values = f8(shape or (len(nodes), n_outputs, len(values) // max(1, len(nodes) * n_outputs)), *values)
    state = dict(max_depth=num(2), node_count=num(len(nodes) if node_count is None else node_count),
                 nodes=array(node_dtype, (len(nodes),), bts(raw)), values=values)
    state.update(replaced)
    return (glob("sklearn.tree._tree.Tree") + tup(num(n_features), i8((len(n_classes),), *n_classes), num(n_outputs))
            + b"R" + dct(**{k: v for k, v in state.items() if v is not None}) + b"b")


def decision_tree(**changes):
    state = dict(tree_=tree(), n_features_in_=num(2), n_classes_=num(2), n_outputs_=num(1), max_features_=num(2),
                 classes_=i8((2,), 0, 1), criterion=s("gini"), splitter=s("best"), _sklearn_version=s("1.5.2"))
    state.update(changes)
    return obj("sklearn.tree._classes.DecisionTreeClassifier", **{k: v for k, v in state.items() if v is not None})


def forest(*trees, **changes):
    state = dict(estimators_=lst(*trees), n_features_in_=num(2), n_classes_=num(2), n_outputs_=num(1),
                 classes_=i8((2,), 0, 1), n_estimators=num(len(trees)), _sklearn_version=s("1.5.2"))
    state.update(changes)
    return obj("sklearn.ensemble._forest.RandomForestClassifier", **state)


def logistic(**changes):
    state = dict(coef_=f8((1, 2), 0.5, -0.25), intercept_=f8((1,), 0.125), classes_=i8((2,), 0, 1),
                 n_features_in_=num(2), multi_class=s("deprecated"), penalty=s("l2"), solver=s("lbfgs"),
                 _sklearn_version=s("1.5.2"))
    state.update(changes)
    return obj("sklearn.linear_model._logistic.LogisticRegression", **{k: v for k, v in state.items() if v is not None})


def scaler(**changes):
    state = dict(mean_=f8((2,), 1.0, 2.0), scale_=f8((2,), 1.0, 2.0), var_=f8((2,), 1.0, 4.0), with_mean=boolean(True),
                 with_std=boolean(True), n_features_in_=num(2), _sklearn_version=s("1.5.2"))
    state.update(changes)
    return obj("sklearn.preprocessing._data.StandardScaler", **state)


def pipeline(*steps):
    return obj("sklearn.pipeline.Pipeline", steps=lst(*(tup(s(f"s{i}"), x) for i, x in enumerate(steps))),
               _sklearn_version=s("1.5.2"))


def trees(add):
    add("control_tree.pkl", "ok", "", file(decision_tree()))
    add("control_forest.pkl", "ok", "", file(forest(decision_tree(), decision_tree())))

    def bad(name, **changes):
        add(f"tree_{name}.pkl", "model", "", file(decision_tree(tree_=tree(**changes))))

    def node(i, *row):
        return GOOD_NODES[:i] + [row] + GOOD_NODES[i + 1:]

    bad("cycle_to_itself", nodes=node(0, 0, 0, 0, 0.5))
    bad("cycle_to_parent", nodes=node(2, 0, 4, 1, 1.5))
    bad("shared_child", nodes=node(2, 1, 4, 1, 1.5))
    bad("child_beyond_end", nodes=node(2, 3, 5, 1, 1.5))
    bad("child_2_62", nodes=node(2, 1 << 62, 4, 1, 1.5))
    bad("child_negative", nodes=node(2, -7, 4, 1, 1.5))
    bad("one_child", nodes=node(2, 3, -1, 1, 1.5))
    bad("feature_negative", nodes=node(0, 1, 2, -5, 0.5))
    bad("feature_beyond_width", nodes=node(0, 1, 2, 2, 0.5))
    bad("feature_2_62", nodes=node(0, 1, 2, 1 << 62, 0.5))
    bad("no_nodes", nodes=[], values=[], shape=(0, 1, 2))
    bad("values_too_few", values=GOOD_VALUES[:8], shape=(4, 1, 2))
    bad("values_flat", shape=(10,))
    bad("values_of_other_classes", values=GOOD_VALUES[:5], shape=(5, 1, 1))
    bad("nodes_of_floats", node_dtype=record(64, {k: (dtype("f8"), o) for k, (c, o) in NODE.items() if o < 56}))
    bad("nodes_without_children", node_dtype=record(64, {"feature": (dtype("i8"), 16), "threshold": (dtype("f8"), 24)}))
    bad("node_dtype_plain", node_dtype=dtype("V64", "|"))
    tricks = {
        "state_missing": dict(tree_=glob("sklearn.tree._tree.Tree") + b")R"),
        "is_a_gadget": dict(tree_=reduce(glob("os.system"), s("id"))),
        "is_none": dict(tree_=NONE),
        "absent": dict(tree_=None),
        "is_itself_a_list": dict(tree_=b"]2a"),
        "classes_fewer": dict(classes_=i8((1,), 0)),
        "classes_more": dict(classes_=i8((3,), 0, 1, 2)),
        "classes_self_list": dict(classes_=b"]2a"),
        "classes_gadgets": dict(classes_=objects(glob("os.system"), reduce(glob("os.system"), s("id")))),
        "features_negative": dict(n_features_in_=num(-1)),
        "features_2_40": dict(n_features_in_=num(1 << 40)),
        "features_not_fitted": dict(n_features_in_=None, tree_=None, classes_=None),
        "outputs_huge": dict(n_outputs_=num(1 << 40)),
        "width_disagrees": dict(n_features_in_=num(1)),
    }
    for name, changes in tricks.items():
        add(f"tree_attr_{name}.pkl", "model", "", file(decision_tree(**changes)))
    ok = decision_tree()
    add("forest_empty.pkl", "model", "", file(forest()))
    add("forest_with_gadget.pkl", "model", "", file(forest(ok, reduce(glob("os.system"), s("id")))))
    add("forest_with_bad_tree.pkl", "model", "", file(forest(ok, decision_tree(tree_=tree(nodes=node(2, 0, 4, 1, 1.5))))))
    add("forest_of_forest.pkl", "model", "", file(forest(forest(ok))))
    add("forest_of_itself.pkl", "model", "", file(
        glob("sklearn.ensemble._forest.RandomForestClassifier") + b")\x81q\x00" + dct(
            estimators_=lst(b"h\x00"), n_features_in_=num(2), n_classes_=num(2), n_outputs_=num(1),
            classes_=i8((2,), 0, 1)) + b"b"))
    add("forest_tree_of_other_width.pkl", "model", "", file(forest(ok, decision_tree(
        n_features_in_=num(3), tree_=tree(n_features=3, nodes=node(0, 1, 2, 2, 0.5))))))


def linear(add):
    add("control_logistic.pkl", "ok", "", file(logistic()))
    tricks = {
        "coef_missing": dict(coef_=None),
        "coef_too_wide": dict(coef_=f8((1, 3), 1, 2, 3)),
        "coef_flat_gadget": dict(coef_=reduce(glob("os.system"), s("id"))),
        "coef_text": dict(coef_=array(dtype("U1"), (1, 2), bts(b"a\0\0\0b\0\0\0"))),
        "coef_complex": dict(coef_=array(dtype("c16"), (1, 2), bts(bytes(32)))),
        "coef_objects_itself": dict(coef_=b"]2a"),
        "coef_billion_laughs": dict(coef_=b"]" + b"q\x40" + b"".join(
            b"](h" + u1(0x40 + i) + b"h" + u1(0x40 + i) + b"eq" + u1(0x41 + i) for i in range(60))),
        "coef_zero_by_2_40": dict(coef_=array(dtype("f8"), (0, 1 << 40), bts(b""))),
        "intercept_longer": dict(intercept_=f8((4,), 1, 2, 3, 4)),
        "classes_missing": dict(classes_=None),
        "classes_one": dict(classes_=i8((1,), 0)),
        "classes_2_d": dict(classes_=i8((2, 2), 0, 1, 2, 3)),
        "classes_many": dict(classes_=i8((5,), 0, 1, 2, 3, 4)),
        "features_zero": dict(n_features_in_=num(0)),
    }
    for name, changes in tricks.items():
        add(f"logistic_{name}.pkl", "model", "", file(logistic(**changes)))


def composed(add):
    add("control_pipeline.pkl", "ok", "", file(pipeline(scaler(), logistic())))
    add("pipeline_empty.pkl", "model", "", file(pipeline()))
    add("pipeline_gadget_step.pkl", "model", "", file(pipeline(reduce(glob("os.system"), s("id")), logistic())))
    add("pipeline_gadget_last.pkl", "model", "os.system", file(pipeline(scaler(), reduce(glob("os.system"), s("id")))))
    add("pipeline_of_itself.pkl", "model", "", file(
        glob("sklearn.pipeline.Pipeline") + b")\x81q\x00" + dct(steps=lst(tup(s("a"), b"h\x00"))) + b"b"))
    deep = logistic()
    for _ in range(60):
        deep = pipeline(deep)
    add("pipeline_60_deep.pkl", "model", "", file(deep))
    add("pipeline_scaler_of_other_width.pkl", "model", "", file(pipeline(scaler(
        mean_=f8((3,), 1, 2, 3), scale_=f8((3,), 1, 2, 3)), logistic())))
    add("pipeline_classifier_in_the_middle.pkl", "model", "", file(pipeline(logistic(), scaler(), logistic())))
    fn = obj("sklearn.preprocessing._function_transformer.FunctionTransformer", func=glob("os.system"),
             n_features_in_=num(2))
    add("pipeline_function_transformer.pkl", "model", "FunctionTransformer", file(pipeline(fn, logistic())))
    add("scaler_mean_text.pkl", "model", "", file(pipeline(scaler(mean_=s("x")), logistic())))
    add("vectorizer_callable_tokenizer.pkl", "model", "", file(pipeline(
        obj("sklearn.feature_extraction.text.CountVectorizer", tokenizer=glob("os.system"), vocabulary_=dct(a=num(0)),
            ngram_range=tup(num(1), num(1)), input=s("content"), lowercase=boolean(True)), logistic())))
    for name, why, terms in (("index_negative", "", dct(a=num(0), b=num(-1))), ("index_2_40", "", dct(a=num(0), b=num(1 << 40))),
                             ("index_text", "", dct(a=num(0), b=s("x"))),
                             ("term_twice", "two columns", b"}(" + s("a") + num(0) + s("a") + num(1) + b"u")):
        add(f"vectorizer_{name}.pkl", "model", why, file(pipeline(
            obj("sklearn.feature_extraction.text.CountVectorizer", vocabulary_=terms,
                ngram_range=tup(num(1), num(1)), input=s("content"), analyzer=s("word"), lowercase=boolean(True),
                token_pattern=s(r"(?u)\b\w\w+\b"), encoding=s("utf-8"), decode_error=s("strict"), binary=boolean(False),
                stop_words=NONE, strip_accents=NONE, preprocessor=NONE, tokenizer=NONE), logistic())))
    add("class_of_main.pkl", "model", "__main__", file(obj("__main__.Net", w=f8((1,), 1.0))))
    add("class_with_sklearn_look.pkl", "model", "sklearnx", file(obj("sklearnx.tree.DecisionTreeClassifier", a=num(1))))
    add("class_of_torch_module.pkl", "model", "torch", file(obj("torch.nn.modules.container.Sequential", a=num(1))))
    add("knn_metric_callable.pkl", "model", "", file(obj(
        "sklearn.neighbors._classification.KNeighborsClassifier", metric=glob("os.system"), effective_metric_=glob("os.system"),
        n_neighbors=num(1), _fit_X=f8((2, 2), 1, 2, 3, 4), _y=i8((2,), 0, 1), classes_=i8((2,), 0, 1), n_features_in_=num(2),
        weights=s("uniform"), _fit_method=s("brute"), n_samples_fit_=num(2), outputs_2d_=boolean(False))))
    add("knn_labels_beyond_classes.pkl", "model", "", file(obj(
        "sklearn.neighbors._classification.KNeighborsClassifier", metric=s("minkowski"), effective_metric_=s("euclidean"),
        n_neighbors=num(1), _fit_X=f8((2, 2), 1, 2, 3, 4), _y=i8((2,), 0, 99), classes_=i8((2,), 0, 1), n_features_in_=num(2),
        weights=s("uniform"), _fit_method=s("brute"), n_samples_fit_=num(2), outputs_2d_=boolean(False), p=num(2),
        effective_metric_params_=dct(), metric_params=NONE, leaf_size=num(30))))
    booster = glob("xgboost.core.Booster") + b")\x81" + dct(handle=bts(b"\x00binf" + bytes(100))) + b"b"
    add("xgboost_handle_garbage.pkl", "model", "", file(obj(
        "xgboost.sklearn.XGBClassifier", _Booster=booster, n_classes_=num(2), objective=s("binary:logistic"))))
    add("xgboost_handle_bomb_counts.pkl", "model", "", file(obj(
        "xgboost.sklearn.XGBClassifier", n_classes_=num(2), objective=s("binary:logistic"),
        _Booster=glob("xgboost.core.Booster") + b")\x81" + dct(
            handle=bts(b"{L" + struct.pack(">q", 7) + b"learner[$d#L" + struct.pack(">q", 1 << 61))) + b"b")))
    add("lightgbm_text_garbage.pkl", "model", "", file(obj(
        "lightgbm.sklearn.LGBMClassifier", _n_classes=num(2), _n_features=num(2), _n_features_in=num(2),
        _Booster=glob("lightgbm.basic.Booster") + b")\x81" + dct(handle=s("tree\nversion=v4\nnum_class=1\nTree=0\n")) + b"b")))


def files(add):
    trees(add)
    linear(add)
    composed(add)

"""Hostile XGBoost (JSON, UBJSON) and LightGBM (text) files: a small genuine shape, one lie each."""

import copy
import json
import struct

XGB = {
    "learner": {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {
            "model": {
                "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1"},
                "iteration_indptr": [0, 1],
                "tree_info": [0],
                "trees": [
                    {
                        "base_weights": [0.0, 0.5, -0.5, 0.25, -0.25],
                        "categories": [],
                        "categories_nodes": [],
                        "categories_segments": [],
                        "categories_sizes": [],
                        "default_left": [0, 0, 0, 0, 0],
                        "id": 0,
                        "left_children": [1, -1, 3, -1, -1],
                        "loss_changes": [1.0, 0.0, 1.0, 0.0, 0.0],
                        "parents": [2147483647, 0, 0, 2, 2],
                        "right_children": [2, -1, 4, -1, -1],
                        "split_conditions": [0.5, 0.5, 1.5, 0.25, -0.25],
                        "split_indices": [0, 0, 1, 0, 0],
                        "split_type": [0, 0, 0, 0, 0],
                        "sum_hessian": [4.0, 2.0, 2.0, 1.0, 1.0],
                        "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "5", "size_leaf_vector": "1"},
                    }
                ],
            },
            "name": "gbtree",
        },
        "learner_model_param": {"base_score": "5E-1", "boost_from_average": "1", "num_class": "0", "num_feature": "2",
                                "num_target": "1"},
        "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    },
    "version": [3, 2, 0],
}

LGB = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=binary sigmoid:1
feature_names=a b
feature_infos=[0:1] [0:2]
tree_sizes=400

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
split_gain=1 1
threshold=0.5 1.5
decision_type=2 2
left_child=-1 -2
right_child=1 -3
leaf_value=0.5 0.25 -0.25
leaf_weight=1 1 1
leaf_count=1 1 1
internal_value=0 0
internal_weight=0 0
internal_count=3 2
is_linear=0
shrinkage=1


end of trees
"""


def ubj(v):
    """UBJSON of plain values, as XGBoost types them."""
    if v is None:
        return b"Z"
    if isinstance(v, bool):
        return b"T" if v else b"F"
    if isinstance(v, int):
        return b"L" + struct.pack(">q", v)
    if isinstance(v, float):
        return b"d" + struct.pack(">f", v)
    if isinstance(v, str):
        return b"S" + ubj(len(v)) + v.encode()
    if isinstance(v, list):
        return b"[" + b"".join(ubj(x) for x in v) + b"]"
    return b"{" + b"".join(ubj(len(k)) + k.encode() + ubj(x) for k, x in v.items()) + b"}"


def files(add):
    add("control_xgb.json", "ok", "", json.dumps(XGB).encode())
    add("control_xgb.ubj", "ok", "", ubj(XGB))
    add("control_lgb.lgb", "ok", "", LGB.encode())

    def lie(name, **changes):
        doc = copy.deepcopy(XGB)
        tree = doc["learner"]["gradient_booster"]["model"]["trees"][0]
        for key, (i, v) in changes.items():
            tree[key][i] = v
        add(f"xgb_{name}.json", "model", "", json.dumps(doc).encode())
        add(f"xgb_{name}.ubj", "model", "", ubj(doc))

    lie("cycle_to_itself", left_children=(0, 0))
    lie("cycle_to_root", left_children=(2, 0))
    lie("shared_child", left_children=(2, 1))
    lie("child_beyond_end", right_children=(2, 5))
    lie("child_2_40", right_children=(2, 1 << 40))
    lie("child_negative", left_children=(2, -3))
    lie("one_child", right_children=(0, -1))
    lie("feature_negative", split_indices=(0, -1))
    lie("feature_beyond_width", split_indices=(2, 2))
    lie("feature_2_31", split_indices=(2, (1 << 31) - 1))
    lie("threshold_text", split_conditions=(0, "x"))
    lie("child_fraction", left_children=(0, 1.5))
    lie("split_type_unknown", split_type=(0, 9))
    lie("child_list", left_children=(0, [1]))

    def change(name, why, edit):
        doc = copy.deepcopy(XGB)
        learner = doc["learner"]
        edit(doc, learner, learner["gradient_booster"]["model"])
        add(f"xgb_{name}.json", "model", why, json.dumps(doc).encode())

    change("arrays_of_unequal_length", "", lambda d, lr, m: m["trees"][0]["left_children"].pop())
    change("no_learner", "", lambda d, lr, m: d.pop("learner"))
    change("no_trees", "", lambda d, lr, m: m.pop("trees"))
    change("trees_is_a_number", "", lambda d, lr, m: m.update(trees=7))
    change("tree_is_null", "", lambda d, lr, m: m.update(trees=[None]))
    change("tree_of_no_class", "", lambda d, lr, m: m.update(tree_info=[5]))
    change("tree_of_class_negative", "", lambda d, lr, m: m.update(tree_info=[-1]))
    change("tree_info_short", "", lambda d, lr, m: m.update(tree_info=[]))
    change("objective_unknown", "objective", lambda d, lr, m: lr["objective"].update(name="os.system"))
    change("booster_unknown", "booster", lambda d, lr, m: lr["gradient_booster"].update(name="gbevil"))
    change("features_2_40", "", lambda d, lr, m: lr["learner_model_param"].update(num_feature=str(1 << 40)))
    change("features_negative", "", lambda d, lr, m: lr["learner_model_param"].update(num_feature="-2"))
    change("classes_2_40", "", lambda d, lr, m: lr["learner_model_param"].update(num_class=str(1 << 40)))
    change("base_score_text", "", lambda d, lr, m: lr["learner_model_param"].update(base_score="[abc]"))
    change("categories_beyond", "", lambda d, lr, m: m["trees"][0].update(
        split_type=[1, 0, 0, 0, 0], categories=[1], categories_nodes=[0], categories_segments=[0], categories_sizes=[1 << 30]))
    change("categories_negative", "", lambda d, lr, m: m["trees"][0].update(
        split_type=[1, 0, 0, 0, 0], categories=[-5], categories_nodes=[0], categories_segments=[0], categories_sizes=[1]))
    whole = json.dumps(XGB).encode()
    add("xgb_cut.json", "model", "", whole[:len(whole) // 2])
    add("xgb_deep.json", "model", "", b'{"learner":' * 20000)
    add("xgb_cut.ubj", "model", "UBJSON", ubj(XGB)[:-3])
    add("xgb_deep.ubj", "model", "UBJSON", b"{L" + struct.pack(">q", 1) + b"a" + b"[" * 20000)
    add("xgb_count_2_60.ubj", "model", "UBJSON", b"{L" + struct.pack(">q", 1) + b"a[$d#L" + struct.pack(">q", 1 << 60))
    add("xgb_typed_by_nothing.ubj", "model", "UBJSON", b"{L" + struct.pack(">q", 1) + b"a[$Z#L" + struct.pack(">q", 1 << 60))

    def text(name, old, new):
        assert old in LGB
        add(f"lgb_{name}.lgb", "model", "", LGB.replace(old, new, 1).encode())

    text("cycle_to_itself", "left_child=-1", "left_child=0")
    text("cycle_to_root", "right_child=1 -3", "right_child=1 0")
    text("child_beyond_end", "right_child=1", "right_child=2")
    text("child_2_40", "right_child=1", f"right_child={1 << 40}")
    text("leaf_beyond_end", "left_child=-1 -2", "left_child=-1 -9")
    text("leaf_twice", "left_child=-1 -2", "left_child=-1 -1")
    text("feature_negative", "split_feature=0", "split_feature=-1")
    text("feature_beyond_width", "split_feature=0 1", "split_feature=0 2")
    text("threshold_text", "threshold=0.5", "threshold=x")
    text("fewer_thresholds", "threshold=0.5 1.5", "threshold=0.5")
    text("leaves_2_40", "num_leaves=3", f"num_leaves={1 << 40}")
    text("leaves_none", "num_leaves=3", "num_leaves=0")
    text("leaves_more_than_listed", "num_leaves=3", "num_leaves=5")
    text("categories_2_30", "num_cat=0", f"num_cat={1 << 30}")
    text("trees_an_iteration_2_40", "num_tree_per_iteration=1", f"num_tree_per_iteration={1 << 19}")
    text("width_2_40", "max_feature_idx=1", f"max_feature_idx={1 << 40}")
    text("width_negative", "max_feature_idx=1", "max_feature_idx=-5")
    text("objective_unknown", "objective=binary sigmoid:1", "objective=os.system")
    text("linear_leaves", "is_linear=0", "is_linear=1")
    text("no_tree", "Tree=0", "Tre")
    text("trees_missing", "tree_sizes=400", "tree_sizes=400 400")
    add("lgb_cut.lgb", "model", "", LGB[:260].encode())
    add("lgb_zeros.lgb", "model", "", b"tree\n" + bytes(3000))

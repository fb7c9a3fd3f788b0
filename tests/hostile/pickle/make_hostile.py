#!/usr/bin/env python3
"""Writes a corpus of hostile and damaged model files, one a known trick, and INDEX.tsv beside them:
name, stage and a part of the reason that the refusal must give.

Stages: `parse` (the pickle machine refuses), `model` (parses as inert data; conversion refuses),
`zip` (the zip reader refuses), `ok` (control: a model built by the same assembler that must be
accepted, so that the others are refused for what was done to them).

usage: make_hostile.py DIR
"""

import bz2
import gzip
import io
import lzma
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import boosters
import models
from asm import (MARK, NONE, STOP, array, boolean, bts, dct, dtype, file, glob, lst, num, obj, objects, proto, record,
                 reduce, s, stack_glob, tup, u1, u4, u8)

FILES = {}


def add(name, stage, why, data):
    assert name not in FILES, name
    FILES[name] = (stage, why, data)


# --- gadgets: names that execute when a real unpickler resolves and calls them --------------------

GADGETS = """os.system posix.system nt.system os.popen os.execv os.spawnl subprocess.Popen subprocess.check_output
subprocess.run commands.getoutput pty.spawn builtins.eval builtins.exec builtins.compile builtins.open
builtins.__import__ builtins.getattr builtins.setattr builtins.map builtins.apply __builtin__.eval __builtin__.file
importlib.import_module importlib.__import__ importlib._bootstrap._load imp.load_source pip.main
pip._internal.cli.main.main ensurepip._run_pip runpy.run_path runpy._run_code webbrowser.open code.interact
code.InteractiveInterpreter codeop.compile_command timeit.timeit cProfile.run profile.run pdb.run bdb.Bdb trace.Trace
doctest.debug_script ctypes.CDLL ctypes.util.find_library _ctypes.dlopen cffi.FFI socket.create_connection
urllib.request.urlopen requests.get http.client.HTTPConnection smtplib.SMTP ftplib.FTP asyncio.run
asyncio.unix_events._UnixSubprocessTransport._start concurrent.futures.ThreadPoolExecutor multiprocessing.Process
shutil.rmtree tempfile.mkstemp pathlib.Path.write_text zipimport.zipimporter pkgutil.resolve_name site.addsitedir
sys.setprofile signal.signal marshal.loads pickle.loads _pickle.loads dill.loads cloudpickle.loads joblib.load
shelve.open sqlite3.connect logging.config.fileConfig linecache.getline lib2to3.pgen2.grammar.Grammar.loads
distutils.file_util.write_file idlelib.pyshell.ModifiedInterpreter idlelib.run.Executive test.support.script_helper.run
torch.load torch.hub.load torch.jit.unsupported_tensor_ops.execWrapper torch.utils.bottleneck.__main__.run_cprofile
torch.utils.collect_env.run torch.utils.data.datapipes.utils.decoder.basichandlers torch._dynamo.guards.GuardBuilder.get
torch.distributed.rpc.rpc_async torch.ops.load_library numpy.load numpy.testing._private.utils.runstring
numpy.f2py.crackfortran.getlincoef numpy.f2py.crackfortran._eval_length numpy.distutils.exec_command.exec_command
numpy.lib.npyio.DataSource pandas.read_pickle pandas.eval pandas.core.computation.eval.eval tensorflow.keras.models.load_model
keras.src.layers.core.lambda_layer.Lambda sklearn.utils._testing.assert_run_python_script types.CodeType types.FunctionType
functools.partial functools.reduce operator.methodcaller operator.attrgetter weakref.finalize atexit.register
xmlrpc.client.ServerProxy uuid._get_command_stdout platform.popen antigravity.webbrowser.open""".split()


def call_global(name, arg):
    return file(reduce(glob(name), arg), 2)


def call_stack_global(name, arg):
    return file(reduce(stack_glob(name), arg))


def call_memo(name, arg):
    """Module and name are stored first, under other indices, and fetched for STACK_GLOBAL."""
    mod, attr = name.rsplit(".", 1)
    body = s(attr) + b"q\x07" + b"0" + s(mod) + b"\x940" + s("numpy") + b"0" + b"h\x01h\x07\x93"
    return file(reduce(body, arg))


def call_inst(name, arg):
    mod, attr = name.rsplit(".", 1)
    return MARK + arg + b"i" + mod.encode() + b"\n" + attr.encode() + b"\n" + STOP


def call_obj(name, arg):
    return MARK + glob(name) + arg + b"o" + STOP


def call_newobj(name, arg):
    return file(glob(name) + tup(arg) + b"\x81")


def call_newobj_ex(name, arg):
    return file(glob(name) + tup(arg) + b"}\x92")


def call_then_build(name, arg):
    return file(reduce(glob(name), arg) + dct(x=num(1)) + b"b")


def call_popped(name, arg):
    """The call's result is thrown away; what remains looks harmless."""
    return file(reduce(glob(name), arg) + b"0" + lst(num(1), num(2)))


FORMS = [call_global, call_stack_global, call_memo, call_inst, call_obj, call_newobj, call_newobj_ex, call_then_build]


def gadgets():
    for i, name in enumerate(GADGETS):
        form = FORMS[i % len(FORMS)]
        add(f"gadget_{name}.pkl".replace("__", ""), "model", name, form(name, s("id")))
    for form in FORMS:
        add(f"form_{form.__name__}.pkl", "model", "os.system", form("os.system", s("id")))
    add("form_popped.pkl", "model", "a list", call_popped("os.system", s("id")))
    add("form_only_a_function.pkl", "model", "a class or function", file(glob("os.system")))


# --- chains: no single name is suspicious ---------------------------------------------------------

def chains():
    imp = reduce(glob("builtins.__import__"), s("os"))
    system = reduce(glob("builtins.getattr"), imp, s("system"))
    add("chain_getattr_import.pkl", "model", "builtins.getattr", file(reduce(system, s("id"))))
    add("chain_getattr_deep.pkl", "model", "builtins.getattr", file(reduce(
        reduce(glob("builtins.getattr"), reduce(glob("builtins.getattr"), glob("numpy.ndarray"), s("__class__")),
               s("__subclasses__")))))
    add("chain_attrgetter.pkl", "model", "operator.attrgetter",
        file(reduce(reduce(glob("operator.attrgetter"), s("system")), imp)))
    add("chain_methodcaller.pkl", "model", "operator.methodcaller",
        file(reduce(reduce(glob("operator.methodcaller"), s("system"), s("id")), imp)))
    add("chain_partial.pkl", "model", "functools.partial",
        file(reduce(reduce(glob("functools.partial"), glob("os.system"), s("id")))))
    add("chain_map_list.pkl", "model", "a list", file(b"](" + reduce(glob("builtins.map"), glob("os.system"),
                                                                       lst(s("id"))) + b"e"))
    add("chain_reduce.pkl", "model", "functools.reduce",
        file(reduce(glob("functools.reduce"), glob("os.system"), lst(s("id")))))
    add("chain_type.pkl", "model", "builtins.type",
        file(reduce(reduce(glob("builtins.type"), s("X"), tup(), dct(__del__=glob("os.system"))))))
    add("chain_dotted_name.pkl", "model", "sklearn", file(reduce(
        s("sklearn") + s("__builtins__.eval") + b"\x93", s("1"))))
    add("chain_dict_of_module.pkl", "model", "operator.itemgetter", file(reduce(
        reduce(glob("operator.itemgetter"), s("eval")), glob("builtins.__dict__"))))
    add("chain_code_object.pkl", "model", "types.FunctionType", file(reduce(
        glob("types.FunctionType"), reduce(glob("types.CodeType"), num(0)), dct())))
    inner = file(reduce(glob("os.system"), s("id")))
    add("nested_pickle_loads.pkl", "model", "_pickle.loads", file(reduce(glob("_pickle.loads"), bts(inner))))
    add("nested_pickle_persid.pkl", "model", "pickle.persistent_id", file(bts(inner) + b"Q"))
    add("nested_pickle_text_persid.pkl", "model", "pickle.persistent_id", b"Pos.system\n.")
    add("nested_in_object_array.pkl", "model", "an array", file(objects(reduce(glob("os.system"), s("id")))))
    add("nested_in_ordered_dict.pkl", "model", "a dictionary", file(
        reduce(glob("collections.OrderedDict"), lst(lst(s("k"), reduce(glob("os.system"), s("id")))))))
    add("nested_as_dict_key.pkl", "model", "a dictionary", file(
        b"}" + reduce(glob("os.system"), s("id")) + NONE + b"s"))
    add("nested_defaultdict_factory.pkl", "model", "a dictionary", file(
        reduce(glob("collections.defaultdict"), glob("os.system"))))
    add("chain_instance_called.pkl", "model", "", file(reduce(
        obj("sklearn.linear_model._logistic.LogisticRegression"), s("x"))))


# --- BUILD and other opcodes used against their purpose -------------------------------------------

def opcodes():
    add("build_on_module_function.pkl", "parse", "no object", file(glob("os.system") + dct(x=num(1)) + b"b"))
    add("build_on_dict.pkl", "parse", "no object", file(dct(a=num(1)) + dct(b=num(2)) + b"b"))
    add("build_on_string.pkl", "parse", "no object", file(s("x") + dct() + b"b"))
    add("build_twice.pkl", "parse", "twice", file(obj("m.C", a=num(1)) + dct(a=num(2)) + b"b"))
    add("build_setstate.pkl", "model", "m.C", file(obj("m.C", __setstate__=glob("os.system"))))
    add("build_setstate_call.pkl", "parse", "twice", file(obj("m.C", __setstate__=glob("os.system")) + s("id") + b"b"))
    add("build_slots_setattr.pkl", "model", "m.C", file(
        glob("m.C") + b")\x81" + NONE + dct(__class__=glob("subprocess.Popen")) + b"\x86" + b"b"))
    add("build_class_swap.pkl", "model", "m.C", file(obj("m.C", __class__=glob("subprocess.Popen"))))
    add("build_reduce_override.pkl", "model", "m.C", file(obj("m.C", __reduce__=glob("os.system"))))
    add("setitem_on_object.pkl", "model", "builtins.globals", file(
        reduce(glob("builtins.globals")) + s("eval") + glob("os.system") + b"s"))
    add("setitem_on_class.pkl", "parse", "no container", file(glob("os.environ") + s("a") + s("b") + b"s"))
    add("append_on_string.pkl", "parse", "no container", file(s("a") + s("b") + b"a"))
    add("additems_on_list.pkl", "parse", "no container", file(b"](" + num(1) + b"\x90"))
    add("object_list_then_dict.pkl", "parse", "another kind", file(
        obj("m.C") + num(1) + b"a" + s("k") + num(1) + b"s"))
    for n, raw in ((1, b"\x82\x01"), (2, b"\x83\x01\x00"), (4, b"\x84\x01\x00\x00\x00")):
        add(f"ext{n}.pkl", "parse", f"EXT{n}", file(raw + tup(s("id")) + b"R"))
    add("next_buffer.pkl", "parse", "NEXT_BUFFER", file(b"\x97", 5))
    add("readonly_buffer.pkl", "parse", "READONLY_BUFFER", file(NONE + b"\x98", 5))
    add("newobj_ex_keywords.pkl", "parse", "keyword", file(
        glob("subprocess.Popen") + b")" + dct(args=s("id"), shell=boolean(True)) + b"\x92"))
    add("newobj_of_string.pkl", "parse", "not a class", file(s("os") + b")\x81"))
    add("reduce_of_number.pkl", "parse", "not a class", file(num(1) + b")R"))
    add("reduce_args_list.pkl", "parse", "no tuple", file(glob("os.system") + lst(s("id")) + b"R"))
    add("stack_global_bytes.pkl", "parse", "strings", file(bts(b"os") + bts(b"system") + b"\x93"))
    add("global_not_utf8.pkl", "parse", "UTF-8", b"c\xff\xfe\nx\n.")
    add("protocol_6.pkl", "parse", "newer than 5", b"\x80\x06N.")
    add("protocol_255.pkl", "parse", "newer than 5", b"\x80\xffN.")
    add("unknown_opcode.pkl", "parse", "no pickle opcode", b"\x80\x04\xc3.")
    add("frame_too_long.pkl", "parse", "a frame of", b"\x80\x04\x95" + u8(1 << 40) + b"N.")
    add("late_error_after_call.pkl", "parse", "no pickle opcode", proto() + reduce(glob("os.system"), s("id")) + b"\xff")
    add("pop_below_mark.pkl", "parse", "stack", file(NONE + MARK + b"00" + b"0"))
    add("memo_from_nowhere.pkl", "parse", "never stored", file(b"h\x09"))
    add("memo_index_huge.pkl", "parse", "memo index", file(NONE + b"r" + u4(0x7fffffff)))
    add("memo_index_text_huge.pkl", "parse", "memo index", NONE + b"p9999999999999\n.")
    add("memo_index_negative.pkl", "parse", "memo index", NONE + b"p-1\n.")
    add("int_hexadecimal.pkl", "parse", "decimal", b"I0x7f\n.")
    add("int_of_5000_digits.pkl", "parse", "digits", b"L" + b"9" * 5000 + b"L\n.")
    add("string_unquoted.pkl", "parse", "quotes", b"Sid\n.")
    add("unicode_surrogate.pkl", "parse", "escape", b"V\\ud800\n.")
    add("empty.pkl", "parse", "STOP", b"")
    add("only_zeros.pkl", "parse", "no pickle opcode", bytes(4096))


# --- numpy and joblib constructors with lies ------------------------------------------------------

def arrays():
    f = dtype("f8")
    add("array_data_short.pkl", "parse", "bytes of data", file(array(f, (4,), bts(bytes(8)))))
    add("array_data_long.pkl", "parse", "bytes of data", file(array(f, (1,), bts(bytes(16)))))
    add("array_shape_negative.pkl", "parse", "no shape", file(array(f, (-1,), bts(b""))))
    add("array_shape_overflow.pkl", "parse", "2^40", file(array(f, (1 << 33, 1 << 33), bts(b""))))
    add("array_shape_2_62.pkl", "parse", "no shape", file(array(f, (1 << 62,), bts(b""))))
    add("array_40_dimensions.pkl", "parse", "dimensions", file(array(f, (1,) * 40, bts(bytes(8)))))
    add("array_empty_items.pkl", "parse", "empty items", file(array(dtype("V0", "|"), (1 << 39,), bts(b""))))
    add("array_objects_missing.pkl", "parse", "objects", file(array(dtype("O", "|"), (5,), lst(NONE))))
    add("array_objects_as_bytes.pkl", "parse", "objects", file(array(dtype("O", "|"), (1,), bts(bytes(8)))))
    add("array_no_dtype.pkl", "parse", "dtype", file(array(NONE, (1,), bts(bytes(8)))))
    built = array(f, (1,), bts(bytes(8)))
    add("array_built_twice.pkl", "parse", "twice", file(built + tup(num(1), tup(num(1)), f, boolean(False),
                                                                        bts(bytes(8))) + b"b"))
    add("dtype_unknown.pkl", "parse", "unknown", file(reduce(glob("numpy.dtype"), s("Z8"))))
    add("dtype_huge.pkl", "parse", "unknown", file(reduce(glob("numpy.dtype"), s("V99999999999999999999"))))
    grown = (glob("numpy.core.numeric._frombuffer") + MARK + bts(b"z") + reduce(glob("numpy.dtype"), s("V1")) + b"q\x01"
             + tup(num(1)) + s("C") + b"tR" + b"h\x01"
             + tup(num(3), s("|"), NONE, NONE, NONE, num(1 << 20), num(1), num(0)) + b"b")
    add("dtype_grown_after_use.pkl", "parse", "after its use", file(grown))
    add("dtype_field_outside.pkl", "parse", "outside", file(record(8, {"a": (f, 4)})))
    add("dtype_field_negative.pkl", "parse", "outside", file(record(8, {"a": (f, -8)})))
    own = (reduce(glob("numpy.dtype"), s("V8")) + b"q\x01" + tup(num(3), s("|"), NONE, tup(s("a")),
           b"}" + s("a") + tup(b"h\x01", num(0)) + b"s", num(8), num(1), num(0)) + b"b")
    add("dtype_field_itself.pkl", "parse", "outside", file(own))
    add("frombuffer_objects.pkl", "parse", "raw buffer", file(
        reduce(glob("numpy._core.numeric._frombuffer"), bts(bytes(8)), dtype("O", "|"), tup(num(1)), s("C"))))
    add("frombuffer_axes_twice.pkl", "parse", "axes", file(
        reduce(glob("numpy._core.numeric._frombuffer"), bts(bytes(32)), f, tup(num(2), num(2)), s("K"),
               tup(num(0), num(0)))))
    wrap = glob("joblib.numpy_pickle.NumpyArrayWrapper") + b")\x81"
    state = dict(subclass=glob("numpy.ndarray"), order=s("C"), allow_mmap=boolean(True))
    add("joblib_shape_2_39.joblib", "parse", "announced", proto(3) + wrap + dct(
        **state, shape=tup(num(1 << 39)), dtype=f, numpy_array_alignment_bytes=num(16)) + b"b\x00" + bytes(64))
    add("joblib_padding_beyond.joblib", "parse", "announced", proto(3) + wrap + dct(
        **state, shape=tup(num(1)), dtype=f, numpy_array_alignment_bytes=num(16)) + b"b\xff" + bytes(16))
    odt = dtype("O", "|")
    one = wrap + dct(**state, shape=tup(num(1)), dtype=odt) + b"b"
    add("joblib_inner_gadget.joblib", "parse", "something else",
        proto(3) + one + file(reduce(glob("os.system"), s("id")), 3) + STOP)
    add("joblib_inner_endless.joblib", "parse", "nest more than", proto(3) + one * 200)
    add("joblib_array_in_other_file.pkl", "parse", "separate file", file(
        obj("joblib.numpy_pickle_compat.NDArrayWrapper", filename=s("../../etc/passwd"), subclass=glob("numpy.ndarray"))))
    text = bts(bytes(4096))
    same = b"".join(b"h\x01h\x02h\x03\x86R0" for _ in range(4))
    add("scalar_same_bytes_again.pkl", "model", "None", file(
        glob("numpy.core.multiarray.scalar") + b"q\x010" + dtype("U1024") + b"q\x020" + text + b"q\x030" + same + NONE))
    add("joblib_inner_missing.joblib", "parse", "STOP", proto(3) + one)


# --- bombs ----------------------------------------------------------------------------------------

def lz4_zeros(n):
    """An LZ4 frame of three blocks, each one literal zero and matches of offset 1."""
    block = b"\x1f\x00\x01\x00" + b"\xff" * (n // 255) + b"\x00" + b"\x50" + bytes(5)
    header = b"\x60\x70"  # version 1, independent blocks; block size 4 MiB
    # header checksum: second byte of xxHash32(header, 0)
    return b"\x04\x22\x4d\x18" + header + bytes([xxh32(header) >> 8 & 0xff]) + (u4(len(block)) + block) * 3 + u4(0)


def xxh32(data):
    """xxHash32 with seed 0, for inputs shorter than 16 bytes."""
    p2, p3, p4, p5 = 2246822519, 3266489917, 668265263, 374761393
    h = (p5 + len(data)) & 0xffffffff
    i = 0
    while i + 4 <= len(data):
        h = (h + struct.unpack_from("<I", data, i)[0] * p3) & 0xffffffff
        h = (h << 17 | h >> 15) & 0xffffffff
        h = h * p4 & 0xffffffff
        i += 4
    for b in data[i:]:
        h = (h + b * p5) & 0xffffffff
        h = (h << 11 | h >> 21) & 0xffffffff
        h = h * 2654435761 & 0xffffffff
    h = (h ^ h >> 15) * p2 & 0xffffffff
    h = (h ^ h >> 13) * p3 & 0xffffffff
    return h ^ h >> 16


def bombs():
    zeros = bytes(16 << 20)
    add("bomb_zlib.joblib", "parse", "bomb", zlib.compress(zeros, 9))
    add("bomb_gzip.joblib", "parse", "bomb", gzip.compress(zeros, 9, mtime=0))
    add("bomb_bz2.joblib", "parse", "bomb", bz2.compress(zeros))
    add("bomb_xz.joblib", "parse", "bomb", lzma.compress(zeros))
    add("bomb_lzma.joblib", "parse", "bomb", lzma.compress(zeros, format=lzma.FORMAT_ALONE))
    add("bomb_lz4.joblib", "parse", "bomb", lz4_zeros(3 << 20))
    add("bomb_gzip_members.joblib", "parse", "bomb", gzip.compress(bytes(64 << 10), 9, mtime=0) * 64)
    add("bomb_twice_compressed.joblib", "parse", "no pickle opcode", zlib.compress(gzip.compress(b"N.", mtime=0)))
    add("bomb_zf_length.pkl", "parse", "announces", b"ZF" + b"0x7fffffffffffff".ljust(19) + zlib.compress(b"N."))
    for name, head in (("binunicode8", b"\x8d"), ("binbytes8", b"\x8e"), ("bytearray8", b"\x96")):
        add(f"length_2_62_{name}.pkl", "parse", "announced", proto() + head + u8(1 << 62) + b"abc.")
        add(f"length_all_ones_{name}.pkl", "parse", "announced", proto() + head + b"\xff" * 8 + b"abc.")
    for name, head in (("binunicode", b"X"), ("binbytes", b"B"), ("binstring", b"T")):
        add(f"length_2_31_{name}.pkl", "parse", "announced", proto() + head + u4(1 << 31) + b"abc.")
    add("length_negative_long4.pkl", "parse", "negative", proto() + b"\x8b" + u4(0xffffffff) + b"abc.")
    add("nest_lists.pkl", "parse", "nest", proto() + b"]" * 5000 + b"a" * 4999 + STOP)
    add("nest_tuples.pkl", "parse", "nest", proto() + b")" + b"\x85" * 5000 + STOP)
    add("nest_dicts.pkl", "parse", "nest", proto() + (b"}" + s("k")) * 3000 + NONE + b"s" * 3000 + STOP)
    add("nest_objects.pkl", "parse", "nest", proto() + (glob("m.C") + MARK) * 3000 + b"t\x81" * 3000 + STOP)
    add("flood_marks.pkl", "parse", "STOP", proto() + MARK * 20000)
    add("flood_dup.pkl", "model", "None", proto() + NONE + b"2" * 20000 + STOP)
    laughs = b"]" + b"q\x00" + b"".join(b"](h" + u1(i) + b"h" + u1(i) + b"eq" + u1(i + 1) for i in range(100))
    add("billion_laughs.pkl", "model", "a list", file(laughs))
    add("self_list.pkl", "model", "a list", file(b"]2a"))
    add("self_dict.pkl", "model", "a dictionary", file(b"}q\x00" + s("a") + b"h\x00s"))
    add("self_object.pkl", "model", "m.C", file(glob("m.C") + b")\x81q\x00" + dct(a=b"h\x00") + b"b"))
    grow = b"](" + num(1) * 1000 + b"e" + b"q\x00" + b"".join(
        reduce(glob("builtins.list"), b"h\x00") + b"0" for _ in range(2000))
    add("copies_of_a_list.pkl", "model", "a list", file(grow))


# --- truncations and damage -----------------------------------------------------------------------

def damage():
    whole = file(models.decision_tree())
    points = {"after_protocol": 2, "in_class_name": 20, "in_memoed_state": len(whole) // 8, "a_quarter": len(whole) // 4,
              "in_nodes": whole.index(struct.pack("<qqq", 1, 2, 0)) + 9, "half": len(whole) // 2,
              "three_quarters": len(whole) * 3 // 4, "before_build": len(whole) - 2, "before_stop": len(whole) - 1}
    for name, n in points.items():
        add(f"cut_{name}.pkl", "parse", "", whole[:n])
    for name, packed in (("zlib", zlib.compress(whole)), ("gzip", gzip.compress(whole, mtime=0)), ("bz2", bz2.compress(whole)),
                         ("xz", lzma.compress(whole)), ("lzma", lzma.compress(whole, format=lzma.FORMAT_ALONE))):
        add(f"cut_{name}.joblib", "parse", "damaged", packed[:-1] if name != "lzma" else packed[:-9])
        flipped = bytearray(packed)
        flipped[len(flipped) // 2] ^= 0xff
        add(f"flipped_{name}.joblib", "parse", "", bytes(flipped))
    add("trailing_after_zlib.joblib", "parse", "follow its end", zlib.compress(whole) + b"os.system")
    add("gzip_wrong_crc.joblib", "parse", "damaged", gzip.compress(whole, mtime=0)[:-8] + bytes(4) + gzip.compress(whole, mtime=0)[-4:])
    add("gzip_second_member_garbage.joblib", "parse", "follow its end", gzip.compress(whole, mtime=0) + b"\x1f\x00\x08")


# --- containers and wrong extensions --------------------------------------------------------------

def containers():
    gadget = file(reduce(glob("os.system"), s("id")))

    def archive(*members, **kw):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", kw.get("method", zipfile.ZIP_STORED)) as z:
            for name, data in members:
                z.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
        return bytearray(out.getvalue())

    one = archive(("m/data.pkl", gadget), ("m/version", b"3"))
    cen = one.index(b"PK\x01\x02")
    add("zip_named_pkl.pkl", "parse", "", bytes(one))
    z = bytearray(one)
    z[30:40] = b"m/data.txt"
    add("zip_local_name_differs.zip", "zip", "another name", bytes(z))
    z = bytearray(one)
    z[6] |= 1
    add("zip_local_encrypted_flag.zip", "zip", "other flags", bytes(z))
    z = bytearray(one)
    z[6] |= 1
    z[cen + 8] |= 1
    add("zip_encrypted_flag.zip", "zip", "encrypted", bytes(z))
    z = bytearray(one)
    z[14] ^= 0xff
    add("zip_local_crc_differs.zip", "zip", "other sizes or CRC", bytes(z))
    z = bytearray(one)
    z[18] += 1
    add("zip_local_size_differs.zip", "zip", "other sizes or CRC", bytes(z))
    z = bytearray(one)
    z[cen + 10] = 99
    z[8] = 99
    add("zip_unknown_method.zip", "zip", "method", bytes(z))
    add("zip_prefixed_by_pickle.zip", "zip", "", gadget + bytes(one))
    add("zip_pickle_polyglot.pkl", "model", "os.system", gadget + bytes(one))
    add("zip_trailing_bytes.zip", "zip", "end record", bytes(one) + b"trailing")
    add("zip_two_ends.zip", "zip", "", bytes(one) + bytes(one[-22:]))
    add("zip_duplicate_names.zip", "zip", "twice", bytes(archive(("a", b"1"), ("b", b"2"))).replace(b"b2", b"a2").replace(
        b"\0\0b", b"\0\0a"))
    add("zip_path_traversal.zip", "zip", "relative path", bytes(archive(("../../etc/cron.d/x", b"1"))))
    add("zip_absolute_path.zip", "zip", "relative path", bytes(archive(("/etc/passwd", b"1"))))
    add("zip_cut.zip", "zip", "", bytes(one[:-5]))
    gap = bytearray(one)
    end = gap.index(b"PK\x05\x06")
    gap[cen:cen] = b"HIDDEN"
    gap[end + 6 + 16:end + 6 + 20] = u4(cen + 6)
    add("zip_hidden_gap.zip", "zip", "unlisted", bytes(gap))
    over = bytearray(archive(("a", b"1" * 40), ("b", b"2" * 40)))
    second = over.index(b"PK\x01\x02", over.index(b"PK\x01\x02") + 4)
    over[second + 42:second + 46] = u4(0)
    add("zip_overlap.zip", "zip", "overlaps", bytes(over))
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as t:
        info = tarfile.TarInfo("data.pkl")
        info.size = len(gadget)
        t.addfile(info, io.BytesIO(gadget))
    add("tar_named_pkl.pkl", "parse", "", tar.getvalue()[:2048])
    add("seven_zip_named_pkl.pkl", "parse", "", b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(64))
    add("script_named_pkl.pkl", "parse", "", b"import os\nos.system('id')\n")
    add("elf_named_pkl.pkl", "parse", "", b"\x7fELF\x02\x01\x01" + bytes(57))
    add("hdf5_named_pkl.pkl", "parse", "", b"\x89HDF\r\n\x1a\n" + bytes(56))
    add("pickle_named_bin.bin", "model", "os.system", gadget)
    add("pickle_named_txt.txt", "model", "os.system", call_global("os.system", s("id")))
    add("pickle_without_extension", "model", "posix.system", call_global("posix.system", s("id")))


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    boosters.files(add)
    models.files(add)
    for make in (gadgets, chains, opcodes, arrays, bombs, damage, containers):
        make()
    lines = ["name\tstage\treason\n"]
    for name, (stage, why, data) in sorted(FILES.items()):
        (out / name).write_bytes(data)
        lines.append(f"{name}\t{stage}\t{why}\n")
    (out / "INDEX.tsv").write_text("".join(lines))


if __name__ == "__main__":
    main()

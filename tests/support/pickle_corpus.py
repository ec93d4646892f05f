"""Pickles that must never be loaded, built from opcodes and never executed; harmless even if they were."""

import pickle


def _text(value: str) -> bytes:
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def _call(module: str, name: str, *arguments: object) -> bytes:
    """Protocol 4: module.name(*arguments)."""
    body = pickle.dumps(arguments, 4)[11:-1] if arguments else b")"
    return b"\x80\x04" + _text(module) + _text(name) + b"\x93" + body + b"R."


def _joined() -> bytes:
    """The name is put together on the stack: str.join, not a literal."""
    joined = _text("str") + b"\x93" + _text("dtype") + b"\x85R"
    return b"\x80\x04" + _text("numpy") + _text("builtins") + joined + b"\x93."


def _swapped() -> bytes:
    """What the memo held when it was written is not what it holds when it is read."""
    swap = _text("dtype") + b"\x94K\x01q\x000"
    return b"\x80\x04" + swap + _text("numpy") + b"h\x00\x93."


CORPUS: dict[str, bytes] = {
    "os_system": _call("os", "system", "true"),
    "posix_system": _call("posix", "system", "true"),
    "builtins_eval": _call("builtins", "eval", "1+1"),
    "builtins_getattr": _call("builtins", "getattr", 1, "real"),
    "subprocess": _call("subprocess", "Popen", "true"),
    "spawnv_passfds": _call("multiprocessing.util", "spawnv_passfds", b"/bin/true", ("true",), ()),
    "torch_collect_env": _call("torch.utils.collect_env", "run", "true"),
    "mlflow_run_entry_point": _call("mlflow.projects.backend.local", "_run_entry_point", "true", "."),
    "pandas_read_csv": _call("pandas.io.parsers.readers", "read_csv", "x"),
    "pydoc_locate": _call("pydoc", "locate", "os.system"),
    "pickle_loads": _call("pickle", "loads", b"N."),
    "joblib_load": _call("joblib.numpy_pickle", "load", "x"),
    "functools_partial": _call("functools", "partial", 1),
    "operator_attrgetter": _call("operator", "attrgetter", "system"),
    "copyreg_reconstructor": _call("copyreg", "_reconstructor", 1),
    "numpy_builtins": _call("numpy", "__builtins__"),
    "numpy_dotted": _call("numpy", "dtype.__class__"),
    "numpy_load": _call("numpy", "load", "x"),
    "numpy_f2py": _call("numpy.f2py.crackfortran", "getlincoef", "1", {}),
    "sklearn_other": _call("sklearn.datasets._base", "load_files", "x"),
    "near_miss_module": _call("sklearn.pipeline ", "Pipeline"),
    "near_miss_name": _call("sklearn.pipeline", "pipeline"),
    "homoglyph": _call("numpy", "dtyp\u0435"),
    "computed_name": _joined(),
    "name_from_unset_memo": b"\x80\x04" + _text("numpy") + b"h\x07\x93.",
    "name_swapped_in_memo": _swapped(),
    "global_protocol_4": b"\x80\x04cos\nsystem\n(X\x04\x00\x00\x00truetR.",
    "global_protocol_2": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "protocol_0": b"cos\nsystem\n(S'true'\ntR.",
    "inst": b"\x80\x04(X\x04\x00\x00\x00trueios\nsystem\n.",
    "obj": b"\x80\x04(" + _text("os") + _text("system") + b"\x93o.",
    "ext1": b"\x80\x04\x82\x01)R.",
    "persid": b"\x80\x04Px\n.",
    "binpersid": b"\x80\x04K\x01Q.",
    "next_buffer": b"\x80\x05\x97.",
    "two_protocols": b"\x80\x04\x80\x02N.",
    "no_protocol": b"N.",
    "protocol_5": b"\x80\x05N.",
    "no_stop": b"\x80\x04N",
    "trailing_payload": b"\x80\x04N." + _call("os", "system", "true"),
    "truncated": _call("os", "system", "true")[:-4],
    "garbage": bytes(range(256)),
    "empty": b"",
    "zip": b"PK\x03\x04" + bytes(64),
    "long_integer": b"\x80\x04\x8a\xff" + b"\x01" * 255 + b".",
    "huge_declared_text": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f" + b"x.",
}

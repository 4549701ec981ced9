"""Model files: what is read of a good one, and the one-line error for each kind of bad one."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.engines.local.gguf import GGUF, GGUFError
from duologue.engines.local.model import Model
from support.gguf_writer import BF16, F16, F32, Q8_0

U32, U64, TEXT, ARRAY = 4, 10, 8, 9


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def head(tensors: int = 0, pairs: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


def tensor(shape: tuple[int, ...], kind: int = 0, offset: int = 0, name: str = "t") -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def nested(depth: int) -> bytes:
    return struct.pack("<I", ARRAY) + struct.pack("<IQ", ARRAY, 1) * depth + struct.pack("<IQ", U32, 0)


def test_metadata_and_tensors_are_read(plan, tmp_path):
    """Each value type comes back as it was written, each tensor type as float32 in its shape."""
    plan.metadata |= {"a.flag": True, "a.negative": -5, "a.real": 0.5, "a.words": ["x", "é"], "a.none": []}
    random = np.random.default_rng(1)
    values = random.normal(size=(3, 64)).astype(np.float32)
    plan.tensors = {"f32": (values, F32), "f16": (values, F16), "bf16": (values, BF16), "q8": (values, Q8_0)}
    file = GGUF(plan.write(tmp_path))
    assert file.metadata == {**plan.metadata, "llama.attention.layer_norm_rms_epsilon": np.float32(1e-5)}
    for name, tolerance in {"f32": 0, "f16": 1e-3, "bf16": 0.01, "q8": 0.02}.items():
        loaded = file.load(name, (3, 64))
        assert loaded.dtype == np.float32
        np.testing.assert_allclose(loaded, values, atol=tolerance, rtol=tolerance)


HOSTILE = {
    "empty": (b"", "is empty"),
    "something else": (b"PK\x03\x04" + bytes(50), "is not a GGUF file"),
    "only the magic": (b"GGUF", "ends too early"),
    "version 1": (head(version=1), "version 1"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "more pairs than bytes": (head(pairs=2**63), "ends too early"),
    "more tensors than bytes": (head(tensors=2**40), "ends too early"),
    "a key longer than the file": (head(pairs=1) + struct.pack("<Q", 2**62), "ends too early"),
    "a text longer than the file": (
        head(pairs=1) + text("k") + struct.pack("<IQ", TEXT, 2**40) + b"abc",
        "ends too early",
    ),
    "an array longer than the file": (
        head(pairs=1) + text("k") + struct.pack("<IIQ", ARRAY, U32, 2**40),
        "ends too early",
    ),
    "an array of too many values": (
        head(pairs=1) + text("k") + struct.pack("<IIQ", ARRAY, 0, 5 * 2**20) + bytes(5 * 2**20),
        "more than 4194304 values",
    ),
    "arrays in arrays": (head(pairs=1) + text("k") + nested(1000), "a value of type 9"),
    "an unknown value type": (head(pairs=1) + text("k") + struct.pack("<I", 77), "a value of type 77"),
    "no dimensions": (head(tensors=1) + tensor(()), "0 dimensions"),
    "too many dimensions": (head(tensors=1) + tensor((1,) * 60), "60 dimensions"),
    "a dimension of nothing": (head(tensors=1) + tensor((4, 0)), "the shape (0, 4)"),
    "a tensor beyond the end": (head(tensors=1) + tensor((2**30,)) + bytes(64), "ends too early"),
    "a size that overflows": (head(tensors=1) + tensor((2**62, 2**62)) + bytes(64), "ends too early"),
    "an offset that overflows": (head(tensors=1) + tensor((4,), 0, 2**64 - 8) + bytes(64), "ends too early"),
    "tensors that overlap": (
        head(tensors=2) + tensor((16,), name="a") + tensor((16,), name="b") + bytes(100),
        "ends too early",
    ),
    "half a block": (head(tensors=1) + tensor((48,), 8) + bytes(200), "the shape (48,)"),
    "an alignment of 0": (
        head(pairs=1) + text("general.alignment") + struct.pack("<II", U32, 0),
        "general.alignment",
    ),
    "an alignment that is no number": (
        head(pairs=1) + text("general.alignment") + struct.pack("<I", TEXT) + text("x"),
        "general.alignment is 'x'",
    ),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_bad_file_is_refused_in_one_line_and_little_memory(content, message, tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(GGUFError) as caught:
            GGUF(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert peak < 2 * 2**20


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(GGUFError, match="cannot be opened: No such file"):
        GGUF(tmp_path / "none.gguf")


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(GGUFError, match="cannot be opened"):
        GGUF(tmp_path)


def test_a_tensor_type_that_is_not_read_is_named_with_the_remedy(plan, tmp_path):
    name = "blk.1.ffn_down.weight"
    array, _ = plan.tensors[name]
    plan.tensors[name] = (array, 0)
    content = plan.encode()
    at = content.index(name.encode()) + len(name) + 4 + 16
    path = tmp_path / "file.gguf"
    path.write_bytes(content[:at] + struct.pack("<I", 12) + content[at + 4 :])
    with pytest.raises(
        GGUFError,
        match=r"blk\.1\.ffn_down\.weight as Q4_K.*the model's Q8_0 file, or llama.cpp.*\[serve,gguf\]",
    ):
        Model(path)


def test_a_file_cut_anywhere_is_refused(plan, tmp_path):
    content = plan.encode()
    path = tmp_path / "cut.gguf"
    whole = content.rindex(content[-32:].rstrip(b"\0") or content[-32:])
    for size in [*range(0, 4000, 7), *range(4000, whole, 997)]:
        path.write_bytes(content[:size])
        with pytest.raises(GGUFError):
            Model(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_head_is_read_or_refused_and_nothing_else(plan, tmp_path, data):
    """Any bytes changed in the head: the file opens, or a `GGUFError` says why not."""
    content = bytearray(plan.encode())
    end = content.index(b"token_embd.weight") + 100
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, end))
        content[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, ord("{"), ord("%")]))
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)
    try:
        Model(path).weights()
    except GGUFError as error:
        refusal = str(error)
    else:
        refusal = ""
    assert "\n" not in refusal

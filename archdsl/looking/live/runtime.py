"""The files of onnxruntime-web that a page carries; ``tools/bundle_onnxruntime.py`` makes them."""

from __future__ import annotations

import gzip
import lzma
from base64 import b64encode
from pathlib import Path

FOLDER = Path(__file__).parent / "onnxruntime-web"


def read_interface() -> bytes:
    """The module of JavaScript that loads the binary and calls it."""
    return (FOLDER / "ort.wasm.bundle.min.mjs").read_bytes()


def read_binary() -> bytes:
    """The operators, for WebAssembly."""
    return lzma.decompress((FOLDER / "ort-wasm-simd-threaded.wasm.xz").read_bytes())


def read_licence() -> str:
    return (FOLDER / "LICENSE").read_text("utf-8")


def read_notices() -> bytes:
    """The notices of what is inside the binary, as UTF-8."""
    return (FOLDER / "ThirdPartyNotices.txt").read_bytes()


def packed(content: bytes) -> str:
    """Bytes for a page: gzip, which browsers unpack, in base64. Equal bytes give equal text."""
    return b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")

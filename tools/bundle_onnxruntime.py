"""Make archdsl/looking/live/onnxruntime-web from the packages of onnxruntime.

    npm pack onnxruntime-web@1.30.0
    pip download --no-deps onnxruntime==1.30.0
    python tools/bundle_onnxruntime.py onnxruntime-web-1.30.0.tgz onnxruntime-1.30.0-*.whl

A page of `archdsl look` runs its network with onnxruntime-web. Of that package two files are
needed: the interface, and the binary for WebAssembly, which is packed since it is 14 MB. The
licence and the notices are those of the wheel of the same version, made from the same sources: the
package of npm has none. ONNX Runtime (https://github.com/microsoft/onnxruntime) is under the MIT
licence.
"""

from __future__ import annotations

import lzma
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

FOLDER = Path(__file__).parent.parent / "archdsl" / "looking" / "live" / "onnxruntime-web"
INTERFACE, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
TEXTS = ("LICENSE", "ThirdPartyNotices.txt")
#: Those of liblzma's highest preset, with a dictionary that holds the whole file.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24}]


def main() -> None:
    package, wheel = map(Path, sys.argv[1:])
    version = package.stem.rpartition("-")[2]
    if wheel.name.split("-")[:2] != ["onnxruntime", version]:
        sys.exit(f"{wheel.name} is not of version {version}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tarfile.open(package) as archive:
        (FOLDER / INTERFACE).write_bytes(_member(archive, INTERFACE))
        packed = lzma.compress(_member(archive, BINARY), filters=FILTERS)
    (FOLDER / f"{BINARY}.xz").write_bytes(packed)
    with ZipFile(wheel) as archive:
        for name in TEXTS:
            text = archive.read(f"onnxruntime/{name}").decode("utf-8-sig")
            (FOLDER / name).write_text(text.replace("\r\n", "\n"), "utf-8")


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(f"package/dist/{name}")
    assert found is not None
    return found.read()


if __name__ == "__main__":
    main()

"""What is held to exact digests is the same under every instruction set that this processor can be told to leave out.

Each setting is a process of its own, because the libraries choose their instructions when they are loaded.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("exact_parts.py")
KEPT = json.loads(SCRIPT.with_name("same_bits.json").read_text(encoding="utf-8"))

FEATURES = list(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
"""What numpy uses beyond its baseline here: each is left out once by itself, and all together."""
OPENCV = "SSE4.1,SSE4.2,AVX,FP16,AVX2,AVX512-SKX,NEON_DOTPROD,NEON_FP16,NEON_BF16"
PLAIN = {
    "OPENCV_CPU_DISABLE": OPENCV,
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
SETTINGS: dict[str, dict[str, str]] = {
    "as it is, two threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "nothing optional, one thread": {**PLAIN, "NPY_DISABLE_CPU_FEATURES": " ".join(FEATURES), "OMP_NUM_THREADS": "1"},
    "half of it": {
        "NPY_DISABLE_CPU_FEATURES": " ".join(FEATURES[len(FEATURES) // 2 :]),
        "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "AVX2",
    },
    **{f"without {feature}": {"NPY_DISABLE_CPU_FEATURES": feature} for feature in FEATURES},
}
if os.uname().machine == "x86_64":
    SETTINGS["nothing optional, one thread"]["OPENBLAS_CORETYPE"] = "Nehalem"
    SETTINGS["half of it"]["OPENBLAS_CORETYPE"] = "Haswell"


def computed(variables: dict[str, str]) -> dict[str, str]:
    """The digests of all parts in a process with these variables."""
    chosen = ("NPY_", "OPENCV_", "ATEN_", "MKL_", "ONEDNN_", "OPENBLAS_", "OMP_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(chosen)}
    done = subprocess.run([sys.executable, SCRIPT], env=kept | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_gives_the_kept_digests(name):
    assert computed(SETTINGS[name]) == KEPT


def test_nothing_that_rounds_as_it_likes_is_called_where_phantoms_are_drawn():
    """Names whose results IEEE 754 does not prescribe, or that numpy may change: `exact` has one for each of them."""
    import cxrbench.benchmark.data.phantom as package

    forbidden = (
        "cv2", "scipy", "float32", "default_rng", "Generator", "np.exp", "np.log", "np.sin", "np.cos", "np.tan", "np.arctan",
        "np.power", "np.hypot", "np.interp", "np.sum", ".sum(", ".mean(", ".std(", "np.linalg", " @ ", "np.dot", "einsum",
        "add.reduceat", "math.exp", "math.log", "math.sin", "math.cos", "math.tan", "math.atan", "math.pow", "math.hypot",
    )  # fmt: skip
    for path in sorted(Path(str(package.__file__)).parent.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert [word for word in forbidden if word in text] == [], path.name

#!/usr/bin/env python3
"""Write quant/iq_grids.cpp: the codebooks of IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS and IQ3_S.

    make_iq_grids.py [--out FILE]

They are part of the file formats: ggml chose them once, and the `gguf` package has them.
Needs NumPy and gguf.
"""
import argparse
import pathlib

import numpy as np
from gguf import quants

HEAD = """#include "ridgeline/quant/iq_grids.h"

// Written by tools/make_iq_grids.py.

namespace ridgeline::iq_grids {

// clang-format off
"""
TAIL = """// clang-format on

}  // namespace ridgeline::iq_grids
"""


def entries(cls):
    """Each entry as one number: a digit (index into the magnitudes) per element."""
    cls.init_grid()
    grid = cls.grid.reshape(cls.grid_shape)
    digits = np.searchsorted(np.array(cls.grid_map, np.float32), grid)
    assert np.array_equal(np.array(cls.grid_map, np.float32)[digits], grid)
    bits = 16 // cls.grid_shape[1]
    return (digits << (bits * np.arange(cls.grid_shape[1]))).sum(axis=1)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = pathlib.Path(__file__).resolve().parent.parent
    ap.add_argument("--out", type=pathlib.Path, default=here / "ridgeline/quant/iq_grids.cpp")
    a = ap.parse_args()
    text = HEAD
    for name, cls in [("kIQ2_XXS", quants.IQ2_XXS), ("kIQ2_XS", quants.IQ2_XS),
                      ("kIQ2_S", quants.IQ2_S), ("kIQ3_XXS", quants.IQ3_XXS),
                      ("kIQ3_S", quants.IQ3_S)]:
        numbers = [f"0x{n:04x}," for n in entries(cls)]
        text += f"const std::uint16_t {name}[{len(numbers)}] = {{\n"
        for i in range(0, len(numbers), 12):
            text += "    " + " ".join(numbers[i:i + 12]) + "\n"
        text += "};\n"
    a.out.write_text(text + TAIL)


if __name__ == "__main__":
    main()

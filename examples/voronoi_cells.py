# SPDX-License-Identifier: BSD-3-Clause
"""The cusp y² + x³ = 0 attracts: the targets whose closest point on the curve is the cusp have an interior.

python examples/voronoi_cells.py [PICTURE.png]

On the curve t ↦ (−t², t³), the squared distance to u minus that of the cusp is t² (t⁴ + t² − 2 u₂ t + 2 u₁). The cusp
is closest where the second factor is never negative. Its border is where that has a double zero, the curve
t ↦ ((3t⁴ + t²)/2, 2t³ + t), drawn against what `closest_points` finds.
"""

from __future__ import annotations

import sys

import numpy as np

import polycore as pc


def main(path: str) -> None:
    cusp = pc.Parametrisation(pc.MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])
    print(pc.closest_points(cusp, [0.5, 0.2]))
    t = np.linspace(-1.0, 1.0, 401)
    border = np.stack([(3 * t**4 + t**2) / 2, 2 * t**3 + t], axis=1)
    ax = pc.landscape.plot_voronoi_cells(
        cusp, low=(-1.2, -1.2), high=(1.2, 1.2), boundary=border, resolution=10, refinements=4, labels=("u₁", "u₂")
    )
    ax.set_aspect("equal")
    ax.figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "voronoi_cells.png")

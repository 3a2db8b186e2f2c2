# SPDX-License-Identifier: BSD-3-Clause
"""How many critical points there are depends on the target: two planes of targets, and where the number jumps by two.

python examples/count_map.py [PICTURE.png]

Left: a point of the plane has one or three normals to the parabola y = x². The border is its evolute,
27 x² = 2 (2y − 1)³, a cusp above the focus.

Right: targets in a plane of binary quadratic forms, near x² + y². The network c (a x + b y)² is to come close in the
plain metric of coefficients. Near the middle there are two more critical functions than outside.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

import polycore as pc


def main(path: str) -> None:
    figure = Figure(figsize=(11.5, 5.8), layout="constrained")
    left, right = figure.subplots(1, 2)

    parabola = pc.Parametrisation(pc.MonomialBasis(1, 2), [[0, 1, 0], [0, 0, 1]])
    normals = pc.count_map(
        parabola, lambda x, y: [x, y], low=(-1.5, -0.5), high=(1.5, 2.5), resolution=8, refinements=3
    )
    print(normals)
    pc.landscape.plot_count_map(normals, labels=("x", "y"), ax=left)
    y = np.linspace(0.5, 2.5, 201)
    for sign in (1, -1):
        left.plot(sign * np.sqrt(2 * (2 * y - 1) ** 3 / 27), y, color="#c2571d", linewidth=1.2, linestyle="--")
    left.text(0.0, 0.3, "27 x² = 2 (2y − 1)³", color="#c2571d", ha="center")

    neuron = pc.MLP((2, 1, 1), activation=2)
    family = pc.AffineFamily(target=[[1, 0, 1]], first=[[1, 0, -1]], second=[[0, 1, 0]])
    counts = pc.count_map(
        neuron, family, low=(-0.6, -0.6), high=(0.6, 0.6), resolution=10, refinements=2, n_starts=20, spurious=False
    )
    print(counts)
    pc.landscape.plot_count_map(counts, labels=("s, of the target (1 + s) x² + t xy + (1 − s) y²", "t"), ax=right)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "count_map.png")

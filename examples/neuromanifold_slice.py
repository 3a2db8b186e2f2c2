# SPDX-License-Identifier: BSD-3-Clause
"""Which functions a network has over the real numbers: two slices of coefficient space.

python examples/neuromanifold_slice.py [PICTURE.png]

Left: two cubes of linear forms fill the binary cubics up to closure, yet over the real numbers the cubics with three
real zeros are out of reach, among them x³ − xy². The border is where the discriminant vanishes, a cusp in the slice
x³ + Cxy² + Dy³.

Right: lightning attention on two tokens makes pairs of binary quadratic forms with a common factor, a hypersurface of
degree four. This slice of it is Whitney's umbrella: it crosses itself along a line of pairs (q, 0), and where the
discriminant of q is negative that line is in the closure only.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

import polycore as pc


def discriminant(coef: np.ndarray) -> np.ndarray:
    """Of cubics a x³ + b x²y + c xy² + d y³, coefficients (n, 1, 4)."""
    a, b, c, d = coef[:, 0].T
    return b**2 * c**2 - 4 * a * c**3 - 4 * b**3 * d - 27 * a**2 * d**2 + 18 * a * b * c * d


def main(path: str) -> None:
    figure = Figure(figsize=(11.5, 5.4), layout="constrained")
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d")

    cubics = pc.MLP((2, 2, 1), activation=3)
    unit = np.eye(4)[:, None]
    pc.landscape.plot_neuromanifold_slice(
        cubics,
        origin=unit[0],
        directions=unit[2:],
        low=-2,
        high=2,
        surface=discriminant,
        points={"x³ − xy²": (-1, 0)},
        ax=left,
    )

    attention = pc.LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2)
    span = attention.linear_span()
    print(span, pc.equations(attention, degree=4), sep="\n")
    y = np.eye(6)  # coordinates of the span
    pc.landscape.plot_neuromanifold_slice(
        attention, origin=span.embed(y[0]), directions=span.embed(y[[3, 5, 2]]), ax=right
    )
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "neuromanifold_slice.png")

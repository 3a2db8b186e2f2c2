# SPDX-License-Identifier: BSD-3-Clause
"""The signs and sizes of the Hessian's eigenvalues at the critical points of a small network.

python examples/hessian_spectra.py [PICTURE.png]

Directions along the fibre, in which the function does not change, are left out. What remains tells minima (all
eigenvalues positive), strict saddles (one negative) and degenerate points (some zero, none negative) apart.
"""

from __future__ import annotations

import sys

import numpy as np

import polycore as pc


def main(path: str) -> None:
    net = pc.MLP((3, 2, 1), activation=2)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    Y = X[:, :1] ** 2 - 0.5 * X[:, 1:2] * X[:, 2:] + 0.3 * rng.normal(size=(40, 1))
    found = pc.critical_points(pc.QDistance.from_data(X, Y, net.basis), net, n_starts=150)
    print(found)
    pc.landscape.plot_hessian_spectra(found.points).figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "hessian_spectra.png")

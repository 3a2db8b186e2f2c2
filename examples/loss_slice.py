# SPDX-License-Identifier: BSD-3-Clause
"""The loss of a network between its critical points: on the line through two of them, and on the plane through three.

python examples/loss_slice.py [PICTURE.png]

A linear network 2 → 2 → 2 is fitted to data of rank two. Besides the global minimum it has saddles, whose matrices are
of lower rank: one for each set of singular components. The level set through a saddle crosses itself there.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

import polycore as pc


def main(path: str) -> None:
    net = pc.MLP((2, 2, 2), activation=1)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    Y = X @ np.array([[1.0, 0.4], [-0.3, 0.6]]) + 0.2 * rng.normal(size=(40, 2))
    found = pc.critical_points(pc.QDistance.from_data(X, Y, net.basis), net, n_starts=200)
    print(found)

    figure = Figure(figsize=(11.5, 5.0), layout="constrained")
    line, plane = figure.subplots(1, 2)
    minimum, *saddles = found.points
    pc.landscape.plot_loss_slice(found.loss, net, [minimum, saddles[-1]], ax=line)
    pc.landscape.plot_loss_slice(found.loss, net, [minimum, *saddles[:2]], ax=plane)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "loss_slice.png")

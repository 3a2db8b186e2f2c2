# SPDX-License-Identifier: BSD-3-Clause
"""All critical points of a linear network by loss and index, and the gradient flow that connects them.

python examples/critical_graph.py [PICTURE.png]

The critical functions of a linear network 3 → 3 → 3 are the sums of some of the singular components of the best
fit: one for each subset of three, eight in all (Eckart and Young). Flow from a saddle adds components, one at a
time if it leaves along an eigenvector, and only the sum of all three is a minimum.
"""

from __future__ import annotations

import sys

import numpy as np

import polycore as pc


def main(path: str) -> None:
    net = pc.MLP((3, 3, 3), activation=1)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = X @ rng.normal(size=(3, 3)) + 0.1 * rng.normal(size=(60, 3))
    found = pc.critical_points(pc.QDistance.from_data(X, Y, net.basis), net, n_starts=200)
    print(found)
    edges = pc.landscape.connections(found)
    pc.landscape.plot_critical_graph(found, edges).figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "critical_graph.png")

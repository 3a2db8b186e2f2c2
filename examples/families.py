# SPDX-License-Identifier: BSD-3-Clause
"""The three families of the theory side by side: how their sets of functions differ, and what the same calls tell.

python examples/families.py
"""

from __future__ import annotations

import json

import numpy as np

import polycore as pc

# Each with a point where a part of the network is switched off: a unit, ends of filters, the rank of KᵀQ, a unit again.
NETWORKS: list[tuple[pc.Network, dict[str, list]]] = [
    (pc.MLP((2, 2, 2), activation=3), {"W1": [[1, 2], [0, 0]], "W2": [[1, 0], [2, 0]]}),
    (pc.CNN((3, 3), activation=2), {"W1": [1, 2, 0], "W2": [0, 1, 3]}),
    (
        pc.LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2),
        {"K1": [[1, 2], [2, 4]], "Q1": [[1, 0], [0, 1]], "V1": [[1, 1]]},
    ),
    (
        pc.Sequential(pc.Residual(pc.Affine(2), pc.Activation(2)), pc.Affine(1), n_inputs=2),
        {"W1": [[1, 2], [0, 0]], "W2": [[1, 1]]},
    ),
]


def tour(net: pc.Network, point: dict[str, list]) -> None:
    """What is known of one network, and of one point of it."""
    print(pc.dimension(net))
    print(net.symmetries())

    # Symmetries change the parameters and not the function.
    theta = net.random_params(rng=0)
    moved = net.symmetries().act(net.symmetries().random_element(rng=1), theta)
    print(f"  a symmetry moves θ by {np.linalg.norm(moved - theta):.2g}, its function by", end=" ")
    print(f"{np.abs(net.expand(moved) - net.expand(theta)).max():.1g}")

    print(pc.analyze_point(net, net.pack(point)))

    # Networks are data: the same file works for `polycore dim --network FILE.json`.
    spec = json.dumps(net.spec())
    assert pc.network(json.loads(spec)) == net
    print(spec, "\n")


if __name__ == "__main__":
    for network, where in NETWORKS:
        tour(network, where)

# SPDX-License-Identifier: BSD-3-Clause
"""Signs of the eigenvalues of the Hessian of a network's loss at a critical point, modulo the fibre."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Inertia"]

Vector = NDArray[np.float64]

# A spectrum decides nothing if its nearest eigenvalue is closer than this factor to the tolerance.
CLEAR_MARGIN = 10.0


@dataclass(frozen=True)
class Inertia:
    """Numbers of negative, zero and positive eigenvalues of the Hessian, on a complement of the tangents of the fibre.

    Attributes
    ----------
    index : int
        Number of negative eigenvalues: independent directions in which the loss falls to second order.
    nullity : int
        Number of eigenvalues that are zero up to ``tolerance``, besides those along the fibre.
    positive : int
        Number of positive eigenvalues: index + nullity + positive = n_params − fibre_dimension.
    fibre_dimension : int
        Dimension of the directions taken out, along which the function does not change.
    eigenvalues : ndarray, shape (n_params − fibre_dimension,)
        Ascending; of the Hessian with its rows and columns scaled, which does not change signs (Sylvester).
    tolerance : float
        Eigenvalues of at most this size count as zero.
    margin : float
        How far the eigenvalue nearest to the tolerance is from it, as a ratio >= 1; 1 is undecidable, inf is where
        there is no eigenvalue.
    reason : str
        Which directions were taken out, and why they are along the fibre.
    partial : bool
        Whether only extreme eigenvalues were computed, since the Hessian is too large: then ``index``, ``nullity`` and
        ``positive`` are those seen, which are lower bounds.
    """

    index: int
    nullity: int
    positive: int
    fibre_dimension: int
    eigenvalues: Vector = field(repr=False, compare=False)
    tolerance: float
    margin: float
    reason: str = field(default="", compare=False)
    partial: bool = False

    @property
    def decided(self) -> bool:
        """Whether the whole spectrum was seen and no eigenvalue is within a factor of ten of the tolerance."""
        return not self.partial and self.margin >= CLEAR_MARGIN

    def __repr__(self) -> str:
        text = f"index {self.index}, nullity {self.nullity}, positive {self.positive}, fibre {self.fibre_dimension}"
        partial = ", of the eigenvalues computed" if self.partial else ""
        return f"Inertia({text}; tolerance {self.tolerance:.2g}, margin {self.margin:.2g}{partial})"

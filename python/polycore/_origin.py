# SPDX-License-Identifier: BSD-3-Clause
"""Whether a critical point comes from the function space (pure) or from its parametrisation (spurious)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Origin"]


@dataclass(frozen=True)
class Origin:
    """Whether the function of a critical point is critical for the loss on the function space.

    Attributes
    ----------
    verdict : str
        "pure", "spurious" or "undecided".
    rank : int
        Of the Jacobian at the point.
    generic_rank : int
        That at almost every point: the dimension of the function space.
    projected_gradient : float
        Largest slope found of the loss along a tangent of the function space at the point: norm of the gradient with
        respect to the coefficients, projected to the tangent space or cone as far as it is known.
    gradient : float
        Norm of the gradient with respect to the coefficients.
    tolerance : float
        A projected gradient up to this is zero.
    reason : str
        In words.

    Notes
    -----
    M. Trager, K. Kohn, J. Bruna, *Pure and spurious critical points: a geometric study of linear networks*, ICLR 2020,
    arXiv:1910.01671.
    """

    verdict: str
    rank: int
    generic_rank: int
    projected_gradient: float
    gradient: float
    tolerance: float
    reason: str

    @property
    def pure(self) -> bool:
        """Whether the verdict is "pure"."""
        return self.verdict == "pure"

    @property
    def spurious(self) -> bool:
        """Whether the verdict is "spurious"."""
        return self.verdict == "spurious"

    def __repr__(self) -> str:
        slopes = f"slope {self.projected_gradient:.2g} of {self.gradient:.2g}, tolerance {self.tolerance:.2g}"
        return f"Origin({self.verdict}: rank {self.rank} of {self.generic_rank}, {slopes}; {self.reason})"

# SPDX-License-Identifier: BSD-3-Clause
"""The polynomials of a network, for looking at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._validation import Array, _describe, _to_array, as_index, check_shape
from .monomials import MonomialBasis

__all__ = ["NetworkPolynomial"]


@dataclass(frozen=True, eq=False)
class NetworkPolynomial:
    """The polynomials f_1, ..., f_{n_outputs} of a network, for looking at.

    Attributes
    ----------
    coef : ndarray, shape (n_outputs, n_monomials)
    basis : MonomialBasis
    symbols : tuple of str, or None
        Names of the variables; x1, x2, ... by default.
    """

    coef: Array
    basis: MonomialBasis
    symbols: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.basis, MonomialBasis):
            raise TypeError(f"`basis` must be a MonomialBasis, got {_describe(self.basis)}")
        coef = _to_array(self.coef, "coef")
        check_shape(coef, "coef", ("n_outputs", ("n_monomials", self.basis.n_monomials)))
        if self.symbols is not None and isinstance(self.symbols, Sequence):
            object.__setattr__(self, "symbols", tuple(self.symbols))
        object.__setattr__(self, "coef", coef)
        self.text(max_terms=0, max_outputs=1)  # bad symbols are refused here, not when it is shown

    def text(self, latex: bool = False, max_terms: int | None = 12, max_outputs: int | None = 8) -> list[str]:
        """One equation per output.

        Parameters
        ----------
        latex : bool
            Write LaTeX (without dollar signs).
        max_terms, max_outputs : int or None
            Write at most so many terms of each and so many outputs, and say how many are left out; None writes all.

        Returns
        -------
        list of str
        """
        n = len(self.coef)
        lines = []
        for o in range(n if max_outputs is None else min(n, as_index(max_outputs, "max_outputs", 0))):
            name = "f" if n == 1 else (f"f_{{{o + 1}}}" if latex else f"f{o + 1}")
            lines.append(f"{name} = {self.basis.format(self.coef[o], self.symbols, latex=latex, max_terms=max_terms)}")
        if len(lines) < n:
            more = f"{n - len(lines)} more output{'s' if n - len(lines) > 1 else ''}"
            lines.append(rf"\vdots \;(\text{{{more}}})" if latex else f"... ({more})")
        return lines

    def __repr__(self) -> str:
        return "\n".join(self.text())

    def _repr_latex_(self) -> str:
        return r"$\begin{aligned} " + r" \\ ".join(self.text(latex=True)).replace(" = ", " &= ") + r" \end{aligned}$"

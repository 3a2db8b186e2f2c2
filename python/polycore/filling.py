# SPDX-License-Identifier: BSD-3-Clause
"""Minimal filling architectures: the narrowest hidden layers whose functions fill the ambient space.

Source: J. Kileel, M. Trager, J. Bruna, *On the expressive power of deep polynomial neural networks*, NeurIPS 2019,
arXiv:1905.12207: filling widths, and that widening a layer never lowers the dimension.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from operator import mul
from typing import Any, TypeAlias, overload

from ._validation import INT32_MAX, as_flag, as_index, as_probability, as_rng, check_size
from .activations import ActivationPolynomial, as_activations
from .bounds import upper_bound
from .dimension import DimensionResult, dimension
from .modular import format_bound
from .monomials import count_monomials
from .networks import MLP

__all__ = ["Decrement", "FillingWidths", "MinimalFilling", "minimal_filling"]

Widths: TypeAlias = tuple[int, ...]

# A vector whose network has so many times more parameters than needed is tried at narrower ones first.
_GENEROUS = 2
_SHOWN = 18


@dataclass(frozen=True)
class Decrement:
    """A filling architecture with one hidden layer lowered by one, which does not fill.

    Attributes
    ----------
    widths : tuple of int
    dimension : int
        Below the ambient dimension.
    proved : bool
        Whether the dimension is certain.
    error_bound : float
        Else a bound of the probability that it is larger.
    """

    widths: Widths
    dimension: int
    proved: bool
    error_bound: float


@dataclass(frozen=True)
class FillingWidths:
    """A minimal filling architecture.

    It is shown with the dimensions that one unit less in the first hidden layer, the second, ... leaves: "?" after
    those that are not proved, "–" where there is one unit only.

    Attributes
    ----------
    widths : tuple of int
        With inputs and outputs.
    witness : DimensionResult
        Its dimension is the ambient one: a rank found, hence certain.
    decrements : tuple of Decrement
        One for each hidden layer of width at least 2, from the first to the last.
    """

    widths: Widths
    witness: DimensionResult
    decrements: tuple[Decrement, ...]

    def __repr__(self) -> str:
        words = f"{_dashes(self.widths)}  {self.witness.n_params} parameters"
        if not self.decrements:
            return words
        lower = {entry.widths: f"{entry.dimension}{'' if entry.proved else '?'}" for entry in self.decrements}
        dimensions = [lower.get(_with(self.widths, i, self.widths[i] - 1), "–") for i in range(1, len(self.widths) - 1)]
        return f"{words}, with one unit less: {' '.join(dimensions)}"


@dataclass(frozen=True)
class MinimalFilling(Sequence[FillingWidths]):
    """All minimal filling architectures, made by `minimal_filling`; a sequence, in ascending order of widths.

    Attributes
    ----------
    n_inputs, n_outputs, depth, bias
        As given.
    activation : tuple
        One entry a hidden layer, as `polycore.MLP` takes it.
    ambient_dimension : int
    items : tuple of FillingWidths
    complete : bool
        Whether it is proved that there are no others, and that all are minimal. That they fill is always certain.
    error_bound : float
        0.0 if complete; else a bound of the probability that it is not so: that a rank that shows that something does
        not fill is too low.
    n_ranks : int
        How many architectures were looked at.
    seed : int
        ``rng=seed`` reproduces the result.
    """

    n_inputs: int
    n_outputs: int
    depth: int
    activation: tuple[Any, ...]
    bias: bool
    ambient_dimension: int
    items: tuple[FillingWidths, ...]
    complete: bool
    error_bound: float
    n_ranks: int
    seed: int

    @property
    def proved(self) -> bool:
        """The same as ``complete``."""
        return self.complete

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> FillingWidths: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[FillingWidths, ...]: ...
    def __getitem__(self, index: int | slice) -> FillingWidths | tuple[FillingWidths, ...]:
        return self.items[index]

    def __iter__(self) -> Iterator[FillingWidths]:
        return iter(self.items)

    def __repr__(self) -> str:
        certainty = (
            "proved complete" if self.complete else f"complete but for a probability < {format_bound(self.error_bound)}"
        )
        plural = "" if len(self.items) == 1 else "s"
        lines = [
            f"{len(self.items)} minimal filling architecture{plural} of depth {self.depth}, {self.n_inputs} to "
            f"{self.n_outputs}{' with bias' * self.bias}, ambient dimension {self.ambient_dimension}, {certainty}"
        ]
        shown = self.items if len(self.items) <= _SHOWN else self.items[: _SHOWN - 1]
        lines += [f"  {item!r}" for item in shown]
        if len(shown) < len(self.items):
            lines.append(f"  ... and {len(self.items) - len(shown)} more")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """What a program wants to read, for JSON."""
        return {
            "n_inputs": self.n_inputs,
            "n_outputs": self.n_outputs,
            "depth": self.depth,
            "activation": [repr(entry) if not isinstance(entry, int) else entry for entry in self.activation],
            "bias": self.bias,
            "ambient_dimension": self.ambient_dimension,
            "complete": self.complete,
            "error_bound": self.error_bound,
            "seed": self.seed,
            "items": [
                {
                    "widths": list(item.widths),
                    "dimension": item.witness.dimension,
                    "n_params": item.witness.n_params,
                    "decrements": [
                        {
                            "widths": list(lower.widths),
                            "dimension": lower.dimension,
                            "proved": lower.proved,
                            "error_bound": lower.error_bound,
                        }
                        for lower in item.decrements
                    ],
                }
                for item in self.items
            ],
        }


def minimal_filling(
    n_inputs: int,
    n_outputs: int,
    depth: int,
    activation: Any = 2,
    *,
    bias: bool = False,
    rng: object = 0,
    primes: int = 2,
    max_error: float = 1e-9,
) -> MinimalFilling:
    """All hidden widths whose functions fill the ambient space while no single decrement does.

    To fill is to have the dimension of the ambient space: n_outputs polynomials with all monomials of ``net.basis``.
    Then almost every one of them, over the complex numbers, is a function of the network.

    Parameters
    ----------
    n_inputs, n_outputs : int
    depth : int
        Number of weight matrices: depth − 1 hidden layers.
    activation
        As for `polycore.MLP`; a tuple has one entry a hidden layer.
    bias : bool
    rng : int or numpy.random.Generator
        A seed, for all ranks; from a Generator a 64-bit seed is drawn.
    primes : int
        As for `polycore.dimension`.
    max_error : float
        Of all ranks that are not proved together, 0 < max_error < 1.

    Returns
    -------
    MinimalFilling
        A sequence of items with ``.widths`` (inputs and outputs included). Empty if nothing fills, as for activations
        without a constant term, whose functions have none either.

    Raises
    ------
    TypeError, ValueError
        For bad arguments.
    OverflowError, MemoryError
        If the ambient space is so large that the rank of a filling network cannot be computed.

    Notes
    -----
    *Only finitely many widths matter.* A unit more is a function more to combine, so the set of functions of a network
    grows with its widths, and the filling widths are an upward closed set F: its minimal elements are the answer. Let
    N_i be the number of monomials in the inputs up to the degree that layer i reaches (of that degree, without bias and
    for powers). What comes out of layer i lies in a space of dimension N_i, and also in one of dimension M_i(w_{i−1}),
    the number of monomials in the w_{i−1} units before of the degrees that the activation has (with bias, of all
    degrees up to its own). If w_i exceeds one of these numbers, one unit is a combination of the others, the next
    weights can do without it, and lowering w_i by one leaves the set of functions as it is. So all minimal elements
    have w_i <= min(N_i, M_i(w_{i−1})): a box, and in it less.

    *Search.* A list of corners is kept, whose boxes together hold all vectors that are not above a minimal element
    found so far; at first it is the top of the box. If a corner does not fill, nothing below does. If it fills,
    lowering its coordinates one after the other, by bisection, leads to a new minimal element m, and each corner above
    m is replaced by those with one coordinate below m. When no corner fills, the list is complete. That takes as many
    ranks as there are corners in the end, and each is a maximal vector that does not fill, about which any proof must
    say something; and for each minimal element the logarithms of the widths. Vectors above or below known ones need no
    rank, nor those with a proven upper bound (as `polycore.dimension` has it) below the ambient dimension.

    Examples
    --------
    >>> from polycore import minimal_filling
    >>> minimal_filling(2, 2, depth=3, activation=3)
    2 minimal filling architectures of depth 3, 2 to 2, ambient dimension 20, proved complete
      2-3-5-2  31 parameters, with one unit less: 10 19
      2-4-4-2  32 parameters, with one unit less: 19 15
    >>> [item.widths for item in minimal_filling(2, 1, depth=5)]
    [(2, 3, 3, 3, 2, 1)]
    """
    search = _Search(
        as_index(n_inputs, "n_inputs", 1, INT32_MAX),
        as_index(n_outputs, "n_outputs", 1, INT32_MAX),
        as_activations(activation, as_index(depth, "depth", 1, 2**16) - 1),
        as_flag(bias, "bias"),
        as_rng(rng)[1],
        as_index(primes, "primes", 1, INT32_MAX),
        as_probability(max_error, "max_error"),
    )
    minimal = search.run()
    items = tuple(search.item(hidden) for hidden in sorted(minimal))
    error = search.error_bound()
    return MinimalFilling(
        n_inputs=search.n_inputs,
        n_outputs=search.n_outputs,
        depth=len(search.activations) + 1,
        activation=tuple(entry.spec for entry in search.activations),
        bias=search.bias,
        ambient_dimension=search.ambient,
        items=items,
        complete=error == 0,
        error_bound=error,
        n_ranks=search.n_ranks,
        seed=search.seed,
    )


class _Search:
    """Vectors of hidden widths, what is known of them, and the corners that are left."""

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        activations: Sequence[ActivationPolynomial],
        bias: bool,
        seed: int,
        primes: int,
        max_error: float,
    ) -> None:
        self.n_inputs, self.n_outputs, self.bias = n_inputs, n_outputs, bias
        self.activations = tuple(activations)
        self.seed, self.primes, self.max_error = seed, primes, max_error
        self.n_ranks = 0
        self._supports = [[k for k, c in enumerate(a.coefficients) if c != 0] for a in self.activations]
        homogeneous = not bias and all(len(support) == 1 for support in self._supports)
        degrees = [a.degree for a in self.activations]
        self.ambient = n_outputs * count_monomials(n_inputs, prod(degrees), homogeneous if degrees else not bias)
        check_size(2 * self.ambient**2, 8, "the Jacobian of a filling network")
        self._caps = [count_monomials(n_inputs, reached, homogeneous) for reached in accumulate(degrees, mul)]
        self._filling: list[Widths] = []  # minimal elements, and on the way to them
        self._failing: dict[Widths, float] = {}  # error bounds: 0.0 where it is proved

    def run(self) -> list[Widths]:
        """The minimal filling vectors."""
        minimal: list[Widths] = []
        corners = [self._trim(tuple(self._caps))]
        while corners:
            corner = corners.pop()
            filling = self._filling_below(corner)
            if filling is None:
                continue
            found = self._shrink(filling)
            minimal.append(found)
            corners = self._split([*corners, corner], found)
        return minimal

    def item(self, hidden: Widths) -> FillingWidths:
        """A minimal vector with its witness and its decrements."""
        decrements = []
        for i, width in enumerate(hidden):
            if width > 1:
                lower = self._rank(_with(hidden, i, width - 1), self.max_error)
                decrements.append(
                    Decrement(self._full(_with(hidden, i, width - 1)), lower.dimension, lower.proved, lower.error_bound)
                )
        return FillingWidths(self._full(hidden), self._rank(hidden, self.max_error), tuple(decrements))

    def error_bound(self) -> float:
        """Bound of the probability that something fills though it was found not to."""
        unproved = [(hidden, error) for hidden, error in self._failing.items() if error]
        needed = [
            error for hidden, error in unproved if not any(_below(hidden, g) and g != hidden for g in self._failing)
        ]
        return min(1.0, sum(needed, start=0.0))

    # --- geometry of the box ------------------------------------------------------------------------------------------

    def _trim(self, hidden: Widths) -> Widths:
        """The least vector with the same functions as far as counting monomials tells."""
        trimmed: list[int] = []
        before = self.n_inputs
        for width, cap, support in zip(hidden, self._caps, self._supports):
            if self.bias:
                count = count_monomials(before, support[-1] if support else 0)
            else:
                count = sum(count_monomials(before, degree, homogeneous=True) for degree in support)
            before = max(1, min(width, cap, count))
            trimmed.append(before)
        return tuple(trimmed)

    def _split(self, corners: Sequence[Widths], found: Widths) -> list[Widths]:
        """Corners of what is below the corners but not above ``found``, none below another."""
        kept = [corner for corner in corners if not _below(found, corner)]
        split = {
            self._trim(_with(corner, i, width - 1))
            for corner in corners
            if _below(found, corner)
            for i, width in enumerate(found)
            if width > 1
        }
        for corner in sorted(split, key=sum, reverse=True):
            if not any(_below(corner, other) for other in kept):
                kept.append(corner)
        # The narrowest last, which is looked at first.
        return sorted(kept, key=self._n_params, reverse=True)

    def _shrink(self, filling: Widths) -> Widths:
        """A minimal filling vector below a filling one."""
        for i in range(len(filling)):
            low, high = 1, filling[i]
            while low < high:
                middle = (low + high) // 2
                if self._fills(_with(filling, i, middle)):
                    high = middle
                else:
                    low = middle + 1
            filling = _with(filling, i, high)
        return filling

    # --- does it fill? ------------------------------------------------------------------------------------------------

    def _filling_below(self, corner: Widths) -> Widths | None:
        """A filling vector below a corner, if there is one: the corner itself fills then, but may be very wide."""
        if self._known(corner) is False:
            return None
        budget = _GENEROUS * (self.ambient + sum(corner))
        while budget * _GENEROUS < self._n_params(corner):
            narrow = self._trim(self._scaled(corner, budget))
            if self._fills(narrow):
                return narrow
            budget *= 2 * _GENEROUS
        return corner if self._fills(corner) else None

    def _scaled(self, corner: Widths, budget: int) -> Widths:
        """The corner, scaled down to about so many parameters."""
        low, high = 0, 2**20  # in units of 2^-20
        while high - low > 1:
            middle = (low + high) // 2
            if self._n_params(_scale(corner, middle)) <= budget:
                low = middle
            else:
                high = middle
        return _scale(corner, low)

    def _fills(self, hidden: Widths) -> bool:
        hidden = self._trim(hidden)
        known = self._known(hidden)
        if known is not None:
            return known
        # The k-th rank that is not proved may err with probability max_error / (k (k + 1)): together, max_error.
        k = 1 + sum(error > 0 for error in self._failing.values())
        result = self._rank(hidden, self.max_error / (k * (k + 1)))
        if result.dimension == self.ambient:
            self._filling.append(hidden)
            return True
        self._failing[hidden] = result.error_bound
        return False

    def _known(self, hidden: Widths) -> bool | None:
        """Whether it fills, if that can be told without a rank."""
        if any(_below(f, hidden) for f in self._filling):
            return True
        if any(_below(hidden, g) for g in self._failing):
            return False
        if upper_bound(self._network(hidden).program).value < self.ambient:
            self._failing[hidden] = 0.0
            return False
        return None

    def _rank(self, hidden: Widths, max_error: float) -> DimensionResult:
        self.n_ranks += 1
        return dimension(self._network(hidden), self.seed, self.primes, max_error=max_error)

    def _network(self, hidden: Widths) -> MLP:
        return MLP(self._full(hidden), self.activations if hidden else None, self.bias)

    def _full(self, hidden: Widths) -> Widths:
        return (self.n_inputs, *hidden, self.n_outputs)

    def _n_params(self, hidden: Widths) -> int:
        widths = self._full(hidden)
        return sum(n * (m + self.bias) for m, n in pairwise(widths))


def _below(a: Widths, b: Widths) -> bool:
    return all(x <= y for x, y in zip(a, b))


def _with(hidden: Widths, i: int, width: int) -> Widths:
    return (*hidden[:i], width, *hidden[i + 1 :])


def _scale(hidden: Widths, factor: int) -> Widths:
    return tuple(1 + ((width - 1) * factor >> 20) for width in hidden)


def _dashes(widths: Widths) -> str:
    return "-".join(map(str, widths))

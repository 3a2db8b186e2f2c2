# SPDX-License-Identifier: BSD-3-Clause
"""What gradient flow conserves: one quadratic function of the parameters for each symmetric direction of a symmetry.

Let a one-parameter group of symmetries move parameters by θ̇ = Aθ + a with A = Aᵀ. Every loss of the network's function
is constant along it, so ⟨∇L, Aθ + a⟩ = 0, and along the gradient flow θ̇ = −∇L the function q(θ) = θᵀAθ + 2aᵀθ has
q̇ = 2⟨Aθ + a, θ̇⟩ = 0. The symmetries are read off the program, see `polycore.symmetries`:

* scalings of a unit or channel, in-weights times t, out-weights times t^(−r) after an activation z^r: ‖in‖² − r‖out‖²;
* GL(m) on a layer without activation: its symmetric matrices, so the matrix W Wᵀ + b bᵀ − VᵀV of the weights before and
  after; of matrices that fix (1, …, 1) only what is orthogonal to it is left;
* keys and queries: K Kᵀ − Q Qᵀ for each head; values against keys or whatever reads them: differences of square norms;
* channels of convolutions, tokens and skip connections: sums over all weights that change together;
* an activation that is no power has no such quantity, nor has one with a constant that a later bias takes up: the
  direction of that symmetry is not symmetric.

Legend: P = n_params; m units or features on which a symmetry acts.

Sources: S. Du, W. Hu, J. Lee, *Algorithmic regularization in learning deep homogeneous models: layers are automatically
balanced*, NeurIPS 2018, arXiv:1806.00900, for scalings and linear layers; D. Kunin et al., *Neural mechanics: symmetry
and broken conservation laws in deep learning dynamics*, ICLR 2021, arXiv:2012.04728, for the principle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._exact_matrices import echelon
from ._frames import Frames, Positions, read_frames
from ._validation import _describe, _to_array, as_exact_array, as_theta
from .networks import Network
from .symmetries import _parts

__all__ = ["ConservedQuantity", "conserved_quantities"]

Array = NDArray[Any]

_ZERO = Fraction(0)


class _Term(NamedTuple):
    """``factor`` YᵀY, or its diagonal, for Y = θ[positions] − centre; positions (n, m)."""

    factor: int
    positions: Positions
    centre: Fraction
    name: str
    role: str  # "rows" of weights, "columns" of them, or "bias"


@dataclass(frozen=True)
class ConservedQuantity:
    """A quadratic function of the parameters that is constant along the gradient flow of every loss on coefficients.

    Attributes
    ----------
    kind : str
        "units": a number for each unit or channel; "matrix": a symmetric matrix; "centred matrix": one whose rows sum
        to zero; "scalar".
    where : tuple of str
        The parameter arrays it is made of.
    formula : str
        W[i] are the weights and b[i] the bias of unit i; W[:, i] all weights that read unit i, at any position.
    shape : tuple of int
        (m,), (m, m) or ().
    count : int
        Numbers in it that do not repeat others: m, m(m + 1)/2, m(m − 1)/2 or 1.
    n_params : int
        P.

    Examples
    --------
    >>> from polycore import MLP, conserved_quantities
    >>> (quantity,) = conserved_quantities(MLP((2, 2, 1), activation=3))
    >>> quantity
    ConservedQuantity(‖W1[i]‖² − 3 ‖W2[:, i]‖², 2 units)
    >>> quantity.value([1.0, 2.0, 3.0, 4.0, 1.0, 2.0])
    array([ 2., 13.])
    """

    kind: str
    where: tuple[str, ...]
    formula: str
    shape: tuple[int, ...]
    count: int
    n_params: int
    _terms: tuple[_Term, ...] = field(repr=False, compare=False)

    def value(self, theta: ArrayLike) -> Any:
        """What it is at some parameters.

        Parameters
        ----------
        theta : array_like, shape (..., P)
            Numbers of float64, or exact ones: integers and Fractions of dtype object.

        Returns
        -------
        float, or ndarray of shape (..., *shape)
            Of the dtype of ``theta``.

        Raises
        ------
        TypeError, ValueError
            If ``theta`` does not hold real numbers, is not finite or has another shape.
        """
        values = self._as_theta(theta)
        with np.errstate(over="ignore", invalid="ignore"):
            result = sum(term.factor * self._square(term, values) for term in self._terms)
            if self.kind == "centred matrix":
                result = _centred(result)
        return result

    def size(self, theta: ArrayLike) -> Any:
        """Sum of the square norms of all that takes part: what rounding errors of `value` are measured against.

        Parameters
        ----------
        theta : array_like, shape (..., P)

        Returns
        -------
        float, or ndarray of shape (...)

        Raises
        ------
        TypeError, ValueError
            As `value`.
        """
        values = self._as_theta(theta)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = (abs(term.factor) * (_shifted(term, values) ** 2).sum(axis=(-2, -1)) for term in self._terms)
            return sum(squares)

    def _square(self, term: _Term, values: Array) -> Any:
        """YᵀY of a term, (..., m, m), its diagonal (..., m), or its trace (...)."""
        y = _shifted(term, values)
        if "matrix" in self.kind:
            return y.swapaxes(-1, -2) @ y
        return (y**2).sum(axis=-2 if self.kind == "units" else (-2, -1))

    def _as_theta(self, theta: ArrayLike) -> Array:
        kind = _to_array(theta, "theta").dtype.kind
        if kind == "O":
            return as_exact_array(theta, "theta", (..., ("n_params", self.n_params))).astype(object)
        return as_theta(theta, self.n_params, dtype=np.complex128 if kind == "c" else np.float64, finite=True)

    def __repr__(self) -> str:
        count = f"{self.shape[0]} unit{'s' * (self.shape[0] != 1)}" if self.kind == "units" else ""
        what = count or ("a number" if self.kind == "scalar" else f"a {self.kind} {' × '.join(map(str, self.shape))}")
        return f"ConservedQuantity({self.formula}, {what})"


def conserved_quantities(net: Network) -> tuple[ConservedQuantity, ...]:
    """The quadratic functions of the parameters that gradient flow conserves, whatever the loss on coefficients.

    Parameters
    ----------
    net : Network
        Of any family, with concrete activations where their centres matter.

    Returns
    -------
    tuple of ConservedQuantity
        One for each scaled layer, linear layer, head or rescaling, in the order of `Network.symmetries`.

    Raises
    ------
    TypeError
        If ``net`` is not a `Network`.
    ValueError
        If a generic activation has its centre of symmetry at random.

    Notes
    -----
    All symmetric directions of the symmetries that are known to `Network.symmetries` are found, up to combinations of
    scalings of different layers; nothing says that there can be no conserved quantities of another origin. Each is
    conserved by the flow itself; gradient descent with steps of finite length conserves it up to their square.

    Complexity O(P) for the list.

    Examples
    --------
    >>> from polycore import CNN, MLP, LightningAttention, conserved_quantities
    >>> conserved_quantities(MLP((3, 2, 2), activation=1, bias=True))
    (ConservedQuantity(W1 W1ᵀ + b1 b1ᵀ − W2ᵀ W2, a matrix 2 × 2),)
    >>> conserved_quantities(CNN((2, 2, 2), activation=3))
    (ConservedQuantity(‖W1‖² − 3 ‖W2‖², 1 unit), ConservedQuantity(‖W2‖² − 3 ‖W3‖², 1 unit))
    >>> conserved_quantities(LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2))
    (ConservedQuantity(K1 K1ᵀ − Q1 Q1ᵀ, a matrix 2 × 2), ConservedQuantity(‖V1‖² − ‖Q1‖², a number))
    >>> conserved_quantities(MLP((3, 2, 2), activation=[0, 1, 1]))
    ()
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore.Network, got {_describe(net)}")
    known = read_frames(net.program)
    if known.has_generic_centres:
        net.program.require_concrete()
    return tuple(_quantities(known, _Names(net)))


# --- from symmetries to quantities ------------------------------------------------------------------------------------


class _Names:
    """The names of the arrays of each affine instruction."""

    def __init__(self, net: Network) -> None:
        self.weights: dict[int, str] = {}
        self.biases: dict[int, str] = {}
        for name, block in zip(net._layout, net.program.parameters):
            (self.weights if block.kind == "W" else self.biases)[block.instruction] = name


def _quantities(known: Frames, names: _Names) -> Iterator[ConservedQuantity]:
    for number, component in enumerate(known.components):
        linear = component.kind.endswith("linear")
        if not linear and not component.scaled:
            continue
        centres = _best_centres(known, number)
        if centres is None and not linear:
            continue
        m = component.size
        centred = component.kind == "centred linear" or centres is None
        if centred and m == 1:
            continue
        terms = tuple(_terms_of_component(known, number, known.centres if centres is None else centres, names))
        if not linear or m == 1:
            yield _quantity("units", terms, (m,), m, known)
        elif centred:
            yield _quantity("centred matrix", terms, (m, m), m * (m - 1) // 2, known)
        else:
            yield _quantity("matrix", terms, (m, m), m * (m + 1) // 2, known)
    for number in range(len(known.scalars)):
        terms = tuple(_terms_of_scalars(known, number, names))
        if terms:
            yield _quantity("scalar", terms, (), 1, known)


def _quantity(
    kind: str, terms: tuple[_Term, ...], shape: tuple[int, ...], count: int, known: Frames
) -> ConservedQuantity:
    common = math.gcd(*(term.factor for term in terms))
    terms = tuple(sorted((t._replace(factor=t.factor // common) for t in terms), key=lambda t: t.factor < 0))
    if terms[0].factor < 0:  # written with something positive first
        terms = tuple(t._replace(factor=-t.factor) for t in terms)
    where = tuple(dict.fromkeys(term.name for term in terms))
    return ConservedQuantity(kind, where, _formula(kind, terms), shape, count, known.program.n_params, terms)


def _terms_of_component(known: Frames, number: int, centres: dict[int, Fraction], names: _Names) -> Iterator[_Term]:
    """ε g on features moves the rows of the weights that compute them, and takes the columns that read them back."""
    component = known.components[number]
    for block in known.blocks:
        if block.number in component.exponents:
            e = component.exponents[block.number]
            yield _Term(e, block.weights.T, _ZERO, names.weights[block.instruction], "rows")
            if block.has_bias:
                centre = centres.get(block.output, _ZERO)
                yield _Term(e, block.bias[None], centre, names.biases[block.instruction], "bias")
        for axis, before, after in _parts(known, block.input, number):
            e = component.exponents[axis.frame] * axis.exponent
            columns = known.columns(block).reshape(-1, before, component.size, after)
            copies = columns.transpose(0, 1, 3, 2).reshape(-1, component.size)
            positions = block.weights[:, copies].reshape(-1, component.size)
            yield _Term(-e, positions, _ZERO, names.weights[block.instruction], "columns")


def _terms_of_scalars(known: Frames, number: int, names: _Names) -> Iterator[_Term]:
    """Slots are multiplied by powers of t, their weights likewise."""

    def exponent(slot: int) -> int:
        return sum(known.scalars[number][i] * e for i, e in known.scalar_forms[slot].items())

    if any(block.has_bias and exponent(block.input) and known.centres.get(block.input) for block in known.blocks):
        return
    for block in known.blocks:
        out, read = exponent(block.output), exponent(block.input)
        if out != read:
            yield _Term(out - read, block.weights.reshape(-1, 1), _ZERO, names.weights[block.instruction], "rows")
        if out and block.has_bias:
            centre = known.centres.get(block.output, _ZERO)
            yield _Term(out, block.bias[:, None], centre, names.biases[block.instruction], "bias")


# --- centres ----------------------------------------------------------------------------------------------------------


def _best_centres(known: Frames, number: int) -> dict[int, Fraction] | None:
    """Centres such that biases do not move when weights do, which would be a direction that is not symmetric.

    The bias behind a slot with centre a takes up what g does to a. Where slots can be translated other centres do, and
    0 is one of them if the translations lead there; None if they do not.
    """
    read = {block.input for block in known.blocks if block.has_bias and any(_parts(known, block.input, number))}
    rows = [[t.coefficients.get(slot, _ZERO) for t in known.translations] for slot in read]
    reduced, pivots = echelon([[*row, known.centres.get(slot, _ZERO)] for row, slot in zip(rows, read)])
    if len(known.translations) in pivots:
        return None
    steps = {pivot: row[-1] for row, pivot in zip(reduced, pivots)}
    centres = dict(known.centres)
    for at, step in steps.items():
        for slot, coefficient in known.translations[at].coefficients.items():
            centres[slot] = centres.get(slot, _ZERO) - step * coefficient
    return centres


# --- words ------------------------------------------------------------------------------------------------------------


def _formula(kind: str, terms: tuple[_Term, ...]) -> str:
    text = ""
    for term in terms:
        factor = f"{abs(term.factor)} " if abs(term.factor) > 1 else ""
        sign = " − " if term.factor < 0 else " + "
        text += (sign if text else "") + factor + _words(kind, term)
    return text


def _words(kind: str, term: _Term) -> str:
    name = term.name
    if term.role == "bias" and term.centre:
        index = "[i]" if kind == "units" and term.positions.shape[1] > 1 else ""
        name = f"({name}{index} {'−' if term.centre > 0 else '+'} {abs(term.centre)})"
    elif kind == "units" and term.positions.shape[1] > 1:
        name += "[:, i]" if term.role == "columns" else "[i]"
    if "matrix" in kind:
        return f"{name}ᵀ {name}" if term.role == "columns" else f"{name} {name}ᵀ"
    if term.role == "bias" and kind == "units":
        return f"{name}²"
    return f"‖{name}‖²"


def _number(value: Fraction, values: Array) -> Any:
    return value if values.dtype == object else float(value)


def _shifted(term: _Term, values: Array) -> Array:
    taken = values[..., term.positions]
    return taken - _number(term.centre, values) if term.centre else taken


def _centred(matrices: Any) -> Any:
    """Π M Π with Π = I − (1, …, 1)ᵀ(1, …, 1) / m."""
    m = matrices.shape[-1]
    one = Fraction(1, m) if matrices.dtype == object else 1.0 / m
    rows = matrices - matrices.sum(axis=-1, keepdims=True) * one
    return rows - rows.sum(axis=-2, keepdims=True) * one

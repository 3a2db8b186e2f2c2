# SPDX-License-Identifier: BSD-3-Clause
"""Known symmetries of a network's parameters, and the dimension they predict.

Parameters that differ by a symmetry give the same function. The group is read off the program, see `_frames`: where
the values of a slot can be changed by an invertible map that whatever reads them takes back,

* activation c z^r, or c (z − a)^r + k where biases absorb a and k, r >= 2: permutations and scalings of units, or of
  the channels of a convolution; signs only if the polynomial is even or odd about its centre; else permutations;
* c z + k: any invertible linear map (and translations where there are biases);
* keys and queries of attention: K -> g K, Q -> g^{-T} Q for g in GL(d_key); V -> λ V against K; GL(d) between the V of
  a layer, the same g for all its heads, and the K, Q, V of the next; permutations of heads, as of any summands that are
  computed alike;
* what is added to a skip connection can only change together with it.

So the network's functions form a set of dimension at most n_params minus the dimension of a generic orbit.

Notes
-----
With powers throughout the orbit dimension is the number of hidden units (J. Kileel, M. Trager, J. Bruna, *On the
expressive power of deep polynomial neural networks*, NeurIPS 2019, arXiv:1905.12207). Linear maps can have
positive-dimensional stabilisers, so with them it is computed: as the rank of the infinitesimal action at random
parameters over GF(2^31 − 1), which is the generic rank but for a probability below n_params / 2^31.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._coordinate_changes import Change, Linear, Monomial, fractions, product
from ._frames import (
    ActedAxis,
    Component,
    Frames,
    Translations,
    as_shifted_power,
    equivariance,
    read_frames,
)
from ._validation import (
    Array,
    _describe,
    _to_array,
    as_exact_array,
    as_residues,
    as_rng,
    as_theta,
    check_modulus,
    check_size,
    is_prime,
)
from .errors import NumericalError
from .networks import Network
from .program import Program
from .rank import WORD_PRIME, modular_rank

__all__ = ["Symmetry", "SymmetryFactor", "SymmetryGroup", "as_shifted_power", "orbit_dimension"]

_SHOWN_LINES, _SHOWN_LETTERS = 20, 120
# Numbers in the matrix of which `SymmetryGroup.__repr__` takes the rank.
_QUICK = 2**21

# Random scalings are powers of small numbers up to this exponent, beyond they are 1, lest floats overflow.
_MAX_RANDOM_EXPONENT = 64


# --- dimension of orbits ----------------------------------------------------------------------------------------------


def orbit_dimension(program: Program, rng: object = 0) -> int:
    """Dimension of a generic orbit of the known continuous symmetries of a program's parameters.

    Parameters
    ----------
    program : Program
    rng : int or numpy Generator
        For the random parameters.

    Raises
    ------
    MemoryError
        If the matrix of the infinitesimal action (wide linear layers) cannot be held.

    Examples
    --------
    Scalings of three hidden units, and the invertible linear maps of a layer wider than its neighbours:

    >>> from polycore.networks import MLP
    >>> orbit_dimension(MLP((2, 3, 1), activation=2).program)
    3
    >>> orbit_dimension(MLP((2, 5, 2), activation=1).program)
    16
    """
    known = read_frames(program)
    if not any(component.kind.endswith("linear") for component in known.components):
        # Scalings and translations are independent wherever no weight is zero. What fixes the weights of an affine map
        # multiplies all that it writes by one and the same factor as all that it reads. Inputs are multiplied by 1, so
        # in program order everything is; and then no bias moves unless its slot does.
        n_scalings = sum(component.n_scalings for component in known.components) + len(known.scalars)
        return n_scalings + sum(translations.size for translations in known.translations)
    generator, _ = as_rng(rng)
    p = action_prime(program)
    theta = generator.integers(1, p, program.n_params, dtype=np.int64)
    return modular_rank(infinitesimal_action(program, theta, p), p)


def action_prime(program: Program, other: int = 1) -> int:
    """A prime below 2^31 that divides neither ``other`` nor what the symmetries of the program depend on.

    Modulo such a prime the tangents of the symmetries have at most the rank that they have over the rationals.

    Parameters
    ----------
    program : Program
    other : int
        Not 0.
    """
    known = read_frames(program)
    values = [Fraction(e) for component in known.components for e in component.exponents.values()]
    values += known.centres.values()
    for activation in program.activations:
        allowed = equivariance(activation.coefficients)
        values += [allowed.leading, allowed.centre_in, allowed.centre_out]
    for translations in known.translations:
        values += translations.coefficients.values()
    numbers = [other] + [n for value in values for n in (value.numerator or 1, value.denominator)]
    return next(p for p in range(WORD_PRIME, 1, -2) if all(n % p for n in numbers) and is_prime(p))


def infinitesimal_action(program: Program, theta: NDArray[np.int64], p: int) -> NDArray[np.int64]:
    """Tangents at ``theta`` of the known continuous symmetries, over GF(p), shape (n_generators, n_params).

    They are in the kernel of the Jacobian of the coefficients. Indeterminates of generic activations have one and the
    same value here, which does not change the rank.

    Parameters
    ----------
    program : Program
    theta : int64 array, shape (n_params,)
        Residues modulo p.
    p : int
        An `action_prime` of the program.

    Raises
    ------
    MemoryError
        If the matrix cannot be held.
    """
    known = read_frames(program)
    check_size(n_generators(known) * program.n_params, 16, "the infinitesimal action of the symmetries")
    return tangents(known, theta, lambda value: value.numerator * pow(value.denominator, -1, p) % p, p)


def scaled_parameters(program: Program) -> list[int]:
    """A parameter for each scaling of a hidden unit or channel: the first weight of the unit.

    The columns of these parameters in the Jacobian are combinations of the other columns wherever no weight is zero:
    the tangent of a scaling is in the kernel. It moves the first weight of its own unit, and of those in the list
    besides only some whose affine map comes later in the program, so that its restriction to the list is triangular.
    """
    known = read_frames(program)
    first = [known.blocks[next(iter(c.exponents))] for c in known.components if c.scaled]
    return [block.start + unit * block.n_in for block in first for unit in range(block.n_out)]


def expected_dimension(ambient_dimension: int, n_params: int, orbit: int) -> int:
    """min(ambient dimension, n_params − orbit dimension): what the network's image has unless it is defective."""
    return min(ambient_dimension, n_params - orbit)


# --- the infinitesimal action -----------------------------------------------------------------------------------------


def n_generators(known: Frames) -> int:
    """Dimension of the Lie algebra of the known symmetries."""
    n = sum(component.n_generators for component in known.components) + len(known.scalars)
    return n + sum(translations.size for translations in known.translations)


def tangents(known: Frames, theta: Array, ring: Callable[[Fraction], Any], p: int = 0) -> Array:
    """The tangents at theta of a basis of the Lie algebra of the known symmetries, (n_generators, n_params).

    In this order: for each component the matrix units (i, j) of a linear one, i before j, less (i, i) and without i = j
    if it fixes (1, …, 1), or the scalings of its features; the scalars; the translations, feature by feature.

    Parameters
    ----------
    known : Frames
    theta : ndarray, shape (n_params,)
        Residues (int64) or float64.
    ring : callable
        Takes Fractions to that ring.
    p : int
        The prime below 2^31, or 0 for floats.
    """
    rows = np.zeros((n_generators(known), theta.size), dtype=theta.dtype)
    start = 0
    for number, component in enumerate(known.components):
        part = rows[start : start + component.n_generators]
        start += component.n_generators
        if component.kind.endswith("linear"):
            part[:] = _linear_tangents(known, number, theta, ring, p)
        else:
            for feature, row in enumerate(part):
                _add_scaling(known, theta, row, ring, p, component=number, feature=feature)
    for number, row in enumerate(rows[start : start + len(known.scalars)]):
        _add_scaling(known, theta, row, ring, p, scalars=number)
    start += len(known.scalars)
    for translations in known.translations:
        for feature, row in enumerate(rows[start : start + translations.size]):
            _add_translation(known, translations, feature, theta, row, ring, p)
        start += translations.size
    return rows


def _linear_tangents(known: Frames, number: int, theta: Array, ring: Callable[[Fraction], Any], p: int) -> Array:
    """z -> z + ε E z for the matrix units E = (i, j) of a component, −Eᵀ for inverse transposes."""
    component = known.components[number]
    m = component.size
    rows = np.zeros((m, m, theta.size), dtype=theta.dtype)
    units = np.arange(m)
    for block in known.blocks:
        weights, bias = block.weights, block.bias
        W, b = theta[weights], theta[bias]
        if block.number in component.exponents:
            dual = component.exponents[block.number] < 0
            centre = ring(known.centres.get(block.output, Fraction(0)))
            for i in units:
                # Row i moves by row j; of inverse transposes row j by −row i.
                if dual:
                    rows[i][units[:, None], weights] -= W[i]
                else:
                    rows[i][:, weights[i]] += W
                if block.has_bias:
                    rows[i][units, bias if dual else bias[i]] += centre - b[i] if dual else b - centre
        for axis, before, after in _parts(known, block.input, number):
            dual = component.exponents[axis.frame] < 0
            centre = ring(known.centres.get(block.input, Fraction(0)))
            columns = known.columns(block).reshape(-1, before, m, after)
            for copy in columns.transpose(0, 1, 3, 2).reshape(-1, m):  # each copy of the features
                for i in units:
                    # Column j takes −column i back; of inverse transposes column i column j.
                    if dual:
                        rows[i][:, weights[:, copy[i]]] += W[:, copy].T
                    else:
                        rows[i][units[:, None], weights[:, copy].T] -= W[:, copy[i]]
                    if block.has_bias and centre:
                        change = -W[:, copy].T if dual else np.broadcast_to(W[:, copy[i]], (m, block.n_out))
                        rows[i][:, bias] += _reduce(centre * change, p)
    if component.kind == "centred linear":
        rows -= rows[units, units][:, None]
        rows = rows[~np.eye(m, dtype=np.bool_)]
    return np.asarray(_reduce(rows.reshape(-1, theta.size), p))


def _add_scaling(
    known: Frames,
    theta: Array,
    row: Array,
    ring: Callable[[Fraction], Any],
    p: int,
    component: int | None = None,
    feature: int = 0,
    scalars: int | None = None,
) -> None:
    """Features of slots grow by ε times an exponent, about the centres: of a component's scaling, or of scalars."""

    def exponents(slot: int, size: int) -> list[tuple[int, int]]:
        if scalars is not None:
            total = sum(known.scalars[scalars][i] * e for i, e in known.scalar_forms[slot].items())
            return [(i, total) for i in range(size)] if total else []
        assert component is not None
        found = []
        for axis, before, after in _parts(known, slot, component):
            e = known.components[component].exponents[axis.frame] * axis.exponent
            found += [((q * axis.size + feature) * after + r, e) for q in range(before) for r in range(after)]
        return found

    for block in known.blocks:
        out, read = exponents(block.output, block.n_out), exponents(block.input, known.n_features(block.input))
        if not (out or read):
            continue
        weights, bias, columns = block.weights, block.bias, known.columns(block)
        W, b = theta[weights], theta[bias]
        centre, centre_in = (ring(known.centres.get(slot, Fraction(0))) for slot in (block.output, block.input))
        for i, e in out:
            row[weights[i]] += _reduce(ring(Fraction(e)) * W[i], p)
            if block.has_bias:
                row[bias[i]] += _reduce(ring(Fraction(e)) * (b[i] - centre), p)
        for i, e in read:
            moved = _reduce(ring(Fraction(e)) * W[:, columns[:, i]], p)
            row[weights[:, columns[:, i]]] -= moved
            if block.has_bias and centre_in:
                row[bias] += _reduce(centre_in * _reduce(moved.sum(axis=1), p), p)
    row[:] = _reduce(row, p)


def _add_translation(
    known: Frames,
    translations: Translations,
    feature: int,
    theta: Array,
    row: Array,
    ring: Callable[[Fraction], Any],
    p: int,
) -> None:
    """One feature of the slots moves by ε."""
    for block in known.blocks:
        if not block.has_bias:
            continue
        if block.output in translations.coefficients:
            row[block.bias[feature]] += ring(translations.coefficients[block.output])
        if block.input in translations.coefficients:
            moved = _reduce(theta[block.weights[:, known.columns(block)[:, feature]]].sum(axis=1), p)
            row[block.bias] -= _reduce(ring(translations.coefficients[block.input]) * moved, p)
    row[:] = _reduce(row, p)


def _parts(known: Frames, slot: int, number: int) -> Iterator[tuple[ActedAxis, int, int]]:
    """The axes of a slot on which a component acts, with the numbers of features of the axes before and after."""
    axes = known.frames(slot)
    for at, axis in enumerate(axes):
        if known.component_of[axis.frame] == number:
            yield axis, math.prod(a.size for a in axes[:at]), math.prod(a.size for a in axes[at + 1 :])


def _reduce(values: Any, p: int) -> Any:
    return values % p if p else values


# --- the group --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Symmetry:
    """An element of a `SymmetryGroup`: a change of coordinates z -> M z + u in the slots of a program.

    Attributes
    ----------
    program : Program
        Whose symmetry it is.
    slots : tuple of int
        Where each slot takes its parameters from: other than itself if summands computed alike are permuted.
    changes : dict
        For the slots that affine instructions read and write, what happens to the features of each position there;
        entries are exact (Fractions) or float64. W between two slots becomes M_out W M_in^{-1}.
    """

    program: Program
    slots: tuple[int, ...]
    changes: dict[int, Change]

    @property
    def is_identity(self) -> bool:
        """Whether it changes no parameters."""
        moved = any(slot != k for k, slot in enumerate(self.slots))
        return not moved and all(change.is_identity() for change in self.changes.values())

    @property
    def is_exact(self) -> bool:
        """Whether its entries are Fractions, not floats."""
        return all(change.shift.dtype == object for change in self.changes.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Symmetry):
            return NotImplemented
        return (
            self.program == other.program
            and self.slots == other.slots
            and self.changes.keys() == other.changes.keys()
            and all(_equal(change, other.changes[slot]) for slot, change in self.changes.items())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self.is_identity:
            return "Symmetry(identity)"
        lines = [f"  slot {slot}: z -> {_words(change)}" for slot, change in self.changes.items()]
        lines = [line for line, change in zip(lines, self.changes.values()) if not change.is_identity()]
        moved = [f"{slot} to {k}" for k, slot in enumerate(self.slots) if slot != k]
        if moved:
            lines.insert(0, f"  slots moved: {', '.join(moved)}")
        lines = [line if len(line) <= _SHOWN_LETTERS else line[: _SHOWN_LETTERS - 4] + " ..." for line in lines]
        return "\n".join([f"Symmetry{'' if self.is_exact else ', rounded'}", *_some(lines)])


@dataclass(frozen=True)
class SymmetryFactor:
    """One of the groups from which a network's symmetries are made.

    Attributes
    ----------
    kind : str
        "permutations" of units or channels; "scalings" of each of them, z -> t z, t ≠ 0, or t > 0 if that is all there
        is, signs apart; "signs"; "linear", all invertible maps, or "centred linear", those that fix (1, …, 1);
        "rescalings" of whole slots against each other; "translations"; "branches", permutations of summands.
    size : int
        Units, features or summands on which it acts.
    where : tuple of str
        The weight arrays whose output it changes.
    dimension : int
        Of the factor as a group.
    exponents : tuple of int
        For scalings, linear maps and rescalings, the power with which each array of ``where`` is multiplied: -1 is the
        inverse transpose of a linear map.
    exponent : int or None
        For scalings: t acts on what comes out of the activation by t^exponent, and on the next weights by its inverse;
        None if there are several.
    """

    kind: str
    size: int
    where: tuple[str, ...]
    dimension: int = 0
    exponents: tuple[int, ...] = ()
    exponent: int | None = None

    def __repr__(self) -> str:
        names = ", ".join(self.where)
        match self.kind:
            case "permutations":
                return f"permutations of {self.size} units ({names})"
            case "scalings":
                out = "" if self.exponent is None else f", t^{self.exponent} after the activation"
                return f"scalings of {_units(self.size)} by t ({_powers(self.where, self.exponents, 't')}{out})"
            case "signs":
                return f"signs of {_units(self.size)} ({names})"
            case "linear":
                return f"GL({self.size}) ({_powers(self.where, self.exponents, 'g')})"
            case "centred linear":
                return f"matrices of GL({self.size}) that fix (1, …, 1) ({_powers(self.where, self.exponents, 'g')})"
            case "rescalings":
                return f"rescalings ({_powers(self.where, self.exponents, 't')})"
            case "translations":
                return f"translations of R^{self.size} ({names})"
        return f"permutations of {self.size} summands ({names})"


class SymmetryGroup:
    """The known symmetries of a network: changes of its parameters that leave its function as it is.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    network : Network
    factors : tuple of SymmetryFactor
        The groups that generate it. They need not commute: permutations act on scalings.

    Raises
    ------
    TypeError
        If ``network`` is not a `Network`.

    Notes
    -----
    It is a group of symmetries, not always the group of all. For generic parameters of deep monomial networks with a
    finite fibre there are no others where identifiability is proved, see `polycore.identifiability`. Elements have real
    entries: of the scalings by roots of unity there are the signs.

    Examples
    --------
    >>> from polycore import MLP
    >>> group = MLP((2, 3, 1), activation=2).symmetries()
    >>> group
    SymmetryGroup of MLP((2, 3, 1), activation=2)
      permutations of 3 units (W1)
      scalings of 3 units by t (W1: t, t^2 after the activation)
      orbits of dimension 3 of 9 parameters
    >>> g = group.random_element(rng=0)
    >>> group.compose(g, group.inverse(g)) == group.identity()
    True
    """

    def __init__(self, network: Network) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"`network` must be a polycore.Network, got {_describe(network)}")
        self.network = network
        self.program = network.program
        self._known = read_frames(self.program)

    def __eq__(self, other: object) -> bool:
        return self.program == other.program if isinstance(other, SymmetryGroup) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self.program))

    def __repr__(self) -> str:
        lines = _some([f"  {factor!r}" for factor in self.factors]) or ["  trivial"]
        # A rank, which is not for a repr to wait for.
        if "orbit_dimension" in self.__dict__ or n_generators(self._known) * self.program.n_params <= _QUICK:
            lines.append(f"  orbits of dimension {self.orbit_dimension} of {self.program.n_params} parameters")
        return "\n".join([f"SymmetryGroup of {self.network!r}", *lines])

    @cached_property
    def factors(self) -> tuple[SymmetryFactor, ...]:
        """The groups from which it is made."""
        return tuple(_factors(self._known, [name for name in self.network._layout if not name.startswith("b")]))

    @cached_property
    def orbit_dimension(self) -> int:
        """Dimension of a generic orbit; see `polycore.symmetries.orbit_dimension`."""
        return orbit_dimension(self.program)

    @property
    def is_trivial(self) -> bool:
        """Whether there is nothing but the identity."""
        return not self.factors

    # -- elements ------------------------------------------------------------------------------------------------------

    def identity(self) -> Symmetry:
        """The element that changes nothing."""
        return self._element()

    def random_element(self, rng: int | np.random.Generator = 0) -> Symmetry:
        """A random element with exact entries of small height, of all factors at once.

        Parameters
        ----------
        rng : int or numpy.random.Generator
            A seed; from a Generator a 64-bit seed is drawn.

        Returns
        -------
        Symmetry
            Never the identity unless the group is trivial.

        Raises
        ------
        TypeError, ValueError
            For a bad seed; ValueError if a generic activation has its centre of symmetry at random.
        """
        generator, _ = as_rng(rng)
        while True:
            g = self._draw(generator)
            if self.is_trivial or not g.is_identity:
                return g

    def act(self, g: Symmetry, theta: ArrayLike, *, modulus: int | None = None) -> Array:
        """The parameters g·θ, which give the same function as θ.

        Parameters
        ----------
        g : Symmetry
            Of this group.
        theta : array_like, shape (..., n_params)
            Real or complex numbers; exact ones (dtype object) if ``g`` is exact; integers or Fractions, with
            ``modulus``.
        modulus : int, optional
            A prime below 2^61: compute in GF(modulus).

        Returns
        -------
        ndarray, shape (..., n_params)
            float64, complex128, object, or uint64 with ``modulus``.

        Raises
        ------
        TypeError
            If ``g`` is not a `Symmetry`, or rounded where exact numbers are wanted.
        ValueError
            If ``g`` belongs to another program, for the wrong shape, or a ``modulus`` that divides a denominator.
        NumericalError
            If the result overflows.
        """
        self._check(g, "g")
        n = self.program.n_params
        if modulus is not None:
            p = check_modulus(modulus)
            self._check_exact(g)
            residues = as_residues(theta, p, "theta", (..., ("n_params", n))).astype(object)
            return as_residues(self._act(g, residues), p, "g")
        kind = _to_array(theta, "theta").dtype.kind
        if kind == "O":
            self._check_exact(g)
            return self._act(g, as_exact_array(theta, "theta", (..., ("n_params", n))))
        values = as_theta(theta, n, dtype=np.complex128 if kind == "c" else np.float64, finite=True)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            result = self._act(g, values)
        if not np.isfinite(result).all():
            raise NumericalError("the parameters overflow to infinity under `g`; use exact ones, of dtype object")
        return result

    def compose(self, g: Symmetry, h: Symmetry) -> Symmetry:
        """The element that acts as h and then g: ``act(compose(g, h), theta)`` is ``act(g, act(h, theta))``.

        Parameters
        ----------
        g, h : Symmetry
            Of this group. If either is rounded, so is the result.

        Returns
        -------
        Symmetry

        Raises
        ------
        TypeError, ValueError
            If ``g`` or ``h`` is not an element of this group.
        """
        self._check(g, "g")
        self._check(h, "h")
        if g.is_exact != h.is_exact:
            g, h = _rounded(g), _rounded(h)
        changes = {slot: change.after(h.changes[g.slots[slot]]) for slot, change in g.changes.items()}
        return Symmetry(self.program, tuple(h.slots[slot] for slot in g.slots), changes)

    def inverse(self, g: Symmetry) -> Symmetry:
        """The element that takes g back.

        Parameters
        ----------
        g : Symmetry
            Of this group.

        Returns
        -------
        Symmetry

        Raises
        ------
        TypeError, ValueError
            If ``g`` is not an element of this group.
        """
        self._check(g, "g")
        slots = [0] * len(g.slots)
        for k, slot in enumerate(g.slots):
            slots[slot] = k
        changes = {slot: g.changes[slots[slot]].inverse() for slot in g.changes}
        return Symmetry(self.program, tuple(slots), changes)

    # -- how elements are made -----------------------------------------------------------------------------------------

    def _element(
        self,
        actions: dict[int, Change] | None = None,
        signs: dict[int, Sequence[Array]] | None = None,
        scalars: dict[int, Any] | None = None,
        scalar_signs: Sequence[int] = (),
        translations: dict[int, Array] | None = None,
        slots: dict[int, int] | None = None,
        exact: bool = True,
    ) -> Symmetry:
        """The element with these parts, identities where none is given.

        Parameters
        ----------
        actions : dict of int to Monomial or Linear
            g of a component, by its number; for permutations with the positive scalings t in ``scale``.
        signs : dict of int to sequence of int arrays
            For the same components, ±1 for each of their sets of signs and each feature.
        scalars : dict of int to number
            t > 0 for each of the frames' `scalars`.
        scalar_signs : sequence of int
            Which of its `scalar_signs`.
        translations : dict of int to ndarray
            v for each of its `translations`.
        slots : dict of int to int
            Slots that take their parameters from others.
        exact : bool
            Whether the parts are given as Fractions, else as floats.
        """
        known = self._known
        if known.has_generic_centres:
            self.program.require_concrete()
        actions, signs, scalars = actions or {}, signs or {}, scalars or {}
        changes: dict[int, Change] = {}
        for slot in sorted({block.output for block in known.blocks} | {block.input for block in known.blocks}):
            if not known.frames(slot) and not known.has_scalars(slot):
                continue
            factor = _scalar(known, slot, scalars, scalar_signs, exact)
            size = known.n_features(slot)
            zero = _zeros(size, exact)
            parts: list[Change] = []
            for axis in known.frames(slot):
                number = known.component_of[axis.frame]
                parts.append(_on_axis(known.components[number], axis, actions.get(number), signs.get(number), exact))
            linear = product(parts, factor, zero)
            centre = known.centres.get(slot)
            shift = zero
            if centre:
                ones = zero + (centre if exact else float(centre))
                shift = ones - linear.values(ones)
            for number, vector in (translations or {}).items():
                coefficient = known.translations[number].coefficients.get(slot)
                if coefficient:
                    shift = shift + vector * (coefficient if exact else float(coefficient))
            changes[slot] = product([linear], 1, shift) if shift is not zero else linear
        order = list(range(len(known.axes)))
        for slot, source in (slots or {}).items():
            order[slot] = source
        return Symmetry(self.program, tuple(order), changes)

    def _draw(self, generator: np.random.Generator) -> Symmetry:
        known = self._known
        actions: dict[int, Change] = {}
        signs: dict[int, Sequence[Array]] = {}
        for number, component in enumerate(known.components):
            m = component.size
            if component.kind == "permutations":
                largest = max(map(abs, _exponents(known, number)))
                scale = _random_scales(generator, m if component.scaled and largest <= _MAX_RANDOM_EXPONENT else 0)
                scale = scale if scale.size else fractions(np.ones(m, dtype=int))
                actions[number] = Monomial(generator.permutation(m), scale, _zeros(m))
            elif component.kind != "fixed":
                actions[number] = _random_linear(generator, m, component.kind == "centred linear")
            signs[number] = [fractions(1 - 2 * generator.integers(0, 2, m)) for _ in component.signs]
        scalars = dict(enumerate(_random_scales(generator, len(known.scalars)).tolist()))
        scalar_signs = [i for i in range(len(known.scalar_signs)) if generator.integers(0, 2)]
        moves = {
            number: fractions(generator.integers(-2, 3, translations.size))
            for number, translations in enumerate(known.translations)
        }
        slots = list(range(len(known.axes)))
        for branches in known.branches:
            order = generator.permutation(len(branches.members))
            before = list(slots)
            for target, source in zip(branches.members, order):
                for k, other in zip(target, branches.members[source]):
                    slots[k + 1] = before[other + 1]
        return self._element(actions, signs, scalars, scalar_signs, moves, dict(enumerate(slots)))

    def _act(self, g: Symmetry, theta: Array) -> Array:
        """g·θ in the ring of θ."""
        known = self._known
        changes = g.changes
        if theta.dtype != object:
            changes = {slot: change.converted(_as_floats) for slot, change in changes.items()}
        elif not all(isinstance(value, Fraction) for value in theta.reshape(-1)[:1]):
            theta = fractions(theta)
        result = theta.copy()
        by_output = {block.output: block for block in known.blocks}
        for block in known.blocks:
            source = by_output[g.slots[block.output]]
            W = theta[..., source.start : source.start + source.n_out * source.n_in]
            W = W.reshape(*theta.shape[:-1], source.n_out, source.n_in)
            read, out = changes.get(block.input), changes.get(block.output)
            columns = known.columns(block)
            if read is not None:
                W = W.copy()
                W[..., columns] = read.columns(W[..., columns])
            if out is not None:
                W = out.rows(W)
            stop = block.start + block.n_out * block.n_in
            result[..., block.start : stop] = W.reshape(*theta.shape[:-1], block.n_out * block.n_in)
            if block.has_bias:
                b = theta[..., source.start + source.n_out * source.n_in :][..., : source.n_out]
                b = b if out is None else out.values(b)
                if read is not None and read.shift.any():
                    b = b - (W[..., columns] * read.shift).sum(axis=(-1, -2))
                result[..., stop : stop + block.n_out] = b
        return result

    def _check(self, g: object, name: str) -> None:
        if not isinstance(g, Symmetry):
            raise TypeError(f"`{name}` must be a Symmetry, an element of the group, got {_describe(g)}")
        if g.program is not self.program and g.program != self.program:
            raise ValueError(f"`{name}` must be a symmetry of this network, got one of another")

    def _check_exact(self, g: Symmetry) -> None:
        if not g.is_exact:
            raise TypeError("`g` must have exact entries to act on exact parameters, got floats")


# --- parts of elements ------------------------------------------------------------------------------------------------


def _on_axis(
    component: Component, axis: ActedAxis, action: Change | None, signs: Sequence[Array] | None, exact: bool
) -> Change:
    """What g does on an axis of a slot: g^e with the exponents of frame and axis, and its signs."""
    size = component.size
    zero = _zeros(size, exact)
    if action is None or component.kind == "fixed":
        action = Monomial(np.arange(size), zero + 1, zero)
    exponent = component.exponents[axis.frame]
    if isinstance(action, Linear):
        if exponent == 1:
            return Linear(action.matrix, action.inverse_matrix, zero)
        return Linear(action.inverse_matrix.T, action.matrix.T, zero)
    scale = action.scale
    if component.scaled or component.kind.endswith("linear"):
        scale = scale ** (exponent * axis.exponent)
    for flipped, sign in zip(component.signs, signs or ()):
        if axis.parity and axis.frame in flipped:
            scale = scale * sign
    return Monomial(action.perm, scale, zero)


def _scalar(known: Frames, slot: int, scalars: dict[int, Any], signs: Sequence[int], exact: bool) -> Any:
    """By what a slot is multiplied as a whole."""
    factor: Any = Fraction(1) if exact else 1.0
    if not known.scalar_forms:
        return factor
    for number, t in scalars.items():
        exponent = sum(known.scalars[number][i] * e for i, e in known.scalar_forms[slot].items())
        factor = factor * t**exponent
    for number in signs:
        if sum(known.scalar_signs[number][i] * e for i, e in known.scalar_parities[slot].items()) % 2:
            factor = -factor
    return factor


def _random_scales(generator: np.random.Generator, n: int) -> Array:
    choices = fractions([Fraction(1, 3), Fraction(1, 2), Fraction(2, 3), Fraction(3, 2), 2, 3])
    return np.asarray(choices[generator.integers(0, len(choices), n)])


def _random_linear(generator: np.random.Generator, m: int, centred: bool) -> Linear:
    """A unimodular matrix with small entries times a diagonal one; with ``centred`` it fixes (1, …, 1)."""
    if centred:
        inner = _random_linear(generator, m - 1, False)
        basis, back = (fractions(np.eye(m, dtype=int)) for _ in range(2))
        basis[1:, 0], back[1:, 0] = Fraction(1), Fraction(-1)
        matrix, inverse = (fractions(np.eye(m, dtype=int)) for _ in range(2))
        matrix[1:, 1:], inverse[1:, 1:] = inner.matrix, inner.inverse_matrix
        return Linear(basis @ matrix @ back, basis @ inverse @ back, _zeros(m))
    matrix = inverse = fractions(np.eye(m, dtype=int))
    if m:
        lower, upper = (np.triu(generator.integers(-1, 2, (m, m)), 1) for _ in range(2))
        scale = _random_scales(generator, m) * fractions(1 - 2 * generator.integers(0, 2, m))
        for factor in (_unipotent(lower.T), scale, _unipotent(upper)):
            if isinstance(factor, tuple):
                matrix, inverse = matrix @ factor[0], factor[1] @ inverse
            else:
                matrix, inverse = matrix * factor, inverse / factor[:, None]
    return Linear(matrix, inverse, _zeros(m))


def _unipotent(nilpotent: NDArray[np.int64]) -> tuple[Array, Array]:
    """1 + N and its inverse 1 − N + N² − …"""
    one = np.eye(len(nilpotent), dtype=object)
    inverse, power = one, one
    for _ in range(len(nilpotent) - 1):
        power = power @ -nilpotent.astype(object)
        inverse = inverse + power
    return fractions(one + nilpotent), fractions(inverse)


def _exponents(known: Frames, number: int) -> list[int]:
    """The exponents with which a component's scalings act somewhere, and 1."""
    exponents = known.components[number].exponents
    return [1] + [
        exponents[axis.frame] * axis.exponent
        for axes in known.axes
        for axis in axes
        if axis.frame is not None and axis.frame in exponents
    ]


def _zeros(size: int, exact: bool = True) -> Array:
    return fractions(np.zeros(size, dtype=int)) if exact else np.zeros(size)


def _as_floats(array: Array) -> Array:
    return array.astype(np.float64)


def _rounded(g: Symmetry) -> Symmetry:
    return Symmetry(g.program, g.slots, {slot: change.converted(_as_floats) for slot, change in g.changes.items()})


def _equal(change: Change, other: Change) -> bool:
    first, second = change.as_linear(), other.as_linear()
    return np.array_equal(first.matrix, second.matrix) and np.array_equal(first.shift, second.shift)


# --- words ------------------------------------------------------------------------------------------------------------


def _factors(known: Frames, names: Sequence[str]) -> Iterator[SymmetryFactor]:
    for number, component in enumerate(known.components):
        frames, m = tuple(component.exponents), component.size
        where = tuple(names[frame] for frame in frames)
        exponents = tuple(component.exponents.values())
        if component.kind.endswith("linear"):
            if component.kind == "linear" or m > 1:
                yield SymmetryFactor(component.kind, m, where, component.n_generators, exponents)
        else:
            if m > 1 and component.kind == "permutations":
                yield SymmetryFactor("permutations", m, where)
            if component.scaled:
                beyond = {e for e in _exponents(known, number)[1:] if e not in exponents}
                yield SymmetryFactor("scalings", m, where, m, exponents, beyond.pop() if len(beyond) == 1 else None)
            for flipped in component.signs:
                if not (component.scaled and flipped == frozenset(frames)):
                    yield SymmetryFactor("signs", m, tuple(names[frame] for frame in frames if frame in flipped))
    for powers in known.scalars:
        moved = [(names[i], e) for i, e in enumerate(powers) if e]
        yield SymmetryFactor("rescalings", 1, tuple(n for n, _ in moved), 1, tuple(e for _, e in moved))
    for odd in known.scalar_signs:
        if not any(all(e % 2 == s for e, s in zip(powers, odd)) for powers in known.scalars):
            yield SymmetryFactor("signs", 1, tuple(name for name, s in zip(names, odd) if s))
    written = {block.output: names[block.number] for block in known.blocks}
    for translations in known.translations:
        where = tuple(name for slot, name in written.items() if slot in translations.coefficients)
        yield SymmetryFactor("translations", translations.size, where, translations.size)
    for branches in known.branches:
        inside = {k for members in branches.members for k in members}
        where = tuple(names[block.number] for block in known.blocks if block.instruction in inside)
        yield SymmetryFactor("branches", len(branches.members), where)


def _units(size: int) -> str:
    return f"{size} units" if size > 1 else "1 unit"


def _powers(names: Sequence[str], exponents: Sequence[int], letter: str) -> str:
    """W1: t, W2: t^-1"""
    inverse = "g^-T" if letter == "g" else f"{letter}^-1"
    words = {1: letter, -1: inverse}
    return ", ".join(f"{name}: {words.get(e, f'{letter}^{e}')}" for name, e in zip(names, exponents))


def _some(lines: list[str]) -> list[str]:
    """The first of many lines, and how many there are besides."""
    if len(lines) <= _SHOWN_LINES:
        return lines
    return [*lines[: _SHOWN_LINES - 1], f"  ... ({len(lines) - _SHOWN_LINES + 1} more)"]


def _words(change: Change) -> str:
    if isinstance(change, Linear):
        rows = "; ".join(" ".join(map(str, row)) for row in change.matrix.tolist())
        text = f"({rows}) z"
    else:
        text = "(" + ", ".join(f"{s} z{i + 1}" for s, i in zip(change.scale.tolist(), change.perm.tolist())) + ")"
    return text + (" + (" + ", ".join(map(str, change.shift.tolist())) + ")" if change.shift.any() else "")

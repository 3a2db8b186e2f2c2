# SPDX-License-Identifier: BSD-3-Clause
"""Moments of data: the sums over samples that a least-squares fit by polynomials needs, accumulated in one pass.

Legend: ``n_vars`` variables, ``n_targets`` targets, ``M`` moments (monomials of degree <= ``degree``), ``M_cross``
monomials of degree <= ``cross_degree``; monomials in ascending graded lex order.
"""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _backend, _state_file, _validation
from ._validation import _format_count
from .errors import NumericalError
from .monomials import MonomialBasis
from .veronese import largest_magnitude, power_bound

if TYPE_CHECKING:
    from .gram import GramOperator
    from .support import MonomialSupport

__all__ = ["Moments"]

Vector = NDArray[np.float64]
M = TypeVar("M", bound="Moments")

FORMAT = "polycore.Moments"
VERSION = 1
# Header keys that later versions will fill. A file that uses one of the first four cannot be read without them.
_RESERVED = ("shift", "scale", "weights", "basis", "provenance")
_ARRAYS = {"base", "levels", "stack", "tail_x", "tail_y"}

# Overflow is ruled out beforehand by the largest entries, if reading the rows once more costs little: for few rows,
# or beside many multiply-adds for each. Otherwise it is looked for afterwards, in a copy of the (then few) sums.
_MANY_ROWS = 4096
_MANY_SUMS = 64
# Sums whose bound stays below this cannot overflow, whatever the rounding.
_SAFE_SUM = 1e300


class Moments:
    """Raw sums over samples (not means): moments, cross moments with targets, and the targets' Gram matrix.

    ``moments[γ] = Σ_s x_s^γ``, ``cross_moments[t, γ] = Σ_s y_st x_s^γ``, ``targets_gram[t, u] = Σ_s y_st y_su``. They
    are all that a least-squares fit by polynomials of degree <= ``degree // 2`` sees of the data: the Gram matrix AᵀA
    of the Veronese matrix A has the entries m_{α+β}, and AᵀB, BᵀB are the others. One pass over any number of rows,
    memory O(M).

    Parameters
    ----------
    n_vars : int
        Number of variables, at least 1.
    degree : int
        Largest degree of the moments: twice the degree of the polynomials to be fitted.
    n_targets : int
        Number of targets, 0 for none.
    cross_degree : int, optional
        Largest degree of the cross moments, ``degree // 2`` by default.
    homogeneous : bool
        Keep only the moments of degree exactly ``degree`` (and ``cross_degree``).

    Attributes
    ----------
    n_vars, degree, n_targets, cross_degree, homogeneous
        As given.
    basis, cross_basis : MonomialBasis
        The monomials of the moments and of the cross moments.
    count : int
        Number of rows seen.
    moments : ndarray, shape (M,)
    cross_moments : ndarray, shape (n_targets, M_cross)
    targets_gram : ndarray, shape (n_targets, n_targets)

    Raises
    ------
    TypeError, ValueError
        If an argument is not an integer or out of range.
    OverflowError, MemoryError
        If the sums would not fit.

    Notes
    -----
    *Reproducible.* The bits of every sum depend on the rows and their order only: not on how they were cut into
    updates, on the memory layout or on the number of threads. Rows are counted from the first, summed in blocks of
    512, and the blocks are added along a binary tree, kept as a stack of partial sums like the digits of a binary
    counter. The rows of an unfinished block are kept raw, so **the state of a stream holds up to 511 raw rows**;
    reading, ``+`` and ``save(..., finalize=True)`` work on finished copies without them. Bits may differ between
    instruction sets and backends.

    *Accuracy.* With u = 2⁻⁵³ the error of a sum over n rows is at most about
    ``(degree + 32 + log2(n)) u Σ_s |term_s|``: one rounding for each multiplication in a term, 32 for the sum of a
    block, one for each level of the tree: pairwise summation (N. Higham, Accuracy and Stability of Numerical
    Algorithms, section 4.2).

    *Merging* is commutative in bits, not associative.

    Examples
    --------
    >>> m = Moments(n_vars=1, degree=4, n_targets=1)
    >>> m.update([[1.0], [2.0]], [[3.0], [5.0]])
    >>> m.update([[3.0]], [[7.0]])
    >>> m
    Moments(n_vars=1, degree=4, n_targets=1, cross_degree=2): 3 rows, 5 moments, 1 x 3 cross moments
    >>> m.moments
    array([ 3.,  6., 14., 36., 98.])
    >>> m.cross_moments
    array([[15., 34., 86.]])
    """

    def __init__(
        self,
        n_vars: int,
        degree: int,
        n_targets: int = 0,
        cross_degree: int | None = None,
        homogeneous: bool = False,
    ) -> None:
        n_vars = _validation.as_index(n_vars, "n_vars", 1)
        degree = _validation.as_index(degree, "degree", 0)
        self._n_targets = _validation.as_index(n_targets, "n_targets", 0)
        cross_degree = degree // 2 if cross_degree is None else _validation.as_index(cross_degree, "cross_degree", 0)
        homogeneous = _validation.as_flag(homogeneous, "homogeneous")
        self._basis = MonomialBasis(n_vars, degree, homogeneous)
        self._cross_basis = MonomialBasis(n_vars, cross_degree, homogeneous)
        _check_size(self._basis, self._cross_basis, self._n_targets)
        self._accumulator = _new_accumulator(n_vars, degree, self._n_targets, cross_degree, homogeneous)
        # A bound on the magnitude of every sum that can come out of what was accumulated.
        self._bound = 0.0
        # Updates release the GIL and may be rolled back: one thread at a time.
        self._lock = threading.Lock()

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def n_vars(self) -> int:
        """Number of variables."""
        return self._basis.n_vars

    @property
    def degree(self) -> int:
        """Largest (if homogeneous: only) degree of the moments."""
        return self._basis.degree

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return self._n_targets

    @property
    def cross_degree(self) -> int:
        """Largest (if homogeneous: only) degree of the cross moments."""
        return self._cross_basis.degree

    @property
    def homogeneous(self) -> bool:
        """Whether only moments of exactly the given degrees are kept."""
        return self._basis.homogeneous

    @property
    def basis(self) -> MonomialBasis:
        """The monomials of `moments`."""
        return self._basis

    @property
    def cross_basis(self) -> MonomialBasis:
        """The monomials of `cross_moments`."""
        return self._cross_basis

    def __repr__(self) -> str:
        arguments = f"n_vars={self.n_vars}, degree={self.degree}"
        sizes = [_plural(self.count, "row"), _plural(self._basis.n_monomials, "moment")]
        if self._n_targets:
            arguments += f", n_targets={self._n_targets}, cross_degree={self.cross_degree}"
            sizes.append(f"{self._n_targets} x {self._cross_basis.n_monomials:,} cross moments")
        if self.homogeneous:
            arguments += ", homogeneous=True"
        return f"Moments({arguments}): {', '.join(sizes)}"

    # -- accumulating -------------------------------------------------------------------------------------------------

    def update(self, X: ArrayLike, Y: ArrayLike | None = None, n_threads: int = 0) -> None:
        """Add rows; all of them, or none if anything goes wrong.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_vars)
            Samples, any number of rows, finite. float32 and float64 arrays are read in place, whatever their strides.
        Y : array_like, shape (n_samples, n_targets), optional
            Targets; required if and only if ``n_targets > 0``.
        n_threads : int
            0 means the default. The result does not depend on it.

        Raises
        ------
        TypeError
            If an array is of the wrong kind, or converting it to float64 would lose precision.
        ValueError
            If a shape is wrong or an entry is NaN or infinite; the message names the row.
        NumericalError
            If a sum overflows.

        Notes
        -----
        One multiply-add for each sum and row, and little else: with x = (u, v) split in two halves of the variables,
        Σ_s u_s^γ v_s^δ over a block of rows is a product of two small matrices.
        """
        n_threads = _validation.check_threads(n_threads)
        x = _as_rows(X, self.n_vars, "X", "n_vars")
        if Y is None and not self._n_targets:
            y: NDArray[Any] = np.empty((len(x), 0), dtype=x.dtype)
        else:
            y = _as_rows(Y, self._n_targets, "Y", "n_targets")
        if len(y) != len(x):
            raise ValueError(f"`X` and `Y` must have the same number of rows, got {len(x)} and {len(y)}")
        if y.dtype != x.dtype:
            x, y = x.astype(np.float64, copy=False), y.astype(np.float64, copy=False)
        if not len(x):
            return
        with self._lock:
            if len(x) <= _MANY_ROWS or self._vector_size() > _MANY_SUMS * self.n_vars:
                bound = self._bound + self._sum_bound(x, y)
                if bound < _SAFE_SUM:
                    # In this order, an interruption in between leaves a bound that is too large, never too small.
                    self._bound = bound
                    self._accumulator.update(x, y, n_threads)
                    return
            self._update_and_check(x, y, n_threads)

    def _sum_bound(self, x: NDArray[Any], y: NDArray[Any]) -> float:
        """A bound on every |sum| over these rows; ValueError where they are not finite."""
        largest_x, largest_y = largest_magnitude(x, "X"), largest_magnitude(y, "Y")
        cross = largest_y * max(power_bound(largest_x, self.cross_degree), largest_y)
        return len(x) * max(power_bound(largest_x, self.degree), cross)

    def _update_and_check(self, x: NDArray[Any], y: NDArray[Any], n_threads: int) -> None:
        """Update, make sure that what will be read is finite, or put everything back."""
        before = self._accumulator.state()
        try:
            self._accumulator.update(x, y, n_threads)
            self._accumulator.finalized()
            self._bound = self._state_bound(self._accumulator.state())
        except BaseException:
            self._accumulator.set_state(before)
            raise

    def _state_bound(self, state: dict[str, Any]) -> float:
        """Every sum to come adds up some partial sums of the state and, at most, all rows of its tail."""
        with np.errstate(over="ignore"):
            partial = [float(np.abs(sums).max()) for part in ("base", "stack") for sums in state[part]]
            return sum(partial) + self._sum_bound(state["tail_x"], state["tail_y"])

    def merge(self, other: Moments) -> None:
        """Add the sums of another accumulator in place; the same bits as ``self + other``.

        The rows of both are finished first, so this ends the stream of ``self``: rows added later start a new one.
        For results that do not depend on who summed what, merge in a fixed order.

        Parameters
        ----------
        other : Moments
            Of the same variables, degrees and targets; unchanged, unless it is ``self``.

        Raises
        ------
        TypeError
            If ``other`` is not a Moments.
        ValueError
            If the two differ in variables, degrees, targets or homogeneity.
        NumericalError
            If a sum overflows.
        """
        if not isinstance(other, Moments):
            raise TypeError(f"`other` must be a Moments, got {type(other).__name__}")
        if self._key() != other._key():
            raise ValueError(
                "`other` must have the same n_vars, degree, n_targets, cross_degree and homogeneous, "
                f"{self._key()}, got {other._key()}"
            )
        more, more_count = other._sums()
        with self._lock:
            sums, count = self._read()
            with np.errstate(over="ignore"):
                total = sums + more
            if not np.isfinite(total).all():
                raise NumericalError("a moment overflowed in the sum; scale the data down")
            self._set_sums(total, count + more_count)

    def __add__(self: M, other: object) -> M:
        if not isinstance(other, Moments):
            return NotImplemented
        result = self._like()
        result._set_sums(*self._sums())
        result.merge(other)
        return result

    def __radd__(self: M, other: object) -> M:
        if type(other) is int and other == 0:  # so that sum([m1, m2]) works
            return self.copy()
        return NotImplemented

    def __iadd__(self: M, other: object) -> M:
        if not isinstance(other, Moments):
            return NotImplemented
        self.merge(other)
        return self

    # -- reading ------------------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self._accumulator.count)

    @property
    def moments(self) -> Vector:
        """The moments ``Σ_s x_s^γ``, a new array of shape (M,)."""
        return self._finalized()[0]

    @property
    def cross_moments(self) -> Vector:
        """The cross moments ``Σ_s y_st x_s^γ``, AᵀB transposed: a new array of shape (n_targets, M_cross)."""
        return self._finalized()[1]

    @property
    def targets_gram(self) -> Vector:
        """The Gram matrix BᵀB of the targets, ``Σ_s y_st y_su``: a new array of shape (n_targets, n_targets)."""
        return self._finalized()[2]

    def gram(self, basis: MonomialBasis | MonomialSupport) -> Vector:
        """The dense Gram matrix Q = AᵀA of the Veronese matrix A of a basis, Q_{αβ} = m_{α+β}.

        Parameters
        ----------
        basis : MonomialBasis or MonomialSupport
            Of degree at most ``degree // 2``.

        Returns
        -------
        ndarray, shape (N, N)
            See `polycore.gram_matrix`.

        Raises
        ------
        TypeError, ValueError, OverflowError, MemoryError
            As `polycore.gram_matrix`.
        """
        from .gram import gram_matrix  # one layer up: a convenience that only delegates

        return gram_matrix(self, basis)

    def gram_operator(self, basis: MonomialBasis, n_threads: int = 0) -> GramOperator:
        """The Gram matrix of `gram` as a scipy LinearOperator that never forms it.

        Parameters
        ----------
        basis : MonomialBasis
            Of degree at most ``degree // 2``.
        n_threads : int
            Threads for products; 0 means the default.

        Returns
        -------
        GramOperator
            See `polycore.gram_operator`.

        Raises
        ------
        TypeError, ValueError
            As `polycore.gram_operator`.
        """
        from .gram import gram_operator

        return gram_operator(self, basis, n_threads)

    def _finalized(self) -> tuple[Vector, Vector, Vector]:
        with self._lock:
            moments, cross, targets = self._accumulator.finalized()
        return moments, cross.reshape(self._n_targets, self._cross_basis.n_monomials), targets

    def _sums(self) -> tuple[Vector, int]:
        """All sums as one vector, and the number of rows."""
        with self._lock:
            return self._read()

    def _read(self) -> tuple[Vector, int]:
        parts = self._accumulator.finalized()
        return np.concatenate([part.reshape(-1) for part in parts]), int(self._accumulator.count)

    def _set_sums(self, sums: Vector, count: int) -> None:
        self._bound = max(self._bound, float(np.abs(sums).max(initial=0.0)))
        self._accumulator.merge(sums, count)

    def _key(self) -> tuple[int, int, int, int, bool]:
        return self.n_vars, self.degree, self._n_targets, self.cross_degree, self.homogeneous

    def _like(self: M) -> M:
        return type(self)(*self._key())

    # -- keeping ------------------------------------------------------------------------------------------------------

    def finalized(self: M) -> M:
        """A copy that holds the sums only, no raw rows; what ``save(path, finalize=True)`` writes."""
        result = self._like()
        result._set_sums(*self._sums())
        return result

    def copy(self: M) -> M:
        """An independent copy that continues the stream with the same bits."""
        return self.from_bytes(self.to_bytes())

    __copy__ = copy

    def __deepcopy__(self: M, memo: dict[int, Any]) -> M:
        return self.copy()

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return type(self).from_bytes, (self.to_bytes(),)

    def save(self, path: str | os.PathLike[str], finalize: bool = False) -> None:
        """Write the state to a file, atomically: it appears complete or not at all.

        Parameters
        ----------
        path : str or path-like
            Used as it is; ``.npz`` is the customary suffix.
        finalize : bool
            Drop the raw rows of the unfinished block: nothing of a single row remains in the file, and a stream
            continued from it has other bits in its last places. By default a loaded stream continues with the same
            bits.

        Raises
        ------
        FileNotFoundError
            If the directory does not exist.
        OSError
            If writing fails; an older file of that name is then untouched.

        Notes
        -----
        An npz (uncompressed zip): ``header.json`` with the arguments, ``count``, ``rows`` of the stream, backend,
        ISA, format version, SHA-256 checksum, and the keys ``shift``, ``scale``, ``weights``, ``basis``,
        ``provenance`` reserved (null); ``base``, ``stack``: finished sums, each row the moments, cross moments and
        targets' Gram matrix in a row; ``levels``: row k of ``stack`` sums 2^levels[k] blocks; ``tail_x``, ``tail_y``:
        the raw rows.
        """
        _check_path(path)
        _state_file.write_atomically(path, self.to_bytes(finalize))

    @classmethod
    def load(cls: type[M], path: str | os.PathLike[str]) -> M:
        """Read a file that `save` wrote, on any backend.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        Moments
            Equal in every bit to the one that was saved; a stream that was not finalised goes on where it stopped.

        Raises
        ------
        TypeError
            If ``path`` is not a path.
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged in any way, of a newer format, or not such a file; the message names it.
        """
        _check_path(path)
        return cls._from_state_file(_state_file.read(path), repr(os.fspath(path)))

    def to_bytes(self, finalize: bool = False) -> bytes:
        """What `save` writes, for other channels than files; pickles hold the same.

        Parameters
        ----------
        finalize : bool
            Drop the raw rows of the unfinished block; see `save`.

        Returns
        -------
        bytes
        """
        moments = self.finalized() if _validation.as_flag(finalize, "finalize") else self
        with moments._lock:
            state = moments._accumulator.state()
        header = {
            "format": FORMAT,
            "version": VERSION,
            "n_vars": self.n_vars,
            "degree": self.degree,
            "n_targets": self._n_targets,
            "cross_degree": self.cross_degree,
            "homogeneous": self.homogeneous,
            "order": "grlex",
            "count": int(state["count"]),
            "rows": int(state["rows"]),
            "block_rows": int(moments._accumulator.block_rows),
            "backend": _backend.name(),
            "isa": _isa(),
            **dict.fromkeys(_RESERVED),
        }
        return _state_file.pack(header, {name: state[name] for name in sorted(_ARRAYS)})

    @classmethod
    def from_bytes(cls: type[M], data: bytes) -> M:
        """The inverse of `to_bytes`.

        Parameters
        ----------
        data : bytes-like

        Returns
        -------
        Moments

        Raises
        ------
        TypeError
            If ``data`` is not bytes.
        ValueError
            If it is not exactly what `to_bytes` wrote, or of a newer format.

        Examples
        --------
        >>> m = Moments(n_vars=2, degree=2)
        >>> m.update([[1.0, 2.0]])
        >>> Moments.from_bytes(m.to_bytes()).moments
        array([1., 1., 2., 1., 2., 4.])
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"`data` must be bytes, got {type(data).__name__}")
        return cls._from_state_file(bytes(data), "`data`")

    @classmethod
    def _from_state_file(cls: type[M], data: bytes, source: str) -> M:
        header, arrays = _state_file.unpack(data, FORMAT, VERSION, source)
        try:
            used = [key for key in _RESERVED if key != "provenance" and header[key] is not None]
            if used:
                raise ValueError(f"it uses {', '.join(used)}, which this polycore cannot apply: upgrade polycore")
            result = cls(*(header[key] for key in ("n_vars", "degree", "n_targets", "cross_degree", "homogeneous")))
            result._set_state(header, arrays)
        except (KeyError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
            raise ValueError(f"{source} cannot be loaded: {error}") from None
        return result

    def _set_state(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        accumulator = self._accumulator
        _check_state(header, arrays, self.n_vars, self._n_targets, self._vector_size())
        if header["block_rows"] == accumulator.block_rows:
            accumulator.set_state({"count": header["count"], "rows": header["rows"], **arrays})
        else:
            # Written with blocks of another size: their sums are as good as any, and the raw rows start a new stream.
            sums = np.zeros(self._vector_size())
            for part in (*arrays["stack"][::-1], *arrays["base"]):
                sums += part
            accumulator.merge(sums, header["count"] - len(arrays["tail_x"]))
            accumulator.update(arrays["tail_x"], arrays["tail_y"], 1)
        self._bound = self._state_bound(accumulator.state())

    def _vector_size(self) -> int:
        n_cross = self._cross_basis.n_monomials if self._n_targets else 0
        return self._basis.n_monomials + self._n_targets * (n_cross + self._n_targets)


# -- helpers ----------------------------------------------------------------------------------------------------------


def _as_rows(value: object, n_columns: int, name: str, symbol: str) -> NDArray[Any]:
    """float32 and float64 arrays as they are, whatever their strides; everything else converted without loss."""
    if (
        isinstance(value, np.ndarray)
        and not isinstance(value, np.ma.MaskedArray)
        and value.dtype in (np.float64, np.float32)
        and value.flags.aligned
        and not any(stride % value.itemsize for stride in value.strides)
    ):
        rows = np.asarray(value)
        _validation.check_samples_shape(rows, n_columns, name, symbol)
        return rows
    return _validation.as_samples(value, n_columns, name, symbol, finite=False, keep_float32=True)


def _check_size(basis: MonomialBasis, cross_basis: MonomialBasis, n_targets: int) -> None:
    """Refuse sums that would not fit: those of a result, a merge and a short stack, and the accumulator's panels."""
    n_cross = cross_basis.n_monomials if n_targets else 0
    n_sums = basis.n_monomials + n_targets * (n_cross + n_targets)
    # Half of the variables make a panel of monomials for a slice of at least 64 samples, even if only forms are summed.
    half = basis.n_vars - basis.n_vars // 2
    top = max(basis.degree, cross_basis.degree if n_targets else 0)
    panel = MonomialBasis(half, top).n_monomials if basis.n_vars > 1 or basis.homogeneous else math.isqrt(top) + 1
    _validation.check_size(
        6 * n_sums + 2 * 64 * (panel + basis.n_vars),
        8,
        f"the work space for {_format_count(n_sums)} sums (n_vars={basis.n_vars}, degree={basis.degree}, "
        f"n_targets={n_targets})",
        "lower the degree or the number of variables",
    )
    for b in (basis, cross_basis) if n_targets else (basis,):
        _validation.check_forms(b.form_vars, b.degree, "degree")


def _check_path(path: object) -> None:
    if isinstance(path, bytes) or not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be a string or a path, got {type(path).__name__}")
    if "\0" in os.fspath(path):
        raise ValueError("`path` must not hold a null character")


def _check_state(
    header: dict[str, Any], arrays: dict[str, NDArray[Any]], n_vars: int, n_targets: int, size: int
) -> None:
    """ValueError unless the parts of a state fit together; a file may be intact and still not come from polycore."""
    if set(arrays) != _ARRAYS:
        raise ValueError(f"it must hold the arrays {sorted(_ARRAYS)}, got {sorted(arrays)}")
    count, rows, block_rows = (_validation.as_index(header[k], k, 0, 2**62) for k in ("count", "rows", "block_rows"))
    base, levels, n_tail = arrays["base"], arrays["levels"], len(arrays["tail_x"])
    shapes = {
        "base": (len(base), size),
        "levels": (len(levels),),
        "stack": (len(levels), size),
        "tail_x": (n_tail, n_vars),
        "tail_y": (n_tail, n_targets),
    }
    for name, shape in shapes.items():
        wanted = np.int64 if name == "levels" else np.float64
        if arrays[name].shape != shape or arrays[name].dtype != wanted or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} must be finite, of dtype {np.dtype(wanted)} and shape {shape}")
    blocks = [int(level) for level in levels]
    if any(not 0 <= level < 62 for level in blocks) or blocks != sorted(set(blocks), reverse=True):
        raise ValueError("levels must be decreasing")
    streamed = sum(block_rows << level for level in blocks) + n_tail
    counts_fit = count >= rows if len(base) else count == rows
    if len(base) > 1 or n_tail >= max(1, block_rows) or streamed != rows or not counts_fit:
        raise ValueError("its counts of rows contradict each other")


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _isa() -> str | None:
    isa = getattr(_backend.kernels(), "isa", None)
    return None if isa is None else str(isa())


# -- the accumulator --------------------------------------------------------------------------------------------------


class Accumulator(Protocol):
    """What `Moments` needs of an accumulator: the compiled one, or `_Accumulator`.

    A vector of sums has length L = M + n_targets * M_cross + n_targets**2 (M_cross = 0 without targets): moments, cross
    moments, targets' Gram matrix. The state is a dict of ``count`` (all rows), ``base`` (0 or 1 vectors merged in
    earlier), ``rows`` of the stream since, ``levels`` and ``stack`` of its tree, and the raw rows ``tail_x``,
    ``tail_y``.
    """

    @property
    def count(self) -> int: ...
    @property
    def block_rows(self) -> int: ...
    def update(self, X: NDArray[Any], Y: NDArray[Any], n_threads: int) -> None: ...
    def finalized(self) -> tuple[Vector, Vector, Vector]: ...
    def state(self) -> dict[str, Any]: ...
    def set_state(self, state: dict[str, Any]) -> None: ...
    def merge(self, sums: Vector, count: int) -> None: ...


def _new_accumulator(n_vars: int, degree: int, n_targets: int, cross_degree: int, homogeneous: bool) -> Accumulator:
    kernels = _backend.kernels()
    compiled = getattr(kernels, "Moments", None)
    make = _Accumulator if compiled is None else compiled
    cross_degree = cross_degree if n_targets else 0
    accumulator: Accumulator = make(n_vars, degree, n_targets, cross_degree, homogeneous)
    return accumulator


@dataclass(frozen=True)
class _Stream:
    """The state of an accumulator. Never changed, only replaced: that makes every operation all or nothing."""

    count: int
    base: Vector | None
    rows: int
    stack: tuple[tuple[int, Vector], ...]  # (level, sums of 2^level blocks), levels decreasing
    tail_x: Vector
    tail_y: Vector


class _Accumulator:
    """The accumulator in Python over the kernel ``moment_block``: the fallback, and what the compiled one means."""

    block_rows = 512

    def __init__(self, n_vars: int, degree: int, n_targets: int, cross_degree: int, homogeneous: bool) -> None:
        self._n_vars, self._degree, self._n_targets = n_vars, degree, n_targets
        self._cross_degree, self._homogeneous = cross_degree, homogeneous
        self._n_moments = MonomialBasis(n_vars, degree, homogeneous).n_monomials
        self._n_cross = MonomialBasis(n_vars, cross_degree, homogeneous).n_monomials if n_targets else 0
        self._stream = _Stream(0, None, 0, (), np.empty((0, n_vars)), np.empty((0, n_targets)))

    @property
    def count(self) -> int:
        return self._stream.count

    def update(self, X: NDArray[Any], Y: NDArray[Any], n_threads: int) -> None:
        for array, name in ((X, "X"), (Y, "Y")):
            largest_magnitude(array, name)
        old = self._stream
        stack = list(old.stack)
        start = 0  # the rows of X before this one are done
        tail_x, tail_y = old.tail_x, old.tail_y
        while len(tail_x) + len(X) - start >= self.block_rows:
            stop = start + self.block_rows - len(tail_x)
            sums = self._block_sums(np.concatenate([tail_x, X[start:stop]]), np.concatenate([tail_y, Y[start:stop]]))
            _push(stack, 0, sums)
            tail_x, tail_y, start = tail_x[:0], tail_y[:0], stop
        if not all(np.isfinite(sums).all() for _, sums in stack):
            raise NumericalError("a moment overflowed to infinity; scale the data down")
        self._stream = _Stream(
            old.count + len(X),
            old.base,
            old.rows + len(X),
            tuple(stack),
            np.concatenate([tail_x, X[start:]]).astype(np.float64),
            np.concatenate([tail_y, Y[start:]]).astype(np.float64),
        )

    def finalized(self) -> tuple[Vector, Vector, Vector]:
        """All sums, the unfinished block included: the smallest parts first, the base last."""
        stream = self._stream
        sums = self._block_sums(stream.tail_x, stream.tail_y)
        with np.errstate(over="ignore", invalid="ignore"):
            for _, part in reversed(stream.stack):
                sums = part + sums
            if stream.base is not None:
                sums = stream.base + sums
        if not np.isfinite(sums).all():
            raise NumericalError("a moment overflowed to infinity; scale the data down")
        return self._split(sums)

    def state(self) -> dict[str, Any]:
        stream = self._stream
        size = self._vector_size()
        return {
            "count": stream.count,
            "base": np.zeros((0, size)) if stream.base is None else stream.base[None].copy(),
            "rows": stream.rows,
            "levels": np.array([level for level, _ in stream.stack], dtype=np.int64),
            "stack": np.array([sums for _, sums in stream.stack]).reshape(len(stream.stack), size),
            "tail_x": stream.tail_x.copy(),
            "tail_y": stream.tail_y.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._stream = _Stream(
            int(state["count"]),
            state["base"][0].copy() if len(state["base"]) else None,
            int(state["rows"]),
            tuple((int(level), sums.copy()) for level, sums in zip(state["levels"], state["stack"])),
            state["tail_x"].copy(),
            state["tail_y"].copy(),
        )

    def merge(self, sums: Vector, count: int) -> None:
        self._stream = _Stream(count, sums.copy(), 0, (), np.empty((0, self._n_vars)), np.empty((0, self._n_targets)))

    def _vector_size(self) -> int:
        return self._n_moments + self._n_targets * (self._n_cross + self._n_targets)

    def _block_sums(self, x: NDArray[Any], y: NDArray[Any]) -> Vector:
        sums = np.zeros(self._vector_size())
        if len(x):
            moments, cross, targets = self._split(sums)
            with np.errstate(over="ignore", invalid="ignore"):
                _backend.kernels().moment_block(
                    np.ascontiguousarray(x, dtype=np.float64),
                    np.ascontiguousarray(y, dtype=np.float64),
                    self._degree,
                    self._cross_degree,
                    self._homogeneous,
                    moments,
                    cross,
                    targets,
                )
        return sums

    def _split(self, sums: Vector) -> tuple[Vector, Vector, Vector]:
        """Views of the three parts of a vector of sums."""
        moments, cross, targets = np.split(sums, [self._n_moments, self._n_moments + self._n_targets * self._n_cross])
        return moments, cross.reshape(self._n_targets, self._n_cross), targets.reshape(self._n_targets, self._n_targets)


def _push(stack: list[tuple[int, Vector]], level: int, sums: Vector) -> None:
    """Add a node to the binary counter of pairwise summation: equal levels are added, the older first."""
    with np.errstate(over="ignore", invalid="ignore"):
        while stack and stack[-1][0] == level:
            sums = stack.pop()[1] + sums
            level += 1
    stack.append((level, sums))

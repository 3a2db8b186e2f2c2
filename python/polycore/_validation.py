# SPDX-License-Identifier: BSD-3-Clause
"""The one place where shapes, dtypes, values and sizes are checked: once, before dispatch.

Public functions call these helpers on what the user gave; everything below them (backends, C++) sees C-contiguous,
aligned, native arrays of the promised dtype and shape. The rules:

* conversions that lose nothing are made silently: integers that the target represents exactly, bools, narrower floats,
  big-endian, strided, misaligned, read-only, Fortran order, nested lists;
* conversions that lose something are refused: complex to real, longdouble, objects, strings, float64 to float32,
  integers that a float64 cannot hold;
* ``as_`` functions return the converted value, ``check_`` functions raise or return a plain value; TypeError means the
  wrong kind of object or dtype, ValueError the wrong shape or value;
* messages name the argument, what was expected in symbols, and what came.

Shapes are written as tuples whose entries are a symbol (any size), an int, or ``(symbol, size)``; a leading ``...``
stands for any number of batch axes: ``(..., ("n_params", 10))`` prints as ``(..., n_params=10)``.
"""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from numbers import Integral, Rational
from types import EllipsisType
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]
Axis: TypeAlias = str | int | tuple[str, int] | EllipsisType
Shape: TypeAlias = tuple[Axis, ...]

FLOAT64 = np.dtype(np.float64)
COMPLEX128 = np.dtype(np.complex128)
UINT64 = np.dtype(np.uint64)

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
MAX_MODULUS = 2**61  # exclusive: products of residues and short sums of them fit in 128 bits
MAX_THREADS = 1024

# Arrays are looked through so many entries at a time, which keeps the masks in cache.
_BLOCK = 2**18
# Requests below this are never compared with the machine's memory: asking the system costs tens of microseconds.
_SMALL_REQUEST = 64 * 2**20


# --- scalars ----------------------------------------------------------------------------------------------------------


def as_index(value: object, name: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """An integer argument as a Python int.

    Accepts ints and numpy integers (also 0-d arrays of them). Raises TypeError for bool, float (also 2.0), str, None,
    and ValueError outside ``minimum <= value <= maximum``.
    """
    if type(value) is int:
        number = value
    else:
        if isinstance(value, (bool, np.bool_)) or (isinstance(value, np.ndarray) and value.dtype.kind not in "iu"):
            raise TypeError(f"`{name}` must be an integer, got {_describe(value)}")
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"`{name}` must be an integer, got {_describe(value)}") from None
    if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        bounds = f"{minimum} <= {name}" if minimum is not None else name
        bounds += f" <= {maximum}" if maximum is not None else ""
        raise ValueError(f"`{name}` must be an integer with {bounds}, got {_format_int(number)}")
    return number


def as_flag(value: object, name: str) -> bool:
    """A bool argument (Python or numpy); TypeError for anything else, so that `homogeneous="no"` is not true."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(f"`{name}` must be True or False, got {_describe(value)}")


def as_sequence(value: object, name: str, expected: str = "a sequence of integers", n_axes: int = 1) -> Sequence[Any]:
    """``value`` itself if it is a sequence, or an array with this many axes, and no text."""
    listed = value.ndim == n_axes if isinstance(value, np.ndarray) else isinstance(value, Sequence)
    if not listed or isinstance(value, (str, bytes)):
        raise TypeError(f"`{name}` must be {expected}, got {_describe(value)}")
    return cast("Sequence[Any]", value)


def as_real(value: object, name: str, minimum: float | None = None, finite: bool = True) -> float:
    """A real number argument as a float.

    TypeError for bool, complex, str, None; ValueError for NaN, infinity, or a number that is too small.
    """
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be a real number, got {_describe(value)}")
    if type(value) is not float:
        value = float(as_real_array(value, name, shape=(), finite=False))
    if finite and not np.isfinite(value):
        raise ValueError(f"`{name}` must be finite, got {value}")
    if minimum is not None and not value >= minimum:
        raise ValueError(f"`{name}` must be at least {minimum}, got {value}")
    return value


def as_probability(value: object, name: str) -> float:
    """A real number between 0 and 1, both excluded, as a float."""
    number = as_real(value, name)
    if not 0 < number < 1:
        raise ValueError(f"`{name}` must be between 0 and 1, got {value}")
    return number


def check_choice(value: object, name: str, choices: Sequence[object]) -> None:
    """ValueError unless ``value`` is one of ``choices``."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, got {_describe(value)}")


def check_threads(n_threads: object) -> int:
    """``n_threads`` as an int; 0 means the default (POLYCORE_NUM_THREADS, OMP_NUM_THREADS, hardware)."""
    return as_index(n_threads, "n_threads", 0, MAX_THREADS)


def check_modulus(modulus: object) -> int:
    """``modulus`` as an int; ValueError unless it is a prime below 2^61."""
    p = as_index(modulus, "modulus")
    if not 2 <= p < MAX_MODULUS:
        raise ValueError(f"`modulus` must be a prime with 2 <= modulus < 2^61, got {_format_int(p)}")
    if not is_prime(p):
        raise ValueError(f"`modulus` must be prime, got {p}")
    return p


@lru_cache(maxsize=1024)
def is_prime(n: int) -> bool:
    """Whether n < 3.3·10^24 is prime: Miller–Rabin, deterministic with the first 13 primes as bases.

    Four of them do below 3.2·10^9.

    Source: J. Sorenson, J. Webster, *Strong pseudoprimes to twelve prime bases*, Math. Comp. 86 (2017); for four bases
    C. Pomerance, J. L. Selfridge, S. S. Wagstaff, *The pseudoprimes to 25·10^9*, Math. Comp. 35 (1980).
    """
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
    if n < 2:
        return False
    for q in bases:
        if n % q == 0:
            return n == q
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    odd = (n - 1) >> twos
    for base in bases[:4] if n < 3_215_031_751 else bases:
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def as_dtype(dtype: object, choices: Sequence[DTypeLike], name: str = "dtype") -> np.dtype[Any]:
    """A dtype argument, one of ``choices``; TypeError for anything else."""
    allowed = [np.dtype(choice) for choice in choices]
    try:
        wanted = allowed.index(np.dtype(dtype)) if dtype is not None else -1  # type: ignore[call-overload]
    except Exception:  # what is not a dtype raises TypeError, ValueError, even SyntaxError
        wanted = -1
    if wanted < 0:
        words = ", ".join(str(choice) for choice in allowed)
        raise TypeError(f"`{name}` must be one of {words}, got {_describe(dtype)}")
    return allowed[wanted]


def as_rng(rng: object) -> tuple[np.random.Generator, int]:
    """A generator and the seed that reproduces it.

    ``rng`` is a seed (0 <= rng < 2^64) or a numpy Generator, from which a 64-bit seed is drawn. Whatever a random
    function returns is a function of the seed alone: calling it again with ``rng=seed`` gives the same result.
    """
    if isinstance(rng, np.random.Generator):
        seed = int(rng.integers(0, 2**64, dtype=np.uint64))
    elif rng is None or isinstance(rng, (bool, np.bool_)):
        raise TypeError(f"`rng` must be an integer seed or a numpy.random.Generator, got {_describe(rng)}")
    else:
        try:
            seed = as_index(rng, "rng", 0, 2**64 - 1)
        except TypeError:
            raise TypeError(
                f"`rng` must be an integer seed or a numpy.random.Generator, got {_describe(rng)}"
            ) from None
    return np.random.Generator(np.random.PCG64(seed)), seed


# --- arrays -----------------------------------------------------------------------------------------------------------


def as_real_array(
    value: object,
    name: str,
    ndim: int | None = None,
    shape: Shape | None = None,
    dtype: DTypeLike = np.float64,
    finite: bool = True,
    keep_float32: bool = False,
) -> Array:
    """``value`` as a C-contiguous, aligned, native array of a real floating ``dtype``.

    No copy is made when ``value`` already is one. With ``keep_float32`` float32 input stays float32. ``finite`` raises
    ValueError at the first NaN or infinity, naming its row.
    """
    target = np.dtype(dtype)
    if type(value) is np.ndarray and value.dtype == target and value.flags.c_contiguous and value.flags.aligned:
        array: Array = value
    else:
        array = _to_array(value, name)
        if keep_float32 and array.dtype.kind == "f" and array.dtype.itemsize == 4:
            target = np.dtype(np.float32)
        array = _convert(array, name, target, from_array=isinstance(value, np.ndarray), original=value)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"`{name}` must have {ndim} dimension{'s' * (ndim != 1)}, got shape {array.shape}")
    if shape is not None:
        check_shape(array, name, shape)
    if finite:
        check_finite(array, name)
    return array


def as_theta(
    theta: object, n_params: int, name: str = "theta", dtype: DTypeLike = np.float64, finite: bool = False
) -> Array:
    """Parameters, shape (..., n_params), any number of batch axes.

    Finiteness is left to the executor by default, which checks it as it reads.
    """
    return as_real_array(theta, name, shape=(..., ("n_params", n_params)), dtype=dtype, finite=finite)


def as_point(theta: object, n_params: int, exact: bool, real: bool = False) -> Array:
    """One parameter vector: float64, complex128 unless ``real``, or dtype object with ints and Fractions.

    ``exact`` takes floats for the numbers they stand for.
    """
    array = _to_array(theta, "theta")
    check_shape(array, "theta", (("n_params", n_params),))
    if array.dtype.kind == "c":
        if real or exact:
            raise TypeError(f"`theta` must be real{'' if real else ' with exact=True'}, got complex numbers")
        return as_real_array(theta, "theta", dtype=np.complex128)
    if array.dtype.kind == "f" and not exact:
        return as_real_array(theta, "theta")
    return as_rational_array(theta, "theta") if exact else as_exact_array(theta, "theta").astype(object)


def as_samples(
    X: object,
    n_vars: int,
    name: str = "X",
    symbol: str = "n_vars",
    minimum_rows: int = 0,
    dtype: DTypeLike = np.float64,
    finite: bool = True,
    keep_float32: bool = False,
) -> Array:
    """Data, shape (n_samples, n_vars): rows are samples. A 1-d array is not guessed at."""
    array = as_real_array(X, name, dtype=dtype, finite=False, keep_float32=keep_float32)
    check_samples_shape(array, n_vars, name, symbol, minimum_rows)
    if finite:
        check_finite(array, name)
    return array


def check_samples_shape(
    array: Array, n_vars: int, name: str = "X", symbol: str = "n_vars", minimum_rows: int = 0
) -> None:
    """ValueError unless ``array`` has shape (n_samples >= minimum_rows, n_vars), with a hint for 1-d input."""
    if array.ndim == 1:
        if n_vars == 1:
            hint = f"; one variable still makes a column: pass {name}[:, None]"
        elif array.shape[0] == n_vars:
            hint = f"; for a single sample pass {name}[None, :]"
        else:
            hint = ""
        raise ValueError(f"`{name}` must have shape (n_samples, {symbol}={n_vars}), got {array.shape}{hint}")
    check_shape(array, name, ("n_samples", (symbol, n_vars)))
    if array.shape[0] < minimum_rows:
        raise ValueError(
            f"`{name}` must have at least {minimum_rows} row{'s' * (minimum_rows != 1)}, got {array.shape[0]}"
        )


def as_residues(value: object, modulus: int, name: str, shape: Shape | None = None) -> NDArray[np.uint64]:
    """Integers or fractions as residues: uint64 in [0, modulus), C-contiguous.

    Accepts integers of any size and sign, bools, and object arrays of Python ints and Fractions. Floats are refused,
    even when whole, since a float that was meant to be exact rarely is.

    Raises
    ------
    TypeError
        For floats, complex numbers, strings, None, ragged lists.
    ValueError
        For the wrong shape, or a denominator divisible by the modulus.
    """
    array = as_exact_array(value, name, shape)
    if array.dtype == object:
        residues = np.empty(array.shape, dtype=np.uint64)
        residues.reshape(-1)[:] = [_residue(entry, modulus, name) for entry in array.reshape(-1)]
        return residues
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:
        reduced = array % np.uint64(modulus)
    else:
        reduced = (array.astype(np.int64) % np.int64(modulus)).astype(np.uint64)
    return np.ascontiguousarray(reduced).reshape(array.shape)


def as_exact_array(value: object, name: str, shape: Shape | None = None) -> Array:
    """An array of integers (numpy dtype) or of Python ints and Fractions (dtype object); floats are TypeError."""
    array = _to_array(value, name)
    if array.dtype.kind == "f" and not isinstance(value, np.ndarray):
        array = _object_array(value, array)  # a list mixing ints beyond int64 comes out of numpy as float64
    if array.dtype.kind not in "iubO":
        raise TypeError(f"`{name}` must hold integers or Fractions for exact arithmetic, got dtype {array.dtype}")
    if array.dtype == object:
        flat = array.reshape(-1)
        exact = np.empty(flat.shape, dtype=object)
        for i, entry in enumerate(flat):
            exact[i] = _exact_number(entry, name, i, array.shape)
        array = exact.reshape(array.shape)
    if shape is not None:
        check_shape(array, name, shape)
    return array


def as_rational_array(value: object, name: str, shape: Shape | None = None) -> Array:
    """An array of Python ints and Fractions (dtype object) that also takes floats: they *are* dyadic rationals.

    TypeError for complex numbers and longdouble, ValueError for NaN and infinity.
    """
    array = _to_array(value, name)
    if array.dtype.kind == "c":
        raise TypeError(f"`{name}` must be real, got dtype {array.dtype}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise TypeError(f"`{name}` must have at most double precision, got dtype {array.dtype}")
    if array.dtype.kind in "fO":
        # A list mixing floats with ints beyond 2^53 or Fractions must not become an array of floats.
        original = array if isinstance(value, np.ndarray) else _object_array(value, array)
        array = np.empty(array.shape, dtype=object)
        array.reshape(-1)[:] = [_dyadic(entry, name) for entry in original.reshape(-1)]
    return as_exact_array(array, name, shape).astype(object)


def check_shape(array: Array, name: str, shape: Shape) -> None:
    """ValueError unless ``array.shape`` matches ``shape`` (see the module docstring for how shapes are written)."""
    axes = shape[1:] if shape and shape[0] is ... else shape
    found = array.shape[array.ndim - len(axes) :] if array.ndim >= len(axes) else None
    matches = found is not None and (axes is not shape or array.ndim == len(axes))
    if found is not None and matches:
        for axis, size in zip(axes, found):
            wanted = axis[1] if isinstance(axis, tuple) else axis
            matches = matches and (isinstance(wanted, str) or wanted == size)
    if not matches:
        raise ValueError(f"`{name}` must have shape {format_shape(shape)}, got {array.shape}")


def format_shape(shape: Shape) -> str:
    """A shape with its symbols, as messages print it."""
    words = [
        f"{axis[0]}={_format_int(axis[1])}" if isinstance(axis, tuple) else "..." if axis is ... else str(axis)
        for axis in shape
    ]
    return f"({words[0]},)" if len(words) == 1 else f"({', '.join(words)})"


def all_finite(array: Array) -> bool:
    """Whether there is no NaN or infinity, block by block: with little memory, and an interrupt is seen in between."""
    if array.flags.f_contiguous:
        array = array.T
    if not array.flags.c_contiguous:
        return bool(np.isfinite(array).all())
    flat = array.reshape(-1)
    return all(np.isfinite(flat[start : start + _BLOCK]).all() for start in range(0, flat.size, _BLOCK))


def check_finite(array: Array, name: str) -> None:
    """ValueError at the first NaN or infinity, naming its row (2-d arrays) or index."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        good = np.isfinite(flat[start : start + _BLOCK])
        if not good.all():
            first = start + int(np.argmin(good))
            index = tuple(int(i) for i in np.unravel_index(first, array.shape))
            where = f"row {index[0]}, column {index[1]}" if array.ndim == 2 else f"index {_format_index(index)}"
            raise ValueError(f"`{name}` must be finite, got {flat[first]} at {where}")


def check_out(
    out: object,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    name: str = "out",
    inputs: Iterable[Array] = (),
    orders: str = "C",
) -> Array:
    """``out`` itself, checked to be writable exactly as it is: a conversion would leave the caller's array unwritten.

    ``orders`` lists the memory orders allowed, "C" or "CF". TypeError for anything but a numpy array of exactly
    ``dtype`` (native byte order); ValueError for the wrong shape, order, alignment, a read-only array, or overlap with
    an input.
    """
    target = np.dtype(dtype)
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"`{name}` must be a numpy array, got {_describe(out)}")
    if out.dtype != target:
        raise TypeError(f"`{name}` must have dtype {target} in native byte order, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"`{name}` must be writable, got a read-only array")
    if not out.flags.aligned:
        raise ValueError(f"`{name}` must be aligned, got a misaligned array")
    if not (out.flags.c_contiguous or ("F" in orders and out.flags.f_contiguous)):
        layout = "C-contiguous or F-contiguous" if "F" in orders else "C-contiguous"
        raise ValueError(f"`{name}` must be {layout}, got strides {out.strides} for shape {out.shape}")
    for array in inputs:
        if np.may_share_memory(out, array):
            raise ValueError(f"`{name}` must not overlap an input in memory")
    return out


# --- sizes ------------------------------------------------------------------------------------------------------------


def check_size(n_items: int, itemsize: int, what: str, alternative: str = "") -> None:
    """Refuse, before anything is allocated, an array that cannot be held.

    Parameters
    ----------
    n_items, itemsize : int
        Number of entries (an exact Python int) and bytes per entry.
    what : str
        What would be allocated, for the message: "the Jacobian".
    alternative : str, optional
        What to call instead, for the message: "use net.jvp or net.vjp".

    Raises
    ------
    OverflowError
        When the size in bytes does not fit in 63 bits, so that it cannot even be counted.
    MemoryError
        When it exceeds the memory that can be had on this machine.
    """
    n_bytes = n_items * itemsize
    if n_bytes < _SMALL_REQUEST:
        return
    hint = f"; {alternative}" if alternative else ""
    if n_bytes > INT64_MAX:
        raise OverflowError(
            f"{what} would have {_format_count(n_items)} entries, {_format_gib(n_bytes)}, beyond 64-bit sizes{hint}"
        )
    available = available_memory()
    if n_bytes > available:
        raise MemoryError(
            f"{what} would have {_format_count(n_items)} entries, {_format_gib(n_bytes)}, "
            f"more than the {_format_gib(available)} that can be had here{hint}"
        )


def check_forms(form_vars: int, degree: int, name: str) -> None:
    """OverflowError or MemoryError for forms of more variables or a higher degree than the kernels' tables can hold.

    The number of coefficients alone does not tell: there is a single form of degree 10^12 in one variable.
    """
    if form_vars > INT32_MAX or degree > INT32_MAX:
        raise OverflowError(
            f"`{name}` must have fewer than 2^31 variables and a degree below 2^31, got forms of degree "
            f"{_format_int(degree)} in {_format_int(form_vars)} variables"
        )
    check_size(form_vars * (degree + 1), 32, f"tables for forms of degree {degree} in {form_vars} variables")


def available_memory() -> int:
    """Bytes this process can still allocate: the least of free RAM and swap, cgroup limits, and address-space limit."""
    return min([INT64_MAX, *_free_ram(), *_cgroup_limits(), *_address_space_limit()])


def _free_ram() -> list[int]:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}
        return [fields["MemAvailable"] + fields.get("SwapFree", 0)]
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:
        return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):
        # NOTE: no portable way to ask here (Windows); a 64-bit address space of 128 TiB still bounds every request.
        return [2**47]


def _cgroup_limits() -> list[int]:
    limits = []
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            with open(limit, encoding="ascii") as limit_file, open(used, encoding="ascii") as used_file:
                limits.append(max(0, int(limit_file.read()) - int(used_file.read())))
        except (OSError, ValueError):  # no such controller, or "max"
            continue
    return limits


def _address_space_limit() -> list[int]:
    if sys.platform == "win32":
        return []
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return []
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        used = 0
    return [max(0, soft - used)]


# --- helpers ----------------------------------------------------------------------------------------------------------


def _to_array(value: object, name: str) -> Array:
    """``np.asarray`` with clear errors for what is not an array of numbers."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"`{name}` must not have masked entries; fill or drop them first")
    if value is None or isinstance(value, (str, bytes, dict, set, frozenset)):
        raise TypeError(f"`{name}` must be an array of numbers, got {_describe(value)}")
    try:
        return np.asarray(value)
    except OverflowError:
        return np.asarray(value, dtype=object)
    except (ValueError, TypeError, RuntimeError) as error:
        raise TypeError(f"`{name}` must be an array of numbers of rectangular shape: {_first_line(error)}") from None


def _convert(array: Array, name: str, target: np.dtype[Any], from_array: bool, original: object) -> Array:
    """``array`` cast to ``target``, C-contiguous and aligned; an error when that would lose something."""
    kind = array.dtype.kind
    if kind not in "biufc":
        hint = " (integers too large for int64, None or Fractions make dtype object)" if kind == "O" else ""
        raise TypeError(f"`{name}` must hold {_kind_words(target)}, got dtype {array.dtype}{hint}")
    if kind == "c" and target.kind != "c":
        raise TypeError(f"`{name}` must be real, got dtype {array.dtype}; taking .real would drop the imaginary part")
    if kind in "fc" and not np.can_cast(array.dtype, target, "safe"):
        raise TypeError(
            f"`{name}` must hold {_kind_words(target)}, got dtype {array.dtype}, which would lose precision"
        )
    if kind in "iu":
        _check_exact_integers(array, name, target)
    elif not from_array and kind in "fc" and array.size:
        _check_list_integers(array, name, target, original)
    return np.require(array.astype(target, order="C", copy=False), requirements=["C", "A"]).reshape(array.shape)


def _check_exact_integers(array: Array, name: str, target: np.dtype[Any]) -> None:
    """ValueError unless every integer is representable in the target's significand."""
    bits = np.finfo(target).nmant + 1
    if array.dtype.itemsize * 8 <= bits or not array.size:
        return
    limit = 2**bits
    if -limit <= int(array.min()) and int(array.max()) <= limit:
        return
    real = np.dtype(np.float32) if bits == 24 else FLOAT64
    for entry in array.reshape(-1).tolist():
        if not -limit <= entry <= limit and int(real.type(entry)) != entry:
            raise ValueError(
                f"`{name}` must hold numbers that {target} represents exactly, got {entry} (beyond 2^{bits})"
            )


def _check_list_integers(array: Array, name: str, target: np.dtype[Any], original: object) -> None:
    """A list such as [2**60 + 1, 0.5] has been rounded by numpy already: look at its integers again."""
    if not (np.abs(array) > 2**53).any():
        return
    for entry in _object_array(original, array).reshape(-1):
        if isinstance(entry, int) and not isinstance(entry, bool) and int(float(entry)) != entry:
            raise ValueError(f"`{name}` must hold numbers that {target} represents exactly, got {entry} (beyond 2^53)")


def _object_array(value: object, template: Array) -> Array:
    array = np.empty(template.shape, dtype=object)
    array[...] = np.array(value, dtype=object)
    return array


def _exact_number(entry: object, name: str, position: int, shape: tuple[int, ...]) -> int | Fraction:
    if type(entry) is int or type(entry) is Fraction:
        return entry
    if isinstance(entry, Rational) and not isinstance(entry, Integral):
        return Fraction(int(entry.numerator), int(entry.denominator))
    try:
        return int(operator.index(entry))  # type: ignore[arg-type]
    except TypeError:
        index = _format_index(tuple(int(i) for i in np.unravel_index(position, shape)))
        raise TypeError(
            f"`{name}` must hold integers or Fractions for exact arithmetic, got {_describe(entry)} at index {index}"
        ) from None


def _dyadic(entry: object, name: str) -> object:
    if not isinstance(entry, (float, np.floating)) or isinstance(entry, np.longdouble):
        return entry
    if not math.isfinite(entry):
        raise ValueError(f"`{name}` must be finite, got {entry}")
    return Fraction(*entry.as_integer_ratio())


def _residue(entry: int | Fraction, modulus: int, name: str) -> int:
    if isinstance(entry, int):
        return entry % modulus
    if entry.denominator % modulus == 0:
        raise ValueError(f"`{name}` has the entry {entry}, whose denominator is divisible by modulus={modulus}")
    return entry.numerator * pow(entry.denominator, -1, modulus) % modulus


def _kind_words(target: np.dtype[Any]) -> str:
    return "complex or real numbers" if target.kind == "c" else f"real numbers ({target})"


def _format_index(index: tuple[int, ...]) -> str:
    return str(index[0]) if len(index) == 1 else str(index)


def _format_int(n: int) -> str:
    # NOTE: Python refuses to print integers of more than 4300 digits, and takes quadratic time before that.
    return str(n) if n.bit_length() < 256 else f"{'-' * (n < 0)}{_format_power(n)}"


def _format_power(n: int) -> str:
    shift = max(0, n.bit_length() - 64)
    # The offset absorbs rounding, so that powers of ten are named rightly.
    return f"about 10^{int(shift * math.log10(2) + math.log10(abs(n) >> shift) + 1e-9)}"


def _format_count(n: int) -> str:
    return f"{n:,}" if n < 10**15 else _format_power(n)


def _format_gib(n_bytes: int) -> str:
    if n_bytes >= 10**9 * 2**30:
        return f"{_format_power(n_bytes >> 30)} GiB"
    return f"{n_bytes / 2**30:,.2f} GiB"


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of dtype {value.dtype} and shape {value.shape}"
    text = _format_int(value) if isinstance(value, int) and not isinstance(value, bool) else repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

# SPDX-License-Identifier: BSD-3-Clause
"""Programs that are chains: dense affine maps and activations in turn, as `polycore.MLP` writes them.

Most theorems on dimensions and identifiability are about chains. This is the one place that finds out whether a program
is one, whichever family wrote it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, TypeAlias

from .program import Activation, Affine, Coefficient, Program
from .symmetries import as_shifted_power

__all__ = ["Chain", "Polynomial", "read_chain", "scaled_parameters"]

# Coefficients low to high.
Polynomial: TypeAlias = tuple[Coefficient, ...]


class Chain(NamedTuple):
    """x -> activations[0], affine map 0, activations[1], affine map 1, ..., affine map L − 1, activations[L].

    Attributes
    ----------
    widths : tuple of int
        d_0, ..., d_L: affine map k takes d_k values to d_{k+1}.
    activations : tuple of L + 1 tuples of Polynomial
        What is applied entrywise at each place, one polynomial after the other; mostly one, none at the two ends.
    biases : tuple of L bool
        Whether each affine map has one.
    """

    widths: tuple[int, ...]
    activations: tuple[tuple[Polynomial, ...], ...]
    biases: tuple[bool, ...]

    @property
    def n_params(self) -> int:
        """Number of parameters of the affine maps."""
        return sum(m * (n + bias) for (n, m), bias in zip(pairwise(self.widths), self.biases))


def read_chain(program: Program) -> Chain | None:
    """The chain that leads from the inputs of a program to its output, or None if something else does.

    Parameters
    ----------
    program : Program
        Instructions that have no influence on the output may be of any kind; `Chain.n_params` is less than
        ``program.n_params`` if they have parameters.

    Returns
    -------
    Chain or None
        An affine map with a single window that reads the whole slot is dense, up to the order of its columns.

    Examples
    --------
    >>> from polycore.networks import MLP
    >>> read_chain(MLP((2, 3, 1), activation=2).program)
    Chain(widths=(2, 3, 1), activations=((), ((0, 0, 1),), ()), biases=(False, False))
    >>> read_chain(Program(3, [Affine(0, 1, windows=((0, 1), (1, 2)))])) is None
    True
    """
    instructions = program.instructions
    # From the output to the inputs.
    widths, biases = list[int](), list[bool]()
    places, place = list[tuple[Polynomial, ...]](), tuple[Polynomial, ...]()
    slot = len(instructions)
    while slot:
        instruction = instructions[slot - 1]
        if isinstance(instruction, Activation):
            place = (instruction.coefficients, *place)
        elif isinstance(instruction, Affine) and (instruction.windows is None or _is_dense(instruction, program)):
            widths.append(instruction.n_out)
            biases.append(instruction.bias)
            places.append(place)
            place = ()
        else:
            return None
        slot = instruction.input
    widths.append(program.n_inputs)
    places.append(place)
    return Chain(tuple(widths[::-1]), tuple(places[::-1]), tuple(biases[::-1]))


def _is_dense(affine: Affine, program: Program) -> bool:
    # A position occurs once in a window.
    return affine.n_windows == 1 and affine.window_size(0) == program.widths[affine.input]


def scaled_parameters(program: Program) -> list[int] | None:
    """What `symmetries.scaled_parameters` gives, in a fraction of the time: for chains with scalings and nothing else.

    Parameters
    ----------
    program : Program

    Returns
    -------
    list of int or None
        The first weight of each hidden unit that has a scaling; their number is the orbit dimension. None if the
        program is no chain, or linear layers may have other continuous symmetries.

    Examples
    --------
    >>> from polycore.networks import MLP
    >>> scaled_parameters(MLP((2, 3, 1), activation=2).program)
    [0, 2, 4]
    """
    chain = read_chain(program)
    if chain is None or chain.n_params < program.n_params:
        return None
    scaled: list[int] = []
    start = 0
    for k, (place, before, after) in enumerate(zip(chain.activations[1:-1], chain.biases, chain.biases[1:])):
        if len(place) != 1 or len(place[0]) <= 2:
            return None
        n, m = chain.widths[k], chain.widths[k + 1]
        power = as_shifted_power(place[0])
        if power is not None and (before or not power[2]) and (after or not power[3]):
            scaled += range(start, start + m * n, n)
        start += m * (n + before)
    return scaled

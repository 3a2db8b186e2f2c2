# SPDX-License-Identifier: BSD-3-Clause
"""Programs without the outputs that are others in other variables.

The outputs of a convolution at all its positions are one polynomial, so that the Jacobian of their coefficients has the
same rows for each of them: for its rank one of them will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ._ambient import output_representatives
from .program import Activation, Add, Affine, Instruction, Program, Select


def with_representative_outputs(program: Program) -> Program:
    """A program with the same parameters and one output, at least, of each kind among those of the given one.

    Complexity: linear in the number of values, see `ambient_dimensions`.

    Examples
    --------
    >>> from polycore.networks import CNN
    >>> program = with_representative_outputs(CNN((2, 2), 2, n_inputs=9).program)
    >>> program.instructions[0].windows, program.instructions[-1].windows
    (((0, 1), (1, 2)), ((0, 1),))
    """
    outputs = output_representatives(program)
    if len(outputs) == program.n_outputs:
        return program
    needed = _needed(program, outputs)
    if any(not needed[block.instruction + 1] for block in program.parameters):
        return program  # parameters without influence keep their place
    copy = _Copy(program, needed)
    for k in range(len(program.instructions)):
        if needed[k + 1]:
            copy.add(k)
    return Program(program.n_inputs, copy.instructions)


def _needed(program: Program, outputs: Iterable[int]) -> list[list[int]]:
    """For each slot the positions that are needed for some outputs, ascending; all of the inputs."""
    needed: list[set[int]] = [set() for _ in program.widths]
    needed[-1] = set(outputs)
    for k in reversed(range(len(program.instructions))):
        instruction, positions = program.instructions[k], needed[k + 1]
        if not positions:
            continue
        if isinstance(instruction, Affine):
            windows = instruction.windows or (range(program.widths[instruction.input]),)
            used = {position // instruction.n_out for position in positions}
            positions |= {w * instruction.n_out + unit for w in used for unit in range(instruction.n_out)}
            needed[instruction.input].update(i for w in used for i in windows[w])
        elif isinstance(instruction, (Activation, Add)):
            for slot in instruction.inputs:
                needed[slot] |= positions
        elif isinstance(instruction, Select):
            needed[instruction.input].update(instruction.indices[position] for position in positions)
        else:
            positions.update(range(program.widths[k + 1]))
            for slot in instruction.inputs:
                needed[slot].update(range(program.widths[slot]))
    # Slots grow while later instructions are looked at, but never after their own turn.
    return [list(range(program.n_inputs)), *(sorted(positions) for positions in needed[1:])]


class _Copy:
    """A program in the making, which holds of each slot of another one the positions that are needed."""

    def __init__(self, program: Program, needed: Sequence[Sequence[int]]) -> None:
        self.program, self.needed = program, needed
        self.instructions: list[Instruction] = []
        self._slots = {0: 0}

    def add(self, k: int) -> None:
        """Add instruction k."""
        instruction, kept = self.program.instructions[k], self.needed[k + 1]
        if isinstance(instruction, Affine):
            place = self._places(instruction.input)
            windows = instruction.windows
            if windows is not None:
                used = dict.fromkeys(position // instruction.n_out for position in kept)
                windows = tuple(tuple(place[i] for i in windows[w]) for w in used)
            instruction = replace(instruction, input=self._slots[instruction.input], windows=windows)
        elif isinstance(instruction, Activation):
            instruction = replace(instruction, input=self._read(instruction.input, kept))
        elif isinstance(instruction, Select):
            place = self._places(instruction.input)
            indices = tuple(place[instruction.indices[position]] for position in kept)
            instruction = Select(self._slots[instruction.input], indices)
        elif isinstance(instruction, Add):
            instruction = Add(tuple(self._read(slot, kept) for slot in instruction.inputs))
        else:
            instruction = replace(instruction, left=self._slots[instruction.left], right=self._slots[instruction.right])
        self.instructions.append(instruction)
        self._slots[k + 1] = len(self.instructions)

    def _places(self, slot: int) -> dict[int, int]:
        """Where the positions of a slot are in what is kept of it."""
        return {position: i for i, position in enumerate(self.needed[slot])}

    def _read(self, slot: int, positions: Sequence[int]) -> int:
        """A slot with these positions and no others."""
        if self.needed[slot] != positions:
            place = self._places(slot)
            self.instructions.append(Select(self._slots[slot], tuple(place[position] for position in positions)))
            return len(self.instructions)
        return self._slots[slot]

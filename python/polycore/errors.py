# SPDX-License-Identifier: BSD-3-Clause
"""The one exception class that is polycore's own; everything else is a builtin."""


class NumericalError(ArithmeticError):
    """A computation failed numerically: a result overflowed to infinity, or an iteration did not converge."""

# SPDX-License-Identifier: BSD-3-Clause
"""The exception and the warning that are polycore's own; everything else is a builtin."""


class NumericalError(ArithmeticError):
    """A computation failed numerically: a result overflowed to infinity, or an iteration did not converge."""


class ConditionWarning(UserWarning):
    """The Gram matrix is so ill-conditioned that the fitted target has lost more than half of its digits."""

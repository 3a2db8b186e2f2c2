# SPDX-License-Identifier: BSD-3-Clause
"""Neural networks with polynomial activations as what they are: polynomials."""

# SPDX-License-Identifier: BSD-3-Clause
"""Neural networks with polynomial activations as what they are: polynomials.

>>> import polycore as pc
>>> net = pc.MLP((2, 2, 1), activation=2)
>>> net.expand([1, 2, 3, 4, 1, 1])
array([[10., 28., 20.]])
"""

from importlib.metadata import version as _version

from . import closed_forms, landscape, metrics
from .activations import GenericActivation, PolynomialActivation, polynomial_activation
from .architectures import Architectures, architectures
from .bias import Bias, BiasRow, Share, bias, voronoi_boundary
from .canonical import Alignment
from .closest_points import ClosestPoints, closest_points
from .config import get_cmake_dir, get_config, get_include, show_config
from .conserved import ConservedQuantity, conserved_quantities
from .count_map import AffineFamily, CountCell, CountMap, count_map
from .critical import Completeness, CriticalPoints, critical_points
from .critical_point import CriticalPoint, Inertia, Origin, classify
from .cross_entropy import CrossEntropy
from .dimension import DimensionResult, dimension
from .equations import Equations, equations
from .errors import ConditionWarning, NumericalError
from .filling import Decrement, FillingWidths, MinimalFilling, minimal_filling
from .gradient_flow import Conservation, GradientFlow, Passage, gradient_flow
from .gram import GramOperator, gram_matrix, gram_operator
from .identifiability import Identifiability, identifiability
from .independence import IndependenceBound, LinearIndependence, linear_independence
from .jacobian_rank import JacobianRank, jacobian_rank
from .layers import Activation, Affine, Attention, Conv, Residual, Select
from .loss import CoefficientLoss, NetworkLoss, QDistance
from .membership import Membership
from .moments import Moments
from .monomials import MonomialBasis, count_monomials
from .networks import CNN, MLP, LightningAttention, Network, NetworkPolynomial, Sequential
from .polynomial_models import ModelDistance, Parametrisation, Variety
from .product import correlation, graded_product
from .program import Indeterminate, Program
from .rank import modular_kernel, modular_rank
from .recovery import Recovery
from .report import Report, report
from .singularities import AttentionRanks, FilterEnds, Hypothesis, PointAnalysis, RedundantUnit, analyze_point
from .spans import LinearSpan
from .specs import network
from .subnetworks import Part, Stratum, Subnetworks, subnetworks
from .support import MonomialSupport
from .sweep import SweepResult, sweep, sweep_rows
from .symmetries import Symmetry, SymmetryFactor, SymmetryGroup
from .thresholds import ActivationThreshold, activation_threshold
from .veronese import veronese

__version__ = _version("polycore")

__all__ = [
    "CNN",
    "MLP",
    "Activation",
    "ActivationThreshold",
    "Affine",
    "AffineFamily",
    "Alignment",
    "Architectures",
    "Attention",
    "AttentionRanks",
    "Bias",
    "BiasRow",
    "ClosestPoints",
    "CoefficientLoss",
    "Completeness",
    "ConditionWarning",
    "Conservation",
    "ConservedQuantity",
    "Conv",
    "CountCell",
    "CountMap",
    "CriticalPoint",
    "CriticalPoints",
    "CrossEntropy",
    "Decrement",
    "DimensionResult",
    "Equations",
    "FillingWidths",
    "FilterEnds",
    "GenericActivation",
    "GradientFlow",
    "GramOperator",
    "Hypothesis",
    "Identifiability",
    "IndependenceBound",
    "Indeterminate",
    "Inertia",
    "JacobianRank",
    "LightningAttention",
    "LinearIndependence",
    "LinearSpan",
    "Membership",
    "MinimalFilling",
    "ModelDistance",
    "Moments",
    "MonomialBasis",
    "MonomialSupport",
    "Network",
    "NetworkLoss",
    "NetworkPolynomial",
    "NumericalError",
    "Origin",
    "Parametrisation",
    "Part",
    "Passage",
    "PointAnalysis",
    "PolynomialActivation",
    "Program",
    "QDistance",
    "Recovery",
    "RedundantUnit",
    "Report",
    "Residual",
    "Select",
    "Sequential",
    "Share",
    "Stratum",
    "Subnetworks",
    "SweepResult",
    "Symmetry",
    "SymmetryFactor",
    "SymmetryGroup",
    "Variety",
    "__version__",
    "activation_threshold",
    "analyze_point",
    "architectures",
    "bias",
    "classify",
    "closed_forms",
    "closest_points",
    "conserved_quantities",
    "correlation",
    "count_map",
    "count_monomials",
    "critical_points",
    "dimension",
    "equations",
    "get_cmake_dir",
    "get_config",
    "get_include",
    "graded_product",
    "gradient_flow",
    "gram_matrix",
    "gram_operator",
    "identifiability",
    "jacobian_rank",
    "landscape",
    "linear_independence",
    "metrics",
    "minimal_filling",
    "modular_kernel",
    "modular_rank",
    "network",
    "polynomial_activation",
    "report",
    "show_config",
    "subnetworks",
    "sweep",
    "sweep_rows",
    "veronese",
    "voronoi_boundary",
]

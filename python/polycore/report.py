# SPDX-License-Identifier: BSD-3-Clause
"""From a data set and a network to a report: what the network is, what the data determine, how well it fits.

`report` goes the whole path (read, split, standardise, accumulate moments, Q-distance, fit, compare) and returns a
`Report`, which `Report.save` writes as a self-contained page ``index.html`` and as ``report.json`` (its fields:
docs/report.md).
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _linalg
from ._report_critical import find_for_report
from ._report_words import AGREEMENT
from ._rows import (
    ARRAYS,
    MAX_VANDERMONDE_ENTRIES,
    Matrix,
    Rows,
    Variable,
    as_variables,
    load_arrays,
    load_file,
    loss_of_rows,
    means,
    scales,
    standardise,
)
from ._validation import _describe, as_flag, as_index, as_real, as_rng, check_size
from .activations import ActivationPolynomial
from .dimension import DimensionResult, dimension
from .fitting import MAX_DENSE_PARAMS, Descent, Fit, hessian_signature, scaled_starts
from .loss import QDistance
from .monomials import MonomialBasis, count_monomials
from .networks import MLP, Network
from .symmetries import expected_dimension, orbit_dimension
from .veronese import veronese

if TYPE_CHECKING:
    from .critical import CriticalPoints

SCHEMA = "polycore-report/1"
# Decompositions of the Gram matrix take seconds at this size, and grow with its cube.
MAX_MONOMIALS = 2000
# Elimination of an n_params × n_params matrix over GF(p): a second or two at this size.
MAX_RANK_PARAMS = 2000


@dataclass(frozen=True)
class DataSummary:
    """Where the rows came from and how they were split."""

    source: str
    n_rows: int
    n_dropped: int
    n_train: int
    n_held_out: int
    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]


@dataclass(frozen=True)
class Architecture:
    """What the network is, ``network`` as text and ``spec`` for `polycore.network`, and its counts.

    ``widths`` are those of an MLP, None for other families. ``expected_dimension`` = min(ambient_dimension, n_params −
    orbit_dimension) with the orbit dimension of the known continuous symmetries. ``jacobian_rank`` is what
    `polycore.dimension` finds: the dimension of the set of functions, certain if ``jacobian_rank_proved``, else larger
    with probability at most ``jacobian_rank_error_bound``. None where the network is too large.
    """

    network: str
    spec: dict[str, Any]
    widths: tuple[int, ...] | None
    n_inputs: int
    n_outputs: int
    activations: tuple[str, ...]
    activation_coefficients: tuple[tuple[float, ...], ...]
    bias: bool
    degree: int
    homogeneous: bool
    n_params: int
    n_monomials: int
    ambient_dimension: int
    orbit_dimension: int
    expected_dimension: int
    jacobian_rank: int | None
    jacobian_rank_proved: bool
    jacobian_rank_error_bound: float | None


@dataclass(frozen=True)
class GramSummary:
    """Q = AᵀA on the network's monomials: what the training rows determine."""

    n_monomials: int
    n_moments: int
    rank: int
    condition: float
    rank_tol: float
    eigenvalues: Matrix = field(repr=False)
    fitted_from: str


@dataclass(frozen=True)
class Errors:
    """Errors on some rows, in the units of the data. ``r2`` is 1 − SS_res / SS_tot, averaged over outputs."""

    n_rows: int
    sum_of_squares: float
    rmse: float
    r2: float
    per_output: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Model:
    """One fitted model; ``held_out`` is None when no rows were held out."""

    key: str
    name: str
    n_coefficients: int
    train: Errors
    held_out: Errors | None


@dataclass(frozen=True)
class Training:
    """The network's fits. Losses are sums of squares of standardised outputs over the training rows.

    ``total`` is the sum of squares of the targets themselves, ``floor`` the least loss of any polynomial in the
    network's ambient space, ``agreement`` the difference between the loss in coefficient space and the sum over the
    rows, as a fraction of ``total``. The first ``n_random`` descents are those of the random starts; there is one more
    if the search for critical points found a lower loss, from there.
    """

    descents: tuple[Descent, ...]
    best: int
    n_at_best: int
    total: float
    floor: float
    hessian: tuple[int, int, int] | None
    agreement: float
    n_random: int

    @property
    def loss(self) -> float:
        """The least loss that a descent reached."""
        return float(self.descents[self.best].loss[-1])


@dataclass(frozen=True)
class Report:
    """What `report` found; `save` writes it, `to_dict` gives what report.json holds, `to_html` the page.

    ``critical`` are the critical points of the loss on the training rows, None where they were not looked for, and then
    ``critical_missing`` says why.
    """

    title: str
    seed: int
    data: DataSummary
    architecture: Architecture
    gram: GramSummary
    models: tuple[Model, ...]
    training: Training
    network: Network
    theta: Matrix = field(repr=False)
    coef: Matrix = field(repr=False)
    target: Matrix = field(repr=False)
    warnings: tuple[str, ...] = field(repr=False)
    command: str | None = field(repr=False)
    predictions: dict[str, Matrix] = field(repr=False)
    critical: CriticalPoints | None = field(default=None, repr=False)
    critical_missing: str = field(default="", repr=False)

    def model(self, key: str) -> Model:
        """One of the fitted models.

        Parameters
        ----------
        key : {"network", "linear", "form", "polynomial"}
            "form" is there for homogeneous networks only, "polynomial" where it is not too large.

        Raises
        ------
        KeyError
            If the report has no such model.
        """
        for model in self.models:
            if model.key == key:
                return model
        raise KeyError(key)

    def __repr__(self) -> str:
        lines = [f"Report: {self.title}", f"  {self.network!r}, {self.data.n_train} training rows, seed {self.seed}"]
        for model in self.models:
            held_out = f", held out R² {model.held_out.r2:.4f}" if model.held_out else ""
            lines.append(f"  {model.name}: training R² {model.train.r2:.4f}{held_out}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON: schema "polycore-report/1", described in docs/report.md."""
        from ._report_page import report_dict

        return report_dict(self)

    def to_html(self) -> str:
        """The report as one self-contained HTML page.

        Raises
        ------
        ImportError
            Without matplotlib and jinja2 (``pip install polycore[report]``).
        """
        from ._report_page import report_html

        return report_html(self)

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Write ``index.html`` and ``report.json`` into the directory ``out`` and return the path of the page.

        Both are made in full before either is put in place, so a failure leaves what was there before.

        Parameters
        ----------
        out : path
            Made if it is not there.

        Raises
        ------
        OSError
            If the directory cannot be made or written.
        """
        from ._report_page import write_report

        return write_report(self, Path(out))


def report(
    x: Any,
    y: Any,
    *,
    widths: Sequence[int] | None = None,
    activation: Any = 2,
    bias: bool = False,
    network: Network | None = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    held_out: float = 0.2,
    n_starts: int = 16,
    max_steps: int = 1000,
    critical_starts: int = 100,
    rng: int | np.random.Generator = 0,
    drop_missing: bool = False,
    delimiter: str | None = None,
    title: str | None = None,
    progress: bool = False,
    command: str | None = None,
) -> Report:
    """Fit a network with polynomial activations to data and report on it, beside linear and polynomial regression.

    Parameters
    ----------
    x : (n_samples, n_inputs) array-like, or column selection when ``data`` is given
        Columns are chosen as in `polycore.tables.Table.resolve`: names, indices, ranges. A data frame brings its names.
    y : (n_samples, n_outputs) or (n_samples,) array-like, or column selection
    widths, activation, bias
        An MLP, as for `polycore.MLP`; ``widths[0]`` is the number of inputs, ``widths[-1]`` that of outputs.
    network : Network, optional
        A network of any family, instead of ``widths``. Columns are its inputs and outputs in its own order.
    data : path, optional
        A CSV, Parquet, .npy or .npz file.
    out : path, optional
        Directory for ``index.html`` and ``report.json``; nothing is written without it.
    held_out : float
        Fraction of the rows, drawn at random, kept aside for testing; 0 <= held_out < 1.
    n_starts, max_steps : int
        Random starts of the optimiser, and steps each may take.
    critical_starts : int
        Random starts of the search for critical points of the loss; 0 leaves them out.
    rng : int or numpy Generator
        For the split, the starts and the random point of the Jacobian.
    drop_missing : bool
        Leave out rows of a file with missing values instead of refusing them.
    delimiter, title, command : str, optional
        Of a CSV file; of the page; the command line to show on the page.
    progress : bool
        Show a progress bar on standard error if that is a terminal (needs tqdm).

    Returns
    -------
    Report

    Raises
    ------
    TypeError, ValueError, OSError
        For bad arguments, a network that does not match the columns, constant columns, bad cells in the file, and
        networks whose polynomials have too many coefficients.
    ImportError
        If ``out`` is given without matplotlib and jinja2, or ``data`` is Parquet without pyarrow.

    Notes
    -----
    Inputs and outputs are standardised: (x − mean) / standard deviation over the training rows. A constant input is an
    error for an MLP, which does better without it; for other networks, whose inputs have their places, it is 0. Errors
    are reported in the original units. Minimising the loss in coefficient space, ‖c_f − A⁺B‖²_Q + constant, costs the
    same for any number of rows.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> result = report(x, (x[:, 0] + x[:, 1]) ** 2, widths=(2, 1, 1), activation=2, bias=True, n_starts=4)
    >>> round(result.model("network").held_out.r2, 6)
    1.0
    """
    generator, seed = as_rng(rng)
    network = _as_network(widths, activation, bias, network)
    network.program.require_concrete()
    drop_missing, progress = as_flag(drop_missing, "drop_missing"), as_flag(progress, "progress")
    for name, text in (("title", title), ("command", command), ("delimiter", delimiter)):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"`{name}` must be a string, got {type(text).__name__}")
    check_report_size(network)
    n_starts, max_steps = as_index(n_starts, "n_starts", 1), as_index(max_steps, "max_steps", 1)
    critical_starts = as_index(critical_starts, "critical_starts", 0)
    held_out = as_real(held_out, "held_out")
    if not 0 <= held_out < 1:
        raise ValueError(f"`held_out` must be a fraction with 0 <= held_out < 1, got {held_out}")
    if out is not None:
        from ._report_page import check_writable, require_report_packages

        require_report_packages()
        check_writable(Path(out))

    rows = load_file(data, x, y, drop_missing, delimiter) if data is not None else load_arrays(x, y)
    check_columns(network, len(rows.x_names), len(rows.y_names))
    train, test = _split(len(rows.X), held_out, generator)
    inputs, outputs = (
        as_variables(rows.X[train], rows.x_names, "input", constants=not isinstance(network, MLP)),
        as_variables(rows.Y[train], rows.y_names, "output"),
    )
    X, Y = standardise(rows.X, inputs), standardise(rows.Y, outputs)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loss, gram = _quadratic_loss(network, X[train], Y[train])
    fit = Fit(loss, network, float(np.sum(Y[train] ** 2)))
    descents = _descend(fit, n_starts, max_steps, generator, progress)
    ends = np.array([descent.theta for descent in descents])
    critical = find_for_report(loss, network, ends, critical_starts, generator)
    training = _training(fit, descents, None if isinstance(critical, str) else critical, max_steps, X[train], Y[train])
    theta = training.descents[training.best].theta
    standardised = {"network": np.asarray(network.evaluate(theta, X))}
    standardised.update(_regressions(network, loss, X, Y, train))
    predictions = {key: values * scales(outputs) + means(outputs) for key, values in standardised.items()}

    linear_size = network.n_outputs * (network.n_inputs + 1)
    names = _model_names(network)
    sizes = {"network": network.n_params, "linear": linear_size, "form": network.n_outputs * len(network.basis)}
    sizes["polynomial"] = network.n_outputs * count_monomials(network.n_inputs, network.degree)
    models = tuple(
        Model(
            key,
            names[key],
            sizes[key],
            _errors(predictions[key][train], rows.Y[train], rows.y_names),
            _errors(predictions[key][test], rows.Y[test], rows.y_names) if len(test) else None,
        )
        for key in ("network", "linear", "form", "polynomial")
        if key in predictions
    )
    result = Report(
        title=title or _title(rows),
        seed=seed,
        data=DataSummary(rows.source, len(rows.X), rows.n_dropped, len(train), len(test), inputs, outputs),
        architecture=_architecture(network, generator),
        gram=gram,
        models=models,
        training=training,
        network=network,
        theta=theta,
        coef=np.asarray(network.expand(theta)),
        target=np.asarray(loss.target),
        warnings=tuple(dict.fromkeys(str(warning.message) for warning in caught)),
        command=command,
        predictions={
            "train": predictions["network"][train],
            "train_observed": rows.Y[train],
            "held_out": predictions["network"][test],
            "held_out_observed": rows.Y[test],
        },
        critical=None if isinstance(critical, str) else critical,
        critical_missing=critical if isinstance(critical, str) else "",
    )
    if out is not None:
        result.save(out)
    return result


def _as_network(widths: Sequence[int] | None, activation: Any, bias: bool, network: Network | None) -> Network:
    if network is None:
        return MLP(widths, activation, bias)  # type: ignore[arg-type]  # which says what widths must be
    if widths is not None:
        raise ValueError("`network` and `widths` must not both be given")
    if not isinstance(network, Network):
        raise TypeError(f"`network` must be a polycore.Network, got {_describe(network)}")
    if not network.n_params:
        raise ValueError(f"`network` must have parameters to fit, got {network!r}")
    return network


def check_columns(network: Network, n_x: int, n_y: int) -> None:
    """ValueError unless the network has as many inputs and outputs as columns were chosen."""
    if network.n_inputs == n_x and network.n_outputs == n_y:
        return
    counts = (
        f"a network with {network.n_inputs} inputs and {network.n_outputs} outputs, but {n_x} input and {n_y} output "
        "columns are given"
    )
    if isinstance(network, MLP):
        shown = ",".join(str(width) for width in network.widths)
        raise ValueError(f"`widths`={shown} is {counts}: the first width must be {n_x} and the last {n_y}")
    raise ValueError(f"`network`={network!r} is {counts}")


def check_report_size(network: Network) -> None:
    """ValueError, with the sizes, for a network whose space of polynomials is too large for a report."""
    n_monomials = network.basis.n_monomials
    if n_monomials > MAX_MONOMIALS:
        kind = "exactly" if network.basis.homogeneous else "at most"
        raise ValueError(
            f"the outputs of this network are polynomials of degree {kind} {network.degree} in {network.n_inputs} "
            f"variables, which have {_count(n_monomials)} coefficients; the report handles up to {MAX_MONOMIALS:,}. "
            "Choose fewer inputs, a lower degree or fewer layers"
        )
    form_vars = network.n_inputs + (not network.basis.homogeneous)
    n_moments = count_monomials(form_vars, 2 * network.degree, homogeneous=True)
    check_size(n_moments, 16, "the moments of the data", "choose fewer inputs or a lower activation degree")
    check_size(
        network.n_outputs * n_monomials * network.n_params, 24, "the network's Jacobian", "choose smaller hidden widths"
    )


def _title(rows: Rows) -> str:
    outputs = rows.y_names[0] if len(rows.y_names) == 1 else f"{len(rows.y_names)} outputs"
    inputs = rows.x_names[0] if len(rows.x_names) == 1 else f"{len(rows.x_names)} inputs"
    return f"{outputs} from {inputs}" if rows.source == ARRAYS else f"{rows.source}: {outputs} from {inputs}"


def _split(n_rows: int, held_out: float, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row numbers for training and for testing, each in order."""
    n_test = round(held_out * n_rows)
    if held_out > 0:
        n_test = max(n_test, 1)
    if n_rows - n_test < 2:
        raise ValueError(f"the data must have at least 2 training rows, got {n_rows} rows with {n_test} held out")
    order = rng.permutation(n_rows)
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def _quadratic_loss(network: Network, X: Matrix, Y: Matrix) -> tuple[QDistance, GramSummary]:
    """The Q-distance of the training rows, and what there is to say about Q."""
    basis = network.basis
    loss, fitted_from = loss_of_rows(X, Y, basis)
    if fitted_from == "rows":
        singular_values = _linalg.singular_values(veronese(X, basis))
        eigenvalues = np.zeros(len(basis))
        eigenvalues[: len(singular_values)] = singular_values**2
    else:
        eigenvalues = _linalg.eigenvalues(np.asarray(loss.gram))[::-1]
    summary = GramSummary(
        n_monomials=len(basis),
        n_moments=MonomialBasis(basis.n_vars, 2 * basis.degree, basis.homogeneous).n_monomials,
        rank=int(loss.rank),
        condition=float(loss.condition),
        rank_tol=float(loss.rank_tol),
        eigenvalues=eigenvalues,
        fitted_from=fitted_from,
    )
    return loss, summary


def _descend(fit: Fit, n_starts: int, max_steps: int, rng: np.random.Generator, progress: bool) -> list[Descent]:
    starts = scaled_starts(fit.network, fit.loss, fit.scale, rng, n_starts)
    return [fit.descend(start, max_steps) for start in _progress(starts, progress)]


def _training(
    fit: Fit, descents: list[Descent], critical: CriticalPoints | None, max_steps: int, X: Matrix, Y: Matrix
) -> Training:
    total, n_random = fit.scale, len(descents)
    least = min(descent.loss[-1] for descent in descents)
    if critical is not None and critical.minima and critical.minima[0].loss < least - AGREEMENT * total:
        descents = [*descents, fit.descend(critical.minima[0].theta, max_steps)]
    finals = np.array([descent.loss[-1] for descent in descents])
    best = int(np.argmin(finals))
    theta = descents[best].theta
    direct = float(np.sum((np.asarray(fit.network.evaluate(theta, X)) - Y) ** 2))
    return Training(
        descents=tuple(descents),
        best=best,
        n_at_best=int((finals[:n_random] <= finals[best] + AGREEMENT * total).sum()),
        total=total,
        floor=float(fit.loss.constant),
        hessian=_signature(fit, theta),
        agreement=abs(direct - float(finals[best])) / total,
        n_random=n_random,
    )


def _signature(fit: Fit, theta: Matrix) -> tuple[int, int, int] | None:
    if fit.network.n_params > MAX_DENSE_PARAMS:
        return None
    return hessian_signature(fit.objective.hessian(theta), fit.objective.gauss_newton(theta))


def _progress(starts: Matrix, wanted: bool) -> Any:
    """The starts, behind a progress bar when one is wanted, standard error is a terminal and tqdm is installed."""
    if not wanted or not sys.stderr.isatty():
        return starts
    try:
        from tqdm import tqdm
    except ImportError:
        return starts
    return tqdm(starts, desc="fitting", unit="start", leave=False)


def _regressions(network: Network, loss: QDistance, X: Matrix, Y: Matrix, train: NDArray[np.intp]) -> dict[str, Matrix]:
    """Predictions of linear regression, and of least squares over the network's space and over all polynomials."""
    ones = np.ones((len(X), 1))
    with_intercept = np.hstack([ones, X])
    linear = np.linalg.lstsq(with_intercept[train], Y[train], rcond=None)[0]
    predictions = {"linear": with_intercept @ linear}
    ambient = _evaluate(loss.target, network.basis, X)
    if not network.basis.homogeneous:
        return {**predictions, "polynomial": ambient}
    predictions["form"] = ambient
    full = MonomialBasis(network.n_inputs, network.degree)
    if full.n_monomials <= MAX_MONOMIALS and len(train) * len(full) <= MAX_VANDERMONDE_ENTRIES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a comparison only; the network's own space is what the page warns about
            predictions["polynomial"] = _evaluate(QDistance.from_data(X[train], Y[train], full).target, full, X)
    return predictions


def _evaluate(coef: Any, basis: MonomialBasis, X: Matrix) -> Matrix:
    """Polynomials at all rows, in blocks so that memory does not grow with rows × monomials."""
    coef = np.asarray(coef)
    step = max(1, 2**21 // len(basis))
    return np.concatenate([veronese(X[start : start + step], basis) @ coef.T for start in range(0, len(X), step)])


def _model_names(network: Network) -> dict[str, str]:
    degree = network.degree
    return {
        "network": "Network",
        "linear": "Linear regression",
        "form": f"Any form of degree {degree} (least squares)",
        "polynomial": f"Polynomial regression of degree {degree}",
    }


def _errors(predicted: Matrix, observed: Matrix, names: Sequence[str]) -> Errors:
    squares = np.sum((observed - predicted) ** 2, axis=0)
    totals = np.sum((observed - observed.mean(axis=0)) ** 2, axis=0)
    # A single row, or equal values, leave nothing to explain: R² is then undefined.
    r2 = np.where(totals > 0, 1 - squares / np.where(totals > 0, totals, 1), np.nan)
    n_rows = len(observed)
    per_output = tuple(
        {"name": name, "sum_of_squares": float(s), "rmse": float(np.sqrt(s / n_rows)), "r2": float(r)}
        for name, s, r in zip(names, squares, r2, strict=True)
    )
    total = float(squares.sum())
    return Errors(n_rows, total, float(np.sqrt(total / observed.size)), float(np.mean(r2)), per_output)


def _architecture(network: Network, rng: np.random.Generator) -> Architecture:
    ambient = network.n_outputs * len(network.basis)
    orbit = orbit_dimension(network.program, rng)
    rank: DimensionResult | None = dimension(network, rng) if network.n_params <= MAX_RANK_PARAMS else None
    activations = [ActivationPolynomial(i.coefficients) for i in network.program.activations]
    return Architecture(
        network=repr(network),
        spec=network.spec(),
        widths=network.widths if isinstance(network, MLP) else None,
        n_inputs=network.n_inputs,
        n_outputs=network.n_outputs,
        activations=tuple(activation.text() for activation in activations),
        activation_coefficients=tuple(tuple(float(c) for c in activation.numbers) for activation in activations),
        bias=any(block.kind == "b" for block in network.program.parameters),
        degree=network.degree,
        homogeneous=network.basis.homogeneous,
        n_params=network.n_params,
        n_monomials=len(network.basis),
        ambient_dimension=ambient,
        orbit_dimension=orbit,
        expected_dimension=expected_dimension(ambient, network.n_params, orbit),
        jacobian_rank=None if rank is None else rank.dimension,
        jacobian_rank_proved=rank is not None and rank.proved,
        jacobian_rank_error_bound=None if rank is None else rank.error_bound,
    )


def _count(n: int) -> str:
    return f"{n:,}" if n < 10**15 else f"about 10^{len(str(n)) - 1}"

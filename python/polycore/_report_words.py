# SPDX-License-Identifier: BSD-3-Clause
"""What a report says in sentences: each function looks at the numbers and says what they mean, or nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import Errors, Model, Report

# Differences in R² below this are called "as well as": far below what a random split of the rows already changes.
SAME_R2 = 0.005
# Starts have parameters of size one; beyond this they are running away.
RUNAWAY = 20.0
# Losses that differ by less than this fraction of the total sum of squares are the same.
AGREEMENT = 1e-6
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def headline(report: Report) -> list[str]:
    """Two or three sentences for a reader who stops after them."""
    network, linear = report.model("network"), report.model("linear")
    best = _regression(report)
    rows = "held-out" if network.held_out else "training"
    sentences = [
        f"On {count(_tested(network).n_rows)} {rows} rows the network explains "
        f"{_explained(network)} of the variance of {_outputs(report)}, linear regression {_explained(linear)}"
        + (f", polynomial regression {_explained(best)}." if best else ".")
    ]
    if best:
        sentences.append(
            f"The network does this with {count(network.n_coefficients)} parameters, "
            f"polynomial regression with {count(best.n_coefficients)} coefficients."
        )
    sentences.append(
        f"Training read the {count(report.data.n_train)} rows once: {count(report.gram.n_moments)} moments hold all "
        "that the loss depends on, so an optimiser step costs the same for any number of rows."
    )
    return sentences


def on_models(report: Report) -> list[str]:
    """How the models compare, and whether one of them overfits."""
    network, linear, best = report.model("network"), report.model("linear"), _regression(report)
    sentences = []
    if network.held_out is None:
        sentences.append("No rows were held out, so nothing here says how well the models predict new rows.")
    rivals = [("linear regression", linear)] + ([("the full polynomial", best)] if best else [])
    where = "held-out" if network.held_out else "training"
    verdicts = [f"{_compare(_tested(network), _tested(rival))} {name}" for name, rival in rivals]
    sentences.append(f"On the {where} rows the network predicts {_join(verdicts)}.")
    for name, model in [*rivals[1:], ("the network", network)]:
        if model.held_out is None:
            continue
        worse_than_linear = linear.held_out is not None and model.held_out.r2 < linear.held_out.r2 - SAME_R2
        if worse_than_linear and model.train.r2 > linear.train.r2 + SAME_R2:
            sentences.append(
                f"{_upper_first(name)} overfits: it fits the training rows better than linear regression "
                f"(R² {r2(model.train.r2)} against {r2(linear.train.r2)}) and the held-out rows worse "
                f"({r2(model.held_out.r2)} against {r2(linear.held_out.r2)})."
                if linear.held_out
                else ""
            )
    if any(model.held_out is not None and model.held_out.r2 < 0 for model in report.models):
        sentences.append("A negative R² means predictions worse than the mean of the held-out rows.")
    if report.architecture.homogeneous:
        sentences.append(
            "The network has no biases and its activations, if any, are powers, so its outputs are forms: every "
            f"monomial has degree exactly {report.architecture.degree}. In the standardised variables it has no "
            "constant"
            + ("" if report.architecture.degree == 1 else " and no linear")
            + (" term; --bias adds the lower degrees." if report.architecture.widths else " term.")
        )
    return [sentence for sentence in sentences if sentence]


def on_dimension(report: Report) -> list[str]:
    """What the counts say about the set of functions the network can be."""
    a = report.architecture
    rank, expected, ambient = a.jacobian_rank, a.expected_dimension, a.ambient_dimension
    if rank is None:
        return ["The network has too many parameters for the exact rank of its Jacobian to be computed here."]
    if rank < expected:
        verdict = (
            f"The functions this network can be form a set of dimension {count(rank)}, {count(expected - rank)} less "
            "than expected: this architecture is defective."
        )
    elif rank == ambient:
        verdict = (
            f"The rank is that of the whole space: the network fills it, in the sense that its functions have the full "
            f"dimension {count(ambient)} (over the reals, some polynomials may still be out of reach)."
        )
    else:
        verdict = (
            f"As expected, the functions this network can be form a set of dimension {count(rank)} inside a space of "
            f"dimension {count(ambient)}: a curved model, and not every polynomial of its degree is within reach."
        )
    fibre = a.n_params - rank
    if fibre == 0:
        more = "No parameter is redundant: nearby parameters give different functions."
    else:
        known = "all of them" if fibre == a.orbit_dimension else f"{count(a.orbit_dimension)} of them"
        more = f"{count(fibre)} of its {count(a.n_params)} parameters {'is' if fibre == 1 else 'are'} redundant" + (
            f", {known} through the symmetries of its layers." if a.orbit_dimension else "."
        )
    return [verdict, more]


def on_gram(report: Report) -> list[str]:
    """What the training rows determine, and how far the numbers can be trusted."""
    g, data = report.gram, report.data
    missing = g.n_monomials - g.rank
    sentences = []
    if missing == 0:
        sentences.append(
            "Q has full rank: no polynomial in the network's space vanishes on all training rows, so the best "
            "polynomial is unique."
        )
    else:
        sentences.append(
            f"Q is rank deficient: {count(missing)} of {count(g.n_monomials)} directions of coefficient space "
            f"{'is' if missing == 1 else 'are'} invisible to these rows (polynomials that vanish on all of them). The "
            "best polynomial is therefore not unique; the one of least norm is taken."
        )
        few = [v for v in data.inputs if v.n_distinct <= report.architecture.degree]
        if data.n_train < g.n_monomials:
            sentences.append(
                f"There are fewer training rows ({count(data.n_train)}) than monomials ({count(g.n_monomials)}): the "
                "full polynomial can follow any targets, and its training error means nothing."
            )
        elif few:
            names = _join([f"{v.name} ({v.n_distinct} values)" for v in few[:6]])
            sentences.append(
                f"The cause is in the columns with few distinct values: {names}. Powers of such a column repeat its "
                "lower powers."
            )
    digits = math.log10(g.condition) if 1 <= g.condition < math.inf else math.inf
    if digits >= 8:
        sentences.append(
            f"The condition number {rough(g.condition)} costs about {min(digits, 16):.0f} of 16 digits. "
            + (
                "The fit was therefore made from the rows themselves by orthogonalisation, not through Q."
                if g.fitted_from == "rows"
                else "Coefficients in the weak directions are not reliable; a lower degree or fewer columns would help."
            )
        )
    elif math.isfinite(digits):
        sentences.append(
            f"The condition number {rough(g.condition)} costs about {max(digits, 0):.0f} of 16 digits in solving "
            "with Q, which leaves the coefficients reliable."
        )
    return sentences


def on_training(report: Report) -> list[str]:
    """Where the optimiser ended."""
    t, a = report.training, report.architecture
    n, best = t.n_random, t.descents[t.best]
    sentences = []
    if t.best >= n:
        sentences.append(
            f"None of the {count(n)} random start{'s' * (n > 1)} ended at the least loss found: the search for "
            "critical points (below) found a lower minimum, which is the network of this page."
        )
    elif n > 1:
        sentences.append(
            f"{count(t.n_at_best)} of {count(n)} random starts ended at the least loss found"
            + (", so it is probably the global minimum." if 3 * t.n_at_best >= 2 * n else ".")
            + (" More starts may find a lower one." if t.n_at_best == 1 else "")
        )
    largest = float(abs(best.theta).max())
    if largest > (10 * RUNAWAY if best.settled else RUNAWAY):
        sentences.append(
            f"The parameters of the best start were still growing after {count(best.n_steps)} steps (the largest is "
            f"{number(largest, 2)}): the best fit may lie at infinity. That happens because the functions of a network "
            "need not form a closed set; the predictions settle long before the parameters do."
        )
    elif not best.settled:
        sentences.append(
            f"The best start had not settled after {count(best.n_steps)} steps (one more promises to explain another "
            f"{number(best.promise, 1)} of the variance); --max-steps gives it more."
        )
    elif t.hessian is not None:
        _, flat, negative = t.hessian
        if negative:
            kind = f"a saddle, where the loss falls in {count(negative)} direction{'s' * (negative != 1)}"
        elif flat == 0:
            kind = "a strict local minimum"
        else:
            kind = f"a minimum to second order, flat in {count(flat)} direction{'s' * (flat != 1)}"
            invisible = report.gram.n_monomials - report.gram.rank
            redundant = None if a.jacobian_rank is None else a.n_params - a.jacobian_rank
            if flat == redundant:
                kind += ", as many as it has redundant parameters"
            elif redundant is not None and flat == redundant + invisible:
                kind += f": {count(redundant)} redundant parameters and {count(invisible)} invisible to the data"
        sentences.append(f"The best start settled at {kind}.")
    unexplained, floor = t.loss / t.total, t.floor / t.total
    sentences.append(
        f"It leaves {_share(unexplained)} of the variance of the training rows unexplained; no polynomial in the "
        f"network's space leaves less than {_share(floor)}."
    )
    return sentences


def on_critical(report: Report) -> list[str]:
    """How many critical points there are, whether training ended at the best of them, and how complete the list is."""
    result, t = report.critical, report.training
    if result is None:
        return [report.critical_missing]
    minima = result.minima
    sentences = [
        f"{count(len(result))} critical point{'s were' if len(result) != 1 else ' was'} found, "
        f"{count(len(minima))} of them {'minima' if len(minima) != 1 else 'a minimum'}."
    ]
    if minima:
        difference = (minima[0].loss - t.loss) / t.total
        proved = minima[0].status == "global minimum" and minima[0].proved
        if abs(difference) <= AGREEMENT:
            sentences.append(
                "The lowest of them is where the best training run ended"
                + (", and it is proved that no parameters do better." if proved else ".")
            )
        elif difference > 0:
            sentences.append(
                "The best training run got lower than every minimum found: it had not settled at a point, or the least "
                "loss is approached at infinity only."
            )
    worse = [point for point in minima if (point.loss - t.loss) / t.total > AGREEMENT]
    if worse:
        least, most = (_share(point.loss / t.total) for point in (worse[0], worse[-1]))
        sentences.append(
            f"Training can also end at {count(len(worse))} other minim{'a' if len(worse) != 1 else 'um'}, which "
            f"leave{'s' * (len(worse) == 1)} {least if least == most else f'{least} to {most}'} of the variance "
            "unexplained."
        )
    spurious = [point for point in result.points if point.origin.spurious]
    if spurious:
        sentences.append(
            f"{count(len(spurious))} of the points {'are' if len(spurious) != 1 else 'is'} spurious: made by the "
            "parametrisation, where the network is a smaller one for instance, not by the set of its functions."
        )
    if result.complete == "proved":
        sentences.append(f"The list is complete, which is a theorem ({result.source}).")
    else:
        sentences.append(f"The list need not be complete: {result.completeness.reason}.")
    if result.stopped == "evaluations":
        sentences.append("The search was cut short to keep the report quick; polycore critical takes longer.")
    sentences += [f"Left out: {text}." for text in result.skipped]
    return sentences


def _regression(report: Report) -> Model | None:
    """The full polynomial regression, None when it was too large to fit."""
    return next((model for model in report.models if model.key == "polynomial"), None)


def _tested(model: Model) -> Errors:
    return model.held_out or model.train


def _compare(ours: Errors, theirs: Errors) -> str:
    difference = ours.r2 - theirs.r2
    if not abs(difference) > SAME_R2:
        return "about as well as"
    return "better than" if difference > 0 else "worse than"


def _outputs(report: Report) -> str:
    names = [variable.name for variable in report.data.outputs]
    return _join(names) if len(names) <= 3 else f"the {len(names)} outputs"


def _join(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _explained(model: Model) -> str:
    """R² as a share of the variance, which it is only when positive."""
    share = _tested(model).r2
    if math.isnan(share):
        return "an undefined share"
    return _share(share) if share >= 0 else f"none (R² {r2(share)})"


def _share(fraction: float) -> str:
    percent = 100 * fraction
    text = f"{percent:.1f}" if abs(percent) >= 0.1 or percent == 0 else f"{percent:.1g}"
    return text + "\u202f%"


def number(value: float | None, digits: int = 4) -> str:
    """A number as a person writes it: plain where that is short, else times a power of ten."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 7:
        text = f"{value:,.{max(0, digits - 1 - exponent)}f}".replace(",", "\u202f")
    else:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa}·10{'⁻' if int(power) < 0 else ''}{str(abs(int(power))).translate(SUPERSCRIPTS)}"
    return text.replace("-", "−")


def r2(value: float) -> str:
    """R² to three decimals; large negative values to one."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.{3 if value > -10 else 1}f}".replace("-", "−")


def rough(value: float) -> str:
    """A size to two digits, as a power of ten from 10⁴ on."""
    if not math.isfinite(value) or value < 1e4:
        return number(value, 2)
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa}·10{str(int(power)).translate(SUPERSCRIPTS)}"


def count(n: int) -> str:
    """An integer with thin spaces between thousands."""
    return f"{n:,}".replace(",", "\u202f")


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]

# SPDX-License-Identifier: BSD-3-Clause
"""What ``make demo`` runs: two reports on real data that ship in Python packages, written below ./reports.

    python examples/demo.py [--out DIR] [--starts N]

* diabetes (scikit-learn): disease progression of 442 patients from 10 measurements;
* randhie (statsmodels): doctor visits of 20,190 persons in the RAND health insurance experiment from 9 variables.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

import polycore as pc


def diabetes(out: Path, n_starts: int) -> None:
    """From arrays: a network of squares, against the full quadratic model."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes(as_frame=True, scaled=False)
    result = pc.report(
        data.data,
        data.target.rename("progression"),
        widths=(10, 3, 1),
        activation=2,
        bias=True,
        out=out,
        n_starts=n_starts,
        title="Diabetes: progression from 10 measurements",
        progress=True,
    )
    print(result)


def randhie(out: Path, n_starts: int) -> None:
    """From a CSV file: a deeper network, of degree 4 in five columns, beside the 126 coefficients of all quartics."""
    from statsmodels.datasets import randhie as source

    frame = source.load_pandas().data
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "randhie.csv"
        np.savetxt(path, frame.to_numpy(float), delimiter=",", header=",".join(frame.columns), comments="")
        result = pc.report(
            "lncoins,lpi,fmde,disea,hlthf",
            "mdvis",
            data=path,
            widths=(5, 3, 2, 1),
            activation=(2, 2),
            bias=True,
            out=out,
            n_starts=n_starts,
            title="RAND health insurance experiment: doctor visits",
            progress=True,
        )
    print(result)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports"), help="directory for the reports")
    parser.add_argument("--starts", type=int, default=16, help="random starts of the optimiser")
    options = parser.parse_args()
    for name, make in (("diabetes", diabetes), ("randhie", randhie)):
        make(options.out / name, options.starts)
        print(f"page: {(options.out / name / 'index.html').resolve()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

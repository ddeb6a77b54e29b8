"""NannyML at its defaults: accuracy without labels (CBPE), and drift of single columns over chunks."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def main() -> None:
    arrays, question = np.load(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    answer = _accuracy(arrays, question) if question["what"] == "accuracy" else _drift(arrays, question)
    print(json.dumps(answer))


def _accuracy(arrays, question):
    import nannyml

    def frame(prefix):
        softmax = arrays[f"{prefix}|softmax"]
        rows = pd.DataFrame(softmax, columns=[f"p{index}" for index in range(softmax.shape[1])])
        rows["prediction"] = softmax.argmax(axis=1)
        return rows

    reference = frame("reference")
    reference["truth"] = arrays["reference|labels"]
    classes = arrays["reference|softmax"].shape[1]
    estimates = {}
    for name in question["chunks"]:
        chunk = frame(name)
        binary = classes == 2
        estimator = nannyml.CBPE(
            y_pred_proba="p1" if binary else {index: f"p{index}" for index in range(classes)},
            y_pred="prediction",
            y_true="truth",
            problem_type="classification_binary" if binary else "classification_multiclass",
            metrics=["accuracy"],
            chunk_number=1,
        )
        estimator.fit(reference)
        result = estimator.estimate(chunk).filter(period="analysis").to_df()
        estimates[name] = float(result[("accuracy", "value")].iloc[0])
    return estimates


def _drift(arrays, question):
    import nannyml

    columns = question["columns"]
    reference = pd.DataFrame(arrays["reference"], columns=columns)
    stream = pd.DataFrame(arrays["stream"], columns=columns)
    calculator = nannyml.UnivariateDriftCalculator(column_names=columns, chunk_size=question["size"])
    calculator.fit(reference)
    result = calculator.calculate(stream).filter(period="analysis").to_df()
    alerts = result.loc[:, [name for name in result.columns if name[-1] == "alert"]]
    return {"alarms": [bool(alert) for alert in alerts.any(axis=1)]}


main()

"""FastAPI around `learn.predict`, as tutorials do it."""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402
import torch  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import FastAPI, Request, UploadFile  # noqa: E402

from serving.learner.torchvision_operators import declare_missing_operators  # noqa: E402

declare_missing_operators()
from fastai.learner import load_learner  # noqa: E402

torch.set_num_threads(1)
export, kind, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
learner = load_learner(export)
app = FastAPI()


def response(prediction: tuple) -> dict:
    label, _, probabilities = prediction
    return {"prediction": str(label), "probabilities": [float(value) for value in probabilities]}


if kind == "tabular":

    @app.post("/predict")
    async def predict_row(request: Request) -> dict:
        row = pd.Series((await request.json())["rows"][0])
        with learner.no_bar():
            _, index, probabilities = learner.predict(row)
        return response((learner.dls.vocab[int(index)], index, probabilities))

else:

    @app.post("/predict")
    async def predict_picture(file: UploadFile) -> dict:
        # Not in a thread of its own: two predictions at once deadlock in one learner.
        content = await file.read()
        with learner.no_bar():
            return response(learner.predict(content))


uvicorn.run(app, port=port, log_level="error")

"""Learners over texts: every target, and a language model."""

from typing import Any

import numpy as np
import pandas as pd
from fastai.text import all as fastai

from serving.learner.adapters.text import raw_text
from tests.learners.case import Answer, Exported, Refused, Served, train

N = 60
SMALL: dict[str, int] = {"n_hid": 20, "n_layers": 1, "emb_sz": 12}


def written() -> pd.DataFrame:
    """Texts of many lengths, with a class, several classes and a number each."""
    rng = np.random.default_rng(2)
    words = np.array(["the", "film", "was", "good", "bad", "long,", "short;", "and", "Dark!", "plot", "again."])
    texts = [" ".join(rng.choice(words, length)) for length in rng.integers(1, 100, N)]
    return pd.DataFrame(
        {
            "text": texts,
            "label": [str("good" in text) for text in texts],
            "labels": [";".join(word for word in ("good", "bad", "plot") if word in text) for text in texts],
            "length": [float(len(text)) / 100 for text in texts],
        }
    )


def predict(learner: Any, text: str) -> Answer:
    with learner.no_bar():
        decoded, _, numbers = learner.predict(text)
    return decoded, numbers.tolist()


def exported(target: Any, get_y: Any, **options: Any) -> Exported:
    rows = written()
    # No worker processes, neither for tokens nor for batches: they would be forked from a process with threads.
    block = fastai.DataBlock(
        blocks=(fastai.TextBlock.from_df("text", n_workers=0), target),
        get_x=fastai.ColReader("text"),
        get_y=get_y,
        splitter=fastai.RandomSplitter(seed=0),
    )
    data = block.dataloaders(rows, bs=16, num_workers=0)
    learner = fastai.text_classifier_learner(
        data,
        fastai.AWD_LSTM,
        config=fastai.awd_lstm_clas_config | SMALL,
        pretrained=False,
        metrics=[],
        **options,
    )
    texts = rows["text"].tolist()
    return Exported(train(learner), [raw_text(text) for text in texts], texts, predict)


SERVED = (
    Served(
        "text → one class",
        "TextBlock, CategoryBlock; `text_classifier_learner`",
        lambda: exported(fastai.CategoryBlock, fastai.ColReader("label")),
    ),
    Served(
        "text → several classes",
        "TextBlock, MultiCategoryBlock",
        lambda: exported(fastai.MultiCategoryBlock, fastai.ColReader("labels", label_delim=";")),
    ),
    Served(
        "text → a number",
        "TextBlock, RegressionBlock",
        lambda: exported(fastai.RegressionBlock, fastai.ColReader("length"), n_out=1, loss_func=fastai.MSELossFlat()),
    ),
)


def _language_model() -> Any:
    data = fastai.TextDataLoaders.from_df(
        written(), text_col="text", is_lm=True, bs=4, seq_len=8, valid_pct=0.2, num_workers=0, n_workers=0
    )
    return fastai.language_model_learner(
        data, fastai.AWD_LSTM, config=fastai.awd_lstm_lm_config | SMALL, pretrained=False
    )


REFUSED = (
    Refused(
        "text → next words",
        "TextBlock(is_lm=True); `language_model_learner`",
        _language_model,
        "Tidegate does not serve language models: this learner predicts the next word",
    ),
)

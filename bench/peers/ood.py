"""Every detector of pytorch-ood 0.4 that works on embeddings or logits, and four of pyod, at their defaults."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.sets import DomainSet, Rows
from serving.learner.torchvision_operators import declare_missing_operators

declare_missing_operators()

Scores = npt.NDArray[np.float64]
Scorer = Callable[[Rows], Scores]

# LOF, nearest neighbours and the like take minutes with more.
PYOD_ROWS = 10_000

# They need the network itself: gradients, dropout, several layers, or convolutional maps.
NEED_THE_NETWORK = (
    *("GradNorm", "GradUncertainty", "Gram", "MCD", "MahalanobisODIN", "MultiMahalanobis", "NACUE", "ODIN", "RankFeat"),
    *("ASH", "SCALE", "MCM"),
)


@dataclass(frozen=True)
class _TrainingTensors:
    """Training rows as tensors, and how detectors of each interface are fitted on them."""

    embeddings: torch.Tensor
    logits: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, rows: Rows) -> "_TrainingTensors":
        assert rows.labels is not None
        return cls(*(torch.from_numpy(array) for array in (rows.embeddings, rows.logits, rows.labels)))

    def on_features(self, detector: Any) -> Callable[[], Scorer]:
        def fit() -> Scorer:
            detector.fit_features(self.embeddings, self.labels)
            return lambda rows: _numpy(detector.predict_features(torch.from_numpy(rows.embeddings)))

        return fit

    def on_logits(self, detector: Any, *, fits: bool = False) -> Callable[[], Scorer]:
        def fit() -> Scorer:
            if fits:
                detector.fit_logits(self.logits, self.labels)
            return lambda rows: _numpy(detector.predict_logits(torch.from_numpy(rows.logits)))

        return fit

    def through_the_head(self, detector: Any) -> Callable[[], Scorer]:
        def fit() -> Scorer:
            rows = torch.utils.data.TensorDataset(self.embeddings, self.labels)
            detector.fit(torch.utils.data.DataLoader(rows, batch_size=512))

            def score(rows: Rows) -> Scores:
                with torch.no_grad():
                    return _numpy(detector.predict(torch.from_numpy(rows.embeddings)))

            return score

        return fit


def peers(domain: DomainSet) -> dict[str, Callable[[], Scorer]]:
    """How to fit each peer on a set, by the peer's name."""
    from pytorch_ood import detector as detectors

    weights, bias = (torch.from_numpy(part) for part in domain.head)
    head = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        head.weight.copy_(weights)
        head.bias.copy_(bias)
    head.requires_grad_(False)
    d = weights.shape[1]
    body = nn.Identity()
    training = _TrainingTensors.of(domain.training)
    fits: dict[str, Callable[[], Scorer]] = {
        "MSP": training.on_logits(detectors.MaxSoftmax(None)),
        "max logit": training.on_logits(detectors.MaxLogit(None)),
        "energy": training.on_logits(detectors.EnergyBased(None)),
        "entropy": training.on_logits(detectors.Entropy(None)),
        "GEN": training.on_logits(detectors.GEN(None)),
        "KL matching": training.on_logits(detectors.KLMatching(None), fits=True),
        "OpenMax": training.on_logits(detectors.OpenMax(None), fits=True),
        "temperature scaling": training.on_logits(detectors.TemperatureScaling(None), fits=True),
        "weighted energy": training.on_logits(detectors.WeightedEBO(None, weights=torch.ones(weights.shape[0]))),
        "kNN": training.on_features(detectors.KNN(body)),
        "Mahalanobis": training.on_features(detectors.Mahalanobis(body)),
        "relative Mahalanobis": training.on_features(detectors.RMD(body)),
        "GMM": training.on_features(detectors.GMM(body)),
        "ViM": training.on_features(detectors.ViM(body, d=max(d // 4, 1), w=weights, b=bias)),
        "fDBD": training.on_features(detectors.fDBD(body, head)),
        "NCI": training.on_features(detectors.NCI(body, head)),
        "NNGuide": training.on_features(detectors.NNGuide(body, head)),
        "pNML": training.on_features(detectors.PNML(body, head)),
        "SHE": training.on_features(detectors.SHE(body, head)),
        "DICE": training.on_features(detectors.DICE(body, weights, bias, p=0.7)),
        "LTS": training.on_features(detectors.LTS(body, head)),
        "ReAct": training.through_the_head(detectors.ReAct(body, head)),
        "VRA": training.through_the_head(detectors.VRA(body, head)),
    }
    return fits | _pyod(domain)


def _pyod(domain: DomainSet) -> dict[str, Callable[[], Scorer]]:
    from pyod.models.ecod import ECOD
    from pyod.models.iforest import IForest
    from pyod.models.knn import KNN
    from pyod.models.lof import LOF

    row_indices = np.random.default_rng(0).permutation(len(domain.training))[:PYOD_ROWS]

    def fitting(detector: Any) -> Callable[[], Scorer]:
        def fit() -> Scorer:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                detector.fit(domain.training.embeddings[row_indices])
            return lambda rows: np.asarray(detector.decision_function(rows.embeddings), np.float64)

        return fit

    detectors = {"pyod kNN": KNN(), "pyod LOF": LOF(), "pyod IForest": IForest(random_state=0), "pyod ECOD": ECOD()}
    return {name: fitting(detector) for name, detector in detectors.items()}


def _numpy(scores: torch.Tensor) -> Scores:
    return scores.detach().double().numpy()

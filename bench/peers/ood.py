"""Every detector of pytorch-ood 0.4 that works on embeddings or logits, and four of pyod, at their defaults."""

import warnings
from collections.abc import Callable

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


def peers(one: DomainSet) -> dict[str, Callable[[], Scorer]]:
    """How to fit each peer on a set."""
    from pytorch_ood import detector as found

    weights, bias = (torch.from_numpy(part) for part in one.head)
    head = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        head.weight.copy_(weights)
        head.bias.copy_(bias)
    head.requires_grad_(False)
    d = weights.shape[1]
    body = nn.Identity()
    training = torch.from_numpy(one.training.embeddings)
    logits = torch.from_numpy(one.training.logits)
    assert one.training.labels is not None
    labels = torch.from_numpy(one.training.labels)

    def on_features(detector: object) -> Callable[[], Scorer]:
        def fit() -> Scorer:
            detector.fit_features(training, labels)  # type: ignore[attr-defined]
            return lambda rows: _numpy(detector.predict_features(torch.from_numpy(rows.embeddings)))  # type: ignore[attr-defined]

        return fit

    def on_logits(detector: object, *, fits: bool = False) -> Callable[[], Scorer]:
        def fit() -> Scorer:
            if fits:
                detector.fit_logits(logits, labels)  # type: ignore[attr-defined]
            return lambda rows: _numpy(detector.predict_logits(torch.from_numpy(rows.logits)))  # type: ignore[attr-defined]

        return fit

    def through_the_head(detector: object) -> Callable[[], Scorer]:
        def fit() -> Scorer:
            loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(training, labels), batch_size=512)
            detector.fit(loader)  # type: ignore[attr-defined]

            def score(rows: Rows) -> Scores:
                with torch.no_grad():
                    return _numpy(detector.predict(torch.from_numpy(rows.embeddings)))  # type: ignore[attr-defined]

            return score

        return fit

    chosen: dict[str, Callable[[], Scorer]] = {
        "MSP": on_logits(found.MaxSoftmax(None)),
        "max logit": on_logits(found.MaxLogit(None)),
        "energy": on_logits(found.EnergyBased(None)),
        "entropy": on_logits(found.Entropy(None)),
        "GEN": on_logits(found.GEN(None)),
        "KL matching": on_logits(found.KLMatching(None), fits=True),
        "OpenMax": on_logits(found.OpenMax(None), fits=True),
        "temperature scaling": on_logits(found.TemperatureScaling(None), fits=True),
        "weighted energy": on_logits(found.WeightedEBO(None, weights=torch.ones(weights.shape[0]))),
        "kNN": on_features(found.KNN(body)),
        "Mahalanobis": on_features(found.Mahalanobis(body)),
        "relative Mahalanobis": on_features(found.RMD(body)),
        "GMM": on_features(found.GMM(body)),
        "ViM": on_features(found.ViM(body, d=max(d // 4, 1), w=weights, b=bias)),
        "fDBD": on_features(found.fDBD(body, head)),
        "NCI": on_features(found.NCI(body, head)),
        "NNGuide": on_features(found.NNGuide(body, head)),
        "pNML": on_features(found.PNML(body, head)),
        "SHE": on_features(found.SHE(body, head)),
        "DICE": on_features(found.DICE(body, weights, bias, p=0.7)),
        "LTS": on_features(found.LTS(body, head)),
        "ReAct": through_the_head(found.ReAct(body, head)),
        "VRA": through_the_head(found.VRA(body, head)),
    }
    return chosen | _pyod(one)


def _pyod(one: DomainSet) -> dict[str, Callable[[], Scorer]]:
    from pyod.models.ecod import ECOD
    from pyod.models.iforest import IForest
    from pyod.models.knn import KNN
    from pyod.models.lof import LOF

    some = np.random.default_rng(0).permutation(len(one.training))[:PYOD_ROWS]

    def of(detector: object) -> Callable[[], Scorer]:
        def fit() -> Scorer:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                detector.fit(one.training.embeddings[some])  # type: ignore[attr-defined]
            return lambda rows: np.asarray(detector.decision_function(rows.embeddings), np.float64)  # type: ignore[attr-defined]

        return fit

    kinds = {"pyod kNN": KNN(), "pyod LOF": LOF(), "pyod IForest": IForest(random_state=0), "pyod ECOD": ECOD()}
    return {name: of(detector) for name, detector in kinds.items()}


def _numpy(scores: torch.Tensor) -> Scores:
    return scores.detach().double().numpy()

"""Is this input unlike training? AUROC of our default against every peer's, on identical embeddings."""

import logging
from collections.abc import Callable

import numpy as np
from sklearn.metrics import roc_auc_score

from bench.peers.ood import NEED_THE_NETWORK, peers
from bench.sets import SETS, DomainSet, Rows
from bench.tables import publish
from bench.tidegate_detector import reference_of

logger = logging.getLogger(__name__)

FRESH_ROWS = 4_000
OURS = "Tidegate"


def run(repeats: int, peer_repeats: int) -> None:
    """Print the table of all sets and the one of all pairs."""
    by_peer: dict[str, dict[tuple[str, str], float]] = {}
    flagged = {}
    for name, make in SETS.items():
        domain = make()
        fresh = domain.fresh.take(slice(0, FRESH_ROWS))
        reference = reference_of(domain)
        flagged[name] = float(reference.score(fresh.embeddings, fresh.logits).flagged.mean())

        def ours(reference=reference) -> Callable[[Rows], np.ndarray]:
            return lambda rows: reference.score(rows.embeddings, rows.logits).score

        for peer, fit in {OURS: ours, **peers(domain)}.items():
            try:
                areas = _areas(domain, fresh, fit())
            except (RuntimeError, ValueError, IndexError) as error:
                logger.warning("%s can't score %s: %s", peer, name, error)
                continue
            by_peer.setdefault(peer, {}).update({(name, kind): area for kind, area in areas.items()})
    _publish_by_set(by_peer, flagged)
    _publish_by_pair(by_peer)


def _areas(domain: DomainSet, fresh: Rows, score: Callable[[Rows], np.ndarray]) -> dict[str, float]:
    areas = {}
    for kind, rows in domain.ood.items():
        # In one shuffled batch: some peers' scores depend on the batch, and would give away one of strange inputs alone.
        order = np.random.default_rng(0).permutation(len(fresh) + len(rows))
        both = Rows(np.r_[fresh.embeddings, rows.embeddings][order], np.r_[fresh.logits, rows.logits][order])
        values = np.nan_to_num(score(both), nan=0.0, posinf=1e30, neginf=-1e30)
        areas[kind] = float(roc_auc_score(order >= len(fresh), values))
    return areas


def _publish_by_set(by_peer: dict[str, dict[tuple[str, str], float]], flagged: dict[str, float]) -> None:
    rows = []
    for peer, areas in by_peer.items():
        means = [
            float(np.mean([area for (domain, _), area in areas.items() if domain == name] or [np.nan])) for name in SETS
        ]
        rows.append((peer, *means, float(np.mean(means))))
    rows.sort(key=lambda row: -row[-1])
    shares = ", ".join(f"{name} {share:.2%}" for name, share in flagged.items())
    note = (
        "Mean AUROC over the kinds of out-of-domain inputs of each set, then over sets; one fixed configuration each. "
        f"Fresh in-domain inputs that Tidegate flags at alpha .01, with 2,000 held-out rows: {shares}. "
        f"Need the network itself and can't be compared on embeddings: {', '.join(NEED_THE_NETWORK)}. "
        "pyod's are fitted on 10,000 rows. In-domain and strange inputs are scored in one shuffled batch: OpenMax's score of "
        "an input depends on the others in its batch."
    )
    publish("ood", "Out-of-domain inputs: AUROC", ["", *SETS, "mean"], rows, note)


def _publish_by_pair(by_peer: dict[str, dict[tuple[str, str], float]]) -> None:
    rows = []
    ours = by_peer.pop(OURS)
    for pair, area in ours.items():
        best = max((areas[pair], peer) for peer, areas in by_peer.items() if pair in areas)
        rows.append((f"{pair[0]}: {pair[1]}", area, best[0], best[1], area - best[0]))
    rows.sort(key=lambda row: row[-1])
    close_pairs = sum(row[-1] >= -0.02 for row in rows)
    note = f"Within .02 of the best peer of each pair, or above it: {close_pairs} of {len(rows)} pairs."
    publish("ood-pairs", "Out-of-domain inputs: pair by pair", ["", OURS, "best peer", "which", "gap"], rows, note)

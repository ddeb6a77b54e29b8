"""Clothing, ten classes, and eight of them with two held out."""

import numpy as np

from bench.sets import network, pictures
from bench.sets.base import DomainSet

HELD_OUT_ROWS = 6_000
OTHERS = 2_000
CORRUPTED = 4_000
LIKE_OTHERS = (2, 6)  # pullovers and shirts: new classes that resemble known ones


def clothing() -> DomainSet:
    """All ten classes against digits, letters, noise, turned and inverted pictures."""
    return _clothing(unknown=())


def eight_classes() -> DomainSet:
    """Eight classes against the two held out, which resemble known ones, and the same other kinds."""
    return _clothing(unknown=LIKE_OTHERS)


def _clothing(unknown: tuple[int, ...]) -> DomainSet:
    train, train_labels = pictures.fashion("train")
    test, test_labels = pictures.fashion("t10k")
    known = [place for place in range(10) if place not in unknown]
    names = np.full(10, -1)
    names[known] = np.arange(len(known))
    train, train_labels = train[names[train_labels] >= 0], names[train_labels[names[train_labels] >= 0]]
    strangers = {f"class {place}": test[test_labels == place] for place in unknown}
    test, test_labels = test[names[test_labels] >= 0], names[test_labels[names[test_labels] >= 0]]
    net = network.convolutions(1, len(known))
    fit, held = slice(HELD_OUT_ROWS, None), slice(HELD_OUT_ROWS)
    network.train(net, pictures.tensor(train[fit]), train_labels[fit], epochs=6, augment=pictures.jittered)

    def rows(what: pictures.Pictures, labels: network.Labels | None = None) -> network.Rows:
        return network.rows(net, pictures.tensor(what), labels)

    some = test[:OTHERS]
    others = {
        "digits": pictures.mnist()[0][:OTHERS],
        "letters": pictures.letters(OTHERS),
        "noise": pictures.noise(OTHERS),
        "turned": pictures.turned(some),
        "inverted": pictures.inverted(some),
    }
    last = slice(len(test) - CORRUPTED, None)
    return DomainSet(
        training=rows(train[fit], train_labels[fit]),
        held_out=rows(train[held], train_labels[held]),
        fresh=rows(test, test_labels),
        ood={name: rows(what) for name, what in (strangers | others).items()},
        head=network.head(net),
        shifted={
            f"{name}/{level}": rows(change(test[last], level), test_labels[last])
            for name, change in pictures.CORRUPTIONS.items()
            for level in range(pictures.LEVELS)
        },
    )

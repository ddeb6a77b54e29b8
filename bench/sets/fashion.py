"""Clothing, ten classes, and eight of them with two held out."""

import numpy as np

from bench.sets import network, pictures
from bench.sets.base import DomainSet

HELD_OUT_ROWS = 6_000
OOD_ROWS = 2_000
CORRUPTED = 4_000
LIKE_KNOWN_CLASSES = (2, 6)  # pullovers and shirts: new classes that resemble known ones


def clothing() -> DomainSet:
    """All ten classes against digits, letters, noise, turned and inverted pictures."""
    return _clothing(unknown=())


def eight_classes() -> DomainSet:
    """Eight classes against the two held out, which resemble known ones, and the same other kinds."""
    return _clothing(unknown=LIKE_KNOWN_CLASSES)


def _clothing(unknown: tuple[int, ...]) -> DomainSet:
    train, train_labels = pictures.fashion("train")
    test, test_labels = pictures.fashion("t10k")
    known = [class_index for class_index in range(10) if class_index not in unknown]
    new_labels = np.full(10, -1)
    new_labels[known] = np.arange(len(known))
    train, train_labels = train[new_labels[train_labels] >= 0], new_labels[train_labels[new_labels[train_labels] >= 0]]
    unknown_classes = {f"class {class_index}": test[test_labels == class_index] for class_index in unknown}
    test, test_labels = test[new_labels[test_labels] >= 0], new_labels[test_labels[new_labels[test_labels] >= 0]]
    net = network.convolutions(1, len(known))
    training, held_out = slice(HELD_OUT_ROWS, None), slice(HELD_OUT_ROWS)
    network.train(net, pictures.tensor(train[training]), train_labels[training], epochs=6, augment=pictures.jittered)

    def rows(images: pictures.Pictures, labels: network.Labels | None = None) -> network.Rows:
        return network.rows(net, pictures.tensor(images), labels)

    sample = test[:OOD_ROWS]
    other_kinds = {
        "digits": pictures.mnist()[0][:OOD_ROWS],
        "letters": pictures.letters(OOD_ROWS),
        "noise": pictures.noise(OOD_ROWS),
        "turned": pictures.turned(sample),
        "inverted": pictures.inverted(sample),
    }
    last = slice(len(test) - CORRUPTED, None)
    return DomainSet(
        training=rows(train[training], train_labels[training]),
        held_out=rows(train[held_out], train_labels[held_out]),
        fresh=rows(test, test_labels),
        ood={name: rows(images) for name, images in (unknown_classes | other_kinds).items()},
        head=network.head(net),
        shifted={
            f"{name}/{level}": rows(change(test[last], level), test_labels[last])
            for name, change in pictures.CORRUPTIONS.items()
            for level in range(pictures.LEVELS)
        },
    )

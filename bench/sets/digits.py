"""Handwritten digits, of which there are few: 3,000 to train, 1,000 held out, 1,000 fresh."""

from bench.sets import network, pictures
from bench.sets.base import DomainSet

OOD_ROWS = 2_000


def digits() -> DomainSet:
    """Digits against letters, clothing, noise, turned and inverted digits."""
    all_pictures, labels = pictures.mnist()
    net = network.convolutions(1, 10)
    training, held_out, fresh = slice(3_000), slice(3_000, 4_000), slice(4_000, None)

    def moved(batch: network.torch.Tensor) -> network.torch.Tensor:
        across, down = (int(step) for step in network.torch.randint(-2, 3, (2,)))
        return batch.roll((down, across), (-2, -1))

    network.train(net, pictures.tensor(all_pictures[training]), labels[training], epochs=12, augment=moved)

    def rows(images: pictures.Pictures, truth: network.Labels | None = None) -> network.Rows:
        return network.rows(net, pictures.tensor(images), truth)

    ood = {
        "letters": pictures.letters(OOD_ROWS),
        "clothing": pictures.fashion("t10k")[0][:OOD_ROWS],
        "noise": pictures.noise(OOD_ROWS),
        "turned": pictures.turned(all_pictures[fresh]),
        "inverted": pictures.inverted(all_pictures[fresh]),
    }
    return DomainSet(
        training=rows(all_pictures[training], labels[training]),
        held_out=rows(all_pictures[held_out], labels[held_out]),
        fresh=rows(all_pictures[fresh], labels[fresh]),
        ood={name: rows(images) for name, images in ood.items()},
        head=network.head(net),
        shifted={
            f"{name}/{level}": rows(change(all_pictures[fresh], level), labels[fresh])
            for name, change in pictures.CORRUPTIONS.items()
            for level in range(pictures.LEVELS)
        },
    )

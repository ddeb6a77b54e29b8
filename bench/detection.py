"""Detection against peers: `python -m bench.detection [ood|shift|shift-null|alarms|accuracy|cost|all]`.

One table per question, printed and written to `bench/results/`. Sets and peers' environments are made the first time.
"""

import argparse

from bench.questions import accuracy, alarms, cost, ood, shift, shift_null

QUESTIONS = {
    "ood": ood.run,
    "shift": shift.run,
    "shift-null": shift_null.run,
    "alarms": alarms.run,
    "accuracy": accuracy.run,
    "cost": cost.run,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("question", nargs="?", default="all", choices=[*QUESTIONS, "all"])
    options.add_argument("--repeats", type=int, default=100, help="windows per shift and size")
    options.add_argument(
        "--peer-repeats", type=int, default=None, help="the same for peers, which take longer; 0: cost without peers"
    )
    options.add_argument("--sets", nargs="*", default=list(shift.CHOSEN), help="of the shift question")
    arguments = options.parse_args()
    shift.CHOSEN = {name: unknown for name, unknown in shift.CHOSEN.items() if name in arguments.sets}
    for name, run in QUESTIONS.items():
        if arguments.question in (name, "all"):
            run(
                repeats=arguments.repeats,
                peer_repeats=arguments.repeats if arguments.peer_repeats is None else arguments.peer_repeats,
            )


if __name__ == "__main__":
    main()

"""An exported learner: loading it, what it predicts, its embedding, and how its inputs are decoded.

`loading.py` → `export/` the file and its pickle. `adapters/` one application a file → `tasks/` one kind of target a file →
`targets.py`, `activation.py`, `decoding.py` what the learner says itself. `head.py` → `embedding_layer.py`.
"""

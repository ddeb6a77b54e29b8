"""The Open Inference Protocol V2: tensors on the wire, and what they mean for a fastai learner."""

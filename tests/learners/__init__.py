"""Every kind of learner that fastai's users export."""

from serving.learner.torchvision_operators import declare_missing_operators

# Before any module in here imports fastai's vision.
declare_missing_operators()

"""Does a shift do harm? Accuracy estimated without labels, realized with late ones, audited with a few random ones."""

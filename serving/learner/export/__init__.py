"""The file that `learn.export()` wrote: what it holds and which Python made it, seen from outside; and unpickling it here."""

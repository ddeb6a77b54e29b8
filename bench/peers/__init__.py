"""Peers, each behind the one call that its table needs. Nothing of the product imports them."""

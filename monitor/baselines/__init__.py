"""Baselines: accepted windows of production, and the certificate that each is measured for."""

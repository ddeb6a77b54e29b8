"""Drift reports and the pages people read: documents of plain values, drawn as self-contained HTML and SVG."""

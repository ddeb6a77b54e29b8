"""Drawing: values in, HTML, SVG and JSON out. Its floors, top to bottom: `pages`, `history_page`, `drift`, `columns` →
`sections` → `render`, `svg`, `pictures`, `reference_table`."""

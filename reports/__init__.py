"""Drawing: values in, HTML, SVG and JSON out. Nothing here reads the record. Its floors, top to bottom: `pages`,
`history_page`, `drift`, `columns_page`, `json_documents` → `sections` → `render`, `svg`, `pictures`, `reference_table`,
`report_card`."""

"""Statistics and decisions: numpy in, numpy out. Its floors, top to bottom: `scheduling` → `passes` → `ingest`, `alerts`,
`overview` → `history` → `baselines` → `checks` → `alarm`, `accuracy` → `shift` → `reference` → `settings`, `seed`,
`background_task`."""

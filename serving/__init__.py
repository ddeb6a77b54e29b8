"""The gateway, and the only room with fastai, torch and HTTP. Its floors, top to bottom: `http` → `profiling`,
`open_inference`, `rollout` → `gateway` → `engine` → `learner` → `settings`; the `client` stands beside them, alone."""

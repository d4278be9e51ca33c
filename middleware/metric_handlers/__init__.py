"""Where metrics go: one file a system. Each handler is callable as `emit_metric` calls it."""

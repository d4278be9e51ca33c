"""Everything dies at once: workers, their jobs, the server; and every job is accounted for afterwards."""

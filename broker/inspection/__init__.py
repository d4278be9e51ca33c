"""Looks into queues, lanes and workers, says why a message waits, and acts on what waits."""

"""Inspects queues, lanes and workers, explains why a message waits, and acts on what waits."""

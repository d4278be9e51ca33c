"""Tests of the supervisor and of the heartbeat that outlives a held interpreter lock: real processes and signals."""

"""Attacks on the broker: sets of orgs that change, full servers, answers that are lost, clocks that step."""

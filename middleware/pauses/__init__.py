"""Holds back jobs of a queue, an actor, an org or a region until they are resumed."""

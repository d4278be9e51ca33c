"""Puts the platform together from settings, one concern a module; a sender needs `broker` alone."""

"""Idea providers: a chat model behind HTTP, and templates that need nothing."""

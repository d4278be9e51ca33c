"""The demo, a site that speaks as WordPress does, and the generator of job pages; nothing of it runs in production."""

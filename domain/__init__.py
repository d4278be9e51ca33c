"""The inner ring: what each job promises, its rules and the ports it needs.

Standard library and pydantic only. Nothing here knows of Dramatiq, SQL, HTTP or files.
"""

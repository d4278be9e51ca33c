"""Every job of the platform: one a file, imported here by name. `dramatiq actors` runs them.

The queue, priority, retries and time limit of a job stand in its file, nowhere else.
"""

from .content_idea_generation import content_idea_generation
from .database_maintenance import database_maintenance
from .domain_export import domain_export

__all__ = ["content_idea_generation", "database_maintenance", "domain_export"]

"""Every job of the platform: one a file, imported here by name. `dramatiq actors` runs them.

The queue, priority, retries and time limit of a job stand in its file, nowhere else.
"""

from .content_idea_generation import content_idea_generation
from .content_scheduler import content_scheduler
from .database_maintenance import database_maintenance
from .domain_export import domain_export
from .domain_transfer import domain_transfer
from .experiment_start import experiment_start
from .feedback_ingest import feedback_ingest
from .media_cleanup import media_cleanup
from .publish_execution import publish_execution

__all__ = [
    "content_idea_generation",
    "content_scheduler",
    "database_maintenance",
    "domain_export",
    "domain_transfer",
    "experiment_start",
    "feedback_ingest",
    "media_cleanup",
    "publish_execution",
]

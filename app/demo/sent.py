"""A job that the demo sent. Apart from the sending, which needs the actors and so the servers."""

from dataclasses import dataclass
from uuid import UUID

from domain.content_idea_generation import ContentIdeaGeneration
from domain.domain_export import DomainExport

from .seed import Site


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One job that was sent."""

    job_id: UUID
    actor: str
    queue: str
    site: Site
    job: ContentIdeaGeneration | DomainExport

    @property
    def what(self) -> str:
        """The job in a few words."""
        if isinstance(self.job, ContentIdeaGeneration):
            return f"{self.job.max_ideas} {self.job.content_type} ideas"
        return f"{self.job.format} to {self.job.destination.type}"

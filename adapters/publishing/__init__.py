"""Remote services that posts are published to: WordPress sites and webhooks, over HTTP."""

from .signatures import verify_signature
from .site_publishers import SitePublishers, TargetCheck

__all__ = ["SitePublishers", "TargetCheck", "verify_signature"]

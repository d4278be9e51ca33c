"""What each format is called outside: the ending of its files and their media type."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from domain.domain_export import Format


@dataclass(frozen=True)
class FileKind:
    """How a file of one format presents itself."""

    extension: str
    media_type: str

    def download_name(self, export_id: UUID) -> str:
        """The name a browser saves the file under.

        Example:
            >>> FILE_KINDS["csv"].download_name(UUID(int=7))
            'export-00000000-0000-0000-0000-000000000007.csv'
        """
        return f"export-{export_id}.{self.extension}"


#: Every format.
FILE_KINDS: Mapping[Format, FileKind] = {
    "json": FileKind("json", "application/json"),
    "csv": FileKind("csv", "text/csv; charset=utf-8"),
    "markdown": FileKind("md", "text/markdown; charset=utf-8"),
    "pdf": FileKind("pdf", "application/pdf"),
}

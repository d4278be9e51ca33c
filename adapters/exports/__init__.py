"""Exports on real technology: the writers of each format, the reader, the spool and the destinations."""

from collections.abc import Callable, Mapping

from domain.domain_export import Format
from domain.export_ports import ExportWriter
from domain.export_size import Sink

from .csv_writer import CsvWriter
from .json_writer import JsonWriter
from .markdown_writer import MarkdownWriter
from .pdf_writer import PdfWriter

#: For each format, what makes its writer on a binary sink.
WRITERS: Mapping[Format, Callable[[Sink], ExportWriter]] = {
    "json": JsonWriter,
    "csv": CsvWriter,
    "markdown": MarkdownWriter,
    "pdf": PdfWriter,
}

__all__ = ["WRITERS"]

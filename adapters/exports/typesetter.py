"""The program behind `typesetting.typeset`: JSON on standard input, PDF on standard output.

It runs in an empty folder, which is all of the file system that its template can see.
"""

import json
import sys
from pathlib import Path

import typst

TEMPLATE = Path(__file__).with_name("export.typ")


def main() -> int:
    """Typeset one document; 0 when it worked, 1 with the reason on standard error."""
    data = sys.stdin.buffer.read().decode()
    folder = Path.cwd()
    compiler = typst.Compiler(
        TEMPLATE.read_bytes(),
        root=folder,
        package_path=folder,
        package_cache_path=folder,
        sys_inputs={"document": data},
    )
    try:
        # Its warnings are about looks (a missing glyph, a long line), never about content left out.
        pdf, _ = compiler.compile_with_warnings(
            format="pdf", timestamp=json.loads(data)["created_s"], pdf_tags=False
        )
    except typst.TypstError as error:
        sys.stderr.write(error.message)
        return 1
    if not isinstance(pdf, bytes):
        sys.stderr.write("it made no file")
        return 1
    sys.stdout.buffer.write(pdf)
    return 0


if __name__ == "__main__":
    sys.exit(main())

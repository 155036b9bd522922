"""Every format in which a document is written. Rendering is computing: call it in a thread, never on the event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.publish.documents import docx, html, pdf, xlsx
from monitor.publish.documents.blocks import Document

#: By the ending of the file's name.
FORMATS: Mapping[str, Callable[[Document], bytes]] = {
    "xlsx": xlsx.render,
    "docx": docx.render,
    "pdf": pdf.render,
    "html": html.render,
}

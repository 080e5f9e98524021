"""One data model (`model.Report`), four faces: text, Markdown, JSON, HTML."""

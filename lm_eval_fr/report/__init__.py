"""One data model (`model.Report`), its sections, four formats: text, Markdown, JSON, HTML."""

"""How bytes come in and go out: HTTP, files, redaction."""

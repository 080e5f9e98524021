"""Asking question by question, over HTTP."""

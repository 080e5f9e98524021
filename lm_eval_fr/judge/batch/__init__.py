"""Asking through the batch endpoints of OpenAI and Mistral, or `vllm run-batch`."""

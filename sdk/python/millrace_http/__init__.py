"""What the clients of millrace's APIs share: HTTP, retries, forms, event streams."""

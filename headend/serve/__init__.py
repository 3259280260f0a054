"""The service: a process for each carousel, HTTP and its page, metrics; what it does is decided in the registry."""

"""What is to be on the air, and who decided it: state, decisions, and the audit log, on disk in one transaction."""

"""From packets to symbols and announcements: what a transport's bytes mean."""

"""The DVB-SSU carousel: transport packets, sections, PSI, DSM-CC messages. Knows no socket and no FLUTE."""

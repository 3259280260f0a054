"""What a head-end decides about its releases and its log-in gate, and by what rules. Sans-IO: time is an argument."""

"""What signed bulletins mean to a box: which releases are for it, when it may log in, what it reports. Sans-IO."""

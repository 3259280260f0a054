"""How fast each stage is, and the whole: tables in one run."""

"""The commands of `headend`, one file each: their options, and what a person reads."""

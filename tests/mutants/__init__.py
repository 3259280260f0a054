"""Bugs put in by a program, one at a time: does a test of the room notice? (`make mutants`)"""

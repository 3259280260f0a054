"""Storms on servers and peers: counts of boxes by state, and binomial draws between states.

Boxes of one cohort (one group, powered up together) in one state are exchangeable, so counts are exact, and a step
costs the same for a thousand boxes and for 220 million.
"""

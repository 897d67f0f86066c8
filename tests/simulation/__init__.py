"""A deterministic simulation of the whole core under faults.

Real services on a real PostgreSQL; a simulated broker, simulated workers that crash and stall at
the named crash points, a clock that is stepped, and a random person. One seed is one history:
`python -m tests.simulation --seed N --trace` replays it.
"""

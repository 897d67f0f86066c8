#!/usr/bin/env python
"""The commands of agentsys: the same as the console script `agentsys`."""

from agentsys.cli import main

if __name__ == "__main__":
    main()

"""Claude Managed Agents on this machine: agents, environments, sessions and their events. Knows no HTTP."""

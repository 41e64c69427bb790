"""Claude Managed Agents: the hosted service's own API, for agents on this machine."""

"""The Synadia Agent Protocol 0.3: our agents, for its public clients."""

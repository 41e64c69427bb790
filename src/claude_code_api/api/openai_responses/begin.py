"""From a request for a response to a turn that runs: what HTTP and WebSockets share."""

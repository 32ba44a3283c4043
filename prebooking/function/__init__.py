"""The HTTP shell of the functions: the endpoint, its bearer secret, and the wiring of one invocation."""

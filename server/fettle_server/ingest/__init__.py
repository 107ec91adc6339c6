"""The gRPC edge: enrolment, the link to agents, and the writer that commits what they say in groups."""

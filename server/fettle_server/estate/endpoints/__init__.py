"""Endpoints: the machines that have an agent, what they last said, and who looks at them."""

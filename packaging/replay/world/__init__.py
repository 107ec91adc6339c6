"""The played world: schools, machines, their days, and what truly goes wrong. It knows nothing of rules, agents or servers."""

"""Real hosts for tests: a small Debian below; for each host an overlay, a network, processes and a dpkg database of its own."""

"""`make replay`: a virtual school year through the real server, and how what it found compares with what was really wrong."""

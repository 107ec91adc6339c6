"""What holds a fault back from becoming an incident of its own: windows, freezes, silences, wider causes, and time to look."""

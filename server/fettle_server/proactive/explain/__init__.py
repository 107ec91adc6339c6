"""Why a PC is in its state, why it is not in another, and why somebody was told, or was not."""

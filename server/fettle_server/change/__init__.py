"""The change wing: what updates PCs lack, requests for change, and the rollouts that carry them out."""
